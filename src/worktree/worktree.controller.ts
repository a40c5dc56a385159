import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { Audited } from '../audit/audited.decorator.js';
import { Authenticated, RequirePermission } from '../authorization/decorators.js';
import type { CallerContext } from '../kernel/request-context.js';
import { Expensive } from '../rate-limit/expensive.js';
import { Caller } from '../transport/caller.js';
import type { DiffView, LogView, RescueView, StatusView } from './git-views.js';
import { type CreatedView, createFacts, WorktreeCreationService } from './worktree-creation.service.js';
import { type Page, type Repositories, WorktreeReadingService } from './worktree-reading.service.js';
import { type RemovedView, WorktreeRemovalService } from './worktree-removal.service.js';
import {
  type CreateCommand,
  createSchema,
  diffQuerySchema,
  type ListCommand,
  listQuerySchema,
  logQuerySchema,
  removeBodySchema,
  type RescuesCommand,
  rescuesQuerySchema,
  statusQuerySchema,
  type WorktreeCommand,
  worktreeSchema,
} from './worktree.schema.js';
import type { WorktreeView } from './worktree-view.js';

const onWorktree = { resource: 'worktree', field: 'id' } as const;

/** Worktrees over REST: what makes, shows and removes them. */
@Controller('/api/v1')
export class WorktreeController {
  constructor(
    private readonly reading: WorktreeReadingService,
    private readonly creation: WorktreeCreationService,
    private readonly removal: WorktreeRemovalService,
  ) {}

  /** Which of them the caller may use, the service decides for each. */
  @Get('repositories')
  @Authenticated()
  repositories(@Caller() caller: CallerContext): Promise<Repositories> {
    return this.reading.repositories(caller);
  }

  /** The permission is asked for with the repository, which the service does. */
  @Post('worktrees')
  @Authenticated()
  @Expensive()
  @Audited('worktree.create', 'worktree', null, createFacts)
  async create(
    @Caller() caller: CallerContext,
    @Body({ schema: createSchema }) command: CreateCommand,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<CreatedView> {
    const worktree = await this.creation.create(caller, command);
    void reply.status(worktree.idempotent_replay ? 200 : 201);
    return worktree;
  }

  @Get('worktrees')
  @RequirePermission('worktree:view')
  list(
    @Caller() caller: CallerContext,
    @Query({ schema: listQuerySchema }) command: ListCommand,
  ): Promise<Page<WorktreeView>> {
    return this.reading.list(caller, command);
  }

  @Get('worktrees/rescues')
  @RequirePermission('worktree:view')
  rescues(
    @Caller() caller: CallerContext,
    @Query({ schema: rescuesQuerySchema }) command: RescuesCommand,
  ): Promise<Page<RescueView>> {
    return this.reading.rescues(caller, command);
  }

  @Get('worktrees/:id')
  @RequirePermission('worktree:view', onWorktree)
  get(
    @Caller() caller: CallerContext,
    @Param({ schema: worktreeSchema }) command: WorktreeCommand,
  ): Promise<WorktreeView> {
    return this.reading.get(caller, command);
  }

  @Get('worktrees/:id/status')
  @RequirePermission('worktree:view', onWorktree)
  status(
    @Caller() caller: CallerContext,
    @Param({ schema: worktreeSchema }) { id }: WorktreeCommand,
    @Query({ schema: statusQuerySchema }) query: z.output<typeof statusQuerySchema>,
  ): Promise<StatusView> {
    return this.reading.status(caller, { id, ...query });
  }

  @Get('worktrees/:id/diff')
  @RequirePermission('worktree:view', onWorktree)
  diff(
    @Caller() caller: CallerContext,
    @Param({ schema: worktreeSchema }) { id }: WorktreeCommand,
    @Query({ schema: diffQuerySchema }) query: z.output<typeof diffQuerySchema>,
  ): Promise<DiffView> {
    return this.reading.diff(caller, { id, ...query });
  }

  @Get('worktrees/:id/log')
  @RequirePermission('worktree:view', onWorktree)
  log(
    @Caller() caller: CallerContext,
    @Param({ schema: worktreeSchema }) { id }: WorktreeCommand,
    @Query({ schema: logQuerySchema }) query: z.output<typeof logQuerySchema>,
  ): Promise<LogView> {
    return this.reading.log(caller, { id, ...query });
  }

  /** Its outcome goes on record in the service, which tells a refusal from a failure. */
  @Delete('worktrees/:id')
  @HttpCode(200)
  @RequirePermission('worktree:remove', onWorktree)
  remove(
    @Caller() caller: CallerContext,
    @Param({ schema: worktreeSchema }) { id }: WorktreeCommand,
    @Body({ schema: removeBodySchema }) body: z.output<typeof removeBodySchema>,
  ): Promise<RemovedView> {
    return this.removal.remove(caller, { id, ...body });
  }
}
