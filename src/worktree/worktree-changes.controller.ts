import { Body, Controller, HttpCode, Param, Post } from '@nestjs/common';
import type { z } from 'zod';
import { RequirePermission } from '../authorization/decorators.js';
import type { CallerContext } from '../kernel/request-context.js';
import { Caller } from '../transport/caller.js';
import { AuditedWrite } from './audited-write.js';
import {
  type CommittedView,
  type IntegratedView,
  type PushedView,
  WorktreeChangesService,
} from './worktree-changes.service.js';
import {
  commitBodySchema,
  discardBodySchema,
  integrateBodySchema,
  pathsBodySchema,
  pushBodySchema,
  type WorktreeCommand,
  worktreeSchema,
} from './worktree.schema.js';

const onWorktree = { resource: 'worktree', field: 'id' } as const;

/** Worktrees over REST: what changes them. */
@Controller('/api/v1/worktrees/:id')
export class WorktreeChangesController {
  constructor(private readonly changes: WorktreeChangesService) {}

  @Post('stage')
  @HttpCode(204)
  @RequirePermission('worktree:write', onWorktree)
  @AuditedWrite('stage')
  async stage(
    @Caller() caller: CallerContext,
    @Param({ schema: worktreeSchema }) { id }: WorktreeCommand,
    @Body({ schema: pathsBodySchema }) body: z.output<typeof pathsBodySchema>,
  ): Promise<void> {
    await this.changes.stage(caller, { id, ...body });
  }

  @Post('unstage')
  @HttpCode(204)
  @RequirePermission('worktree:write', onWorktree)
  @AuditedWrite('unstage')
  async unstage(
    @Caller() caller: CallerContext,
    @Param({ schema: worktreeSchema }) { id }: WorktreeCommand,
    @Body({ schema: pathsBodySchema }) body: z.output<typeof pathsBodySchema>,
  ): Promise<void> {
    await this.changes.unstage(caller, { id, ...body });
  }

  @Post('discard')
  @HttpCode(204)
  @RequirePermission('worktree:write', onWorktree)
  @AuditedWrite('discard')
  async discard(
    @Caller() caller: CallerContext,
    @Param({ schema: worktreeSchema }) { id }: WorktreeCommand,
    @Body({ schema: discardBodySchema }) body: z.output<typeof discardBodySchema>,
  ): Promise<void> {
    await this.changes.discard(caller, { id, ...body });
  }

  @Post('commit')
  @RequirePermission('worktree:write', onWorktree)
  @AuditedWrite('commit', ({ commit }: CommittedView) => ({ commit }))
  commit(
    @Caller() caller: CallerContext,
    @Param({ schema: worktreeSchema }) { id }: WorktreeCommand,
    @Body({ schema: commitBodySchema }) body: z.output<typeof commitBodySchema>,
  ): Promise<CommittedView> {
    return this.changes.commit(caller, { id, ...body });
  }

  @Post('push')
  @HttpCode(200)
  @RequirePermission('worktree:write', onWorktree)
  @AuditedWrite('push', ({ remote, branch, commit }: PushedView) => ({ remote, branch, commit }))
  push(
    @Caller() caller: CallerContext,
    @Param({ schema: worktreeSchema }) { id }: WorktreeCommand,
    @Body({ schema: pushBodySchema }) body: z.output<typeof pushBodySchema>,
  ): Promise<PushedView> {
    return this.changes.push(caller, { id, ...body });
  }

  @Post('merge')
  @HttpCode(200)
  @RequirePermission('worktree:write', onWorktree)
  @AuditedWrite('merge', ({ result, head }: IntegratedView) => ({ result, head }))
  merge(
    @Caller() caller: CallerContext,
    @Param({ schema: worktreeSchema }) { id }: WorktreeCommand,
    @Body({ schema: integrateBodySchema }) body: z.output<typeof integrateBodySchema>,
  ): Promise<IntegratedView> {
    return this.changes.merge(caller, { id, ...body });
  }

  @Post('rebase')
  @HttpCode(200)
  @RequirePermission('worktree:write', onWorktree)
  @AuditedWrite('rebase', ({ result, head }: IntegratedView) => ({ result, head }))
  rebase(
    @Caller() caller: CallerContext,
    @Param({ schema: worktreeSchema }) { id }: WorktreeCommand,
    @Body({ schema: integrateBodySchema }) body: z.output<typeof integrateBodySchema>,
  ): Promise<IntegratedView> {
    return this.changes.rebase(caller, { id, ...body });
  }
}
