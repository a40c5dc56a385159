import { Controller } from '@nestjs/common';
import { GrpcMethod, Payload } from '@nestjs/microservices';
import { RequirePermission } from '../authorization/decorators.js';
import type { MergeResponse } from '../generated/gatehouse/worktree/v1/MergeResponse.js';
import type { RebaseResponse } from '../generated/gatehouse/worktree/v1/RebaseResponse.js';
import type { CallerContext } from '../kernel/request-context.js';
import { Caller } from '../transport/caller.js';
import { AuditedWrite } from './audited-write.js';
import { type CommittedView, type PushedView, WorktreeChangesService } from './worktree-changes.service.js';
import { integratedToProto } from './worktree-proto.js';
import {
  type CommitCommand,
  commitSchema,
  type DiscardCommand,
  discardSchema,
  type IntegrateCommand,
  integrateSchema,
  type PathsCommand,
  pathsSchema,
  type PushCommand,
  pushSchema,
} from './worktree.schema.js';

const SERVICE = 'WorktreeService';
const onWorktree = { resource: 'worktree', field: 'id' } as const;
const integrationFacts = ({ result, head }: { readonly result: string; readonly head: string }) => ({
  result: result.replace('INTEGRATION_RESULT_', '').toLowerCase(),
  head,
});

/** Worktrees over gRPC: what changes them. */
@Controller()
export class WorktreeChangesGrpc {
  constructor(private readonly changes: WorktreeChangesService) {}

  @GrpcMethod(SERVICE)
  @RequirePermission('worktree:write', onWorktree)
  @AuditedWrite('stage')
  async stage(
    @Payload({ schema: pathsSchema }) command: PathsCommand,
    @Caller() caller: CallerContext,
  ): Promise<object> {
    await this.changes.stage(caller, command);
    return {};
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('worktree:write', onWorktree)
  @AuditedWrite('unstage')
  async unstage(
    @Payload({ schema: pathsSchema }) command: PathsCommand,
    @Caller() caller: CallerContext,
  ): Promise<object> {
    await this.changes.unstage(caller, command);
    return {};
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('worktree:write', onWorktree)
  @AuditedWrite('discard')
  async discard(
    @Payload({ schema: discardSchema }) command: DiscardCommand,
    @Caller() caller: CallerContext,
  ): Promise<object> {
    await this.changes.discard(caller, command);
    return {};
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('worktree:write', onWorktree)
  @AuditedWrite('commit', ({ commit }: CommittedView) => ({ commit }))
  commit(
    @Payload({ schema: commitSchema }) command: CommitCommand,
    @Caller() caller: CallerContext,
  ): Promise<CommittedView> {
    return this.changes.commit(caller, command);
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('worktree:write', onWorktree)
  @AuditedWrite('push', ({ remote, branch, commit }: PushedView) => ({ remote, branch, commit }))
  push(@Payload({ schema: pushSchema }) command: PushCommand, @Caller() caller: CallerContext): Promise<PushedView> {
    return this.changes.push(caller, command);
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('worktree:write', onWorktree)
  @AuditedWrite('merge', integrationFacts)
  async merge(
    @Payload({ schema: integrateSchema }) command: IntegrateCommand,
    @Caller() caller: CallerContext,
  ): Promise<MergeResponse> {
    return integratedToProto(await this.changes.merge(caller, command));
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('worktree:write', onWorktree)
  @AuditedWrite('rebase', integrationFacts)
  async rebase(
    @Payload({ schema: integrateSchema }) command: IntegrateCommand,
    @Caller() caller: CallerContext,
  ): Promise<RebaseResponse> {
    return integratedToProto(await this.changes.rebase(caller, command));
  }
}
