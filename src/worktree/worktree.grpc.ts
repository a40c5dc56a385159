import { Controller } from '@nestjs/common';
import { GrpcMethod, Payload } from '@nestjs/microservices';
import { z } from 'zod';
import { Audited } from '../audit/audited.decorator.js';
import { Authenticated, RequirePermission } from '../authorization/decorators.js';
import type { GetDiffResponse } from '../generated/gatehouse/worktree/v1/GetDiffResponse.js';
import type { GetLogResponse } from '../generated/gatehouse/worktree/v1/GetLogResponse.js';
import type { GetResponse } from '../generated/gatehouse/worktree/v1/GetResponse.js';
import type { GetStatusResponse } from '../generated/gatehouse/worktree/v1/GetStatusResponse.js';
import type { ListRepositoriesResponse } from '../generated/gatehouse/worktree/v1/ListRepositoriesResponse.js';
import type { ListRescuesResponse } from '../generated/gatehouse/worktree/v1/ListRescuesResponse.js';
import type { ListResponse } from '../generated/gatehouse/worktree/v1/ListResponse.js';
import type { RemoveResponse } from '../generated/gatehouse/worktree/v1/RemoveResponse.js';
import type { CallerContext } from '../kernel/request-context.js';
import { Expensive } from '../rate-limit/expensive.js';
import { Caller } from '../transport/caller.js';
import { createFacts, WorktreeCreationService } from './worktree-creation.service.js';
import {
  commitToProto,
  diffToProto,
  plainState,
  rescueToProto,
  statusToProto,
  teardownToProto,
  toProto,
} from './worktree-proto.js';
import { WorktreeReadingService } from './worktree-reading.service.js';
import { WorktreeRemovalService } from './worktree-removal.service.js';
import {
  type CreateCommand,
  createSchema,
  type DiffCommand,
  diffSchema,
  type ListCommand,
  listSchema,
  type LogCommand,
  logSchema,
  type RemoveCommand,
  removeSchema,
  type RescuesCommand,
  rescuesSchema,
  type StatusCommand,
  statusSchema,
  type WorktreeCommand,
  worktreeSchema,
} from './worktree.schema.js';
import type { WorktreeView } from './worktree-view.js';

const SERVICE = 'WorktreeService';
const onWorktree = { resource: 'worktree', field: 'id' } as const;
const listRequestSchema = z.preprocess(plainState, listSchema);
const factsOfAnswer = ({ worktree, idempotent_replay }: Created) => createFacts({ ...worktree, idempotent_replay });

/** What was made, on the wire. */
interface Created {
  readonly worktree: ReturnType<typeof toProto> & Pick<WorktreeView, 'repository' | 'branch'>;
  readonly copied: string[];
  readonly idempotent_replay: boolean;
}

/** Worktrees over gRPC: what makes, shows and removes them. */
@Controller()
export class WorktreeGrpc {
  constructor(
    private readonly reading: WorktreeReadingService,
    private readonly creation: WorktreeCreationService,
    private readonly removal: WorktreeRemovalService,
  ) {}

  /** Which of them the caller may use, the service decides for each. */
  @GrpcMethod(SERVICE)
  @Authenticated()
  async listRepositories(_request: object, @Caller() caller: CallerContext): Promise<ListRepositoriesResponse> {
    const { items, truncated } = await this.reading.repositories(caller);
    return { items: items.map(({ remotes, ...same }) => ({ ...same, remotes: [...remotes] })), truncated };
  }

  /** The permission is asked for with the repository, which the service does. */
  @GrpcMethod(SERVICE)
  @Authenticated()
  @Expensive()
  @Audited('worktree.create', 'worktree', null, factsOfAnswer)
  async create(
    @Payload({ schema: createSchema }) command: CreateCommand,
    @Caller() caller: CallerContext,
  ): Promise<Created> {
    const { idempotent_replay = false, copied, ...view } = await this.creation.create(caller, command);
    const { repository, branch } = view;
    return { worktree: { ...toProto(view), repository, branch }, copied: [...copied], idempotent_replay };
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('worktree:view')
  async list(
    @Payload({ schema: listRequestSchema }) command: ListCommand,
    @Caller() caller: CallerContext,
  ): Promise<ListResponse> {
    const { items, next_cursor } = await this.reading.list(caller, command);
    return { items: items.map(toProto), ...(next_cursor === null ? {} : { next_cursor }) };
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('worktree:view', onWorktree)
  async get(
    @Payload({ schema: worktreeSchema }) command: WorktreeCommand,
    @Caller() caller: CallerContext,
  ): Promise<GetResponse> {
    return { worktree: toProto(await this.reading.get(caller, command)) };
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('worktree:view', onWorktree)
  async getStatus(
    @Payload({ schema: statusSchema }) command: StatusCommand,
    @Caller() caller: CallerContext,
  ): Promise<GetStatusResponse> {
    return statusToProto(await this.reading.status(caller, command));
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('worktree:view', onWorktree)
  async getDiff(
    @Payload({ schema: diffSchema }) command: DiffCommand,
    @Caller() caller: CallerContext,
  ): Promise<GetDiffResponse> {
    return diffToProto(await this.reading.diff(caller, command));
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('worktree:view', onWorktree)
  async getLog(
    @Payload({ schema: logSchema }) command: LogCommand,
    @Caller() caller: CallerContext,
  ): Promise<GetLogResponse> {
    const { commits, more } = await this.reading.log(caller, command);
    return { commits: commits.map(commitToProto), more };
  }

  /** Its outcome goes on record in the service, which tells a refusal from a failure. */
  @GrpcMethod(SERVICE)
  @RequirePermission('worktree:remove', onWorktree)
  async remove(
    @Payload({ schema: removeSchema }) command: RemoveCommand,
    @Caller() caller: CallerContext,
  ): Promise<RemoveResponse> {
    const { branch_deleted, teardown, ...worktree } = await this.removal.remove(caller, command);
    return { worktree: toProto(worktree), branch_deleted, ...teardownToProto(teardown) };
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('worktree:view')
  async listRescues(
    @Payload({ schema: rescuesSchema }) command: RescuesCommand,
    @Caller() caller: CallerContext,
  ): Promise<ListRescuesResponse> {
    const { items, next_cursor } = await this.reading.rescues(caller, command);
    return { items: items.map(rescueToProto), ...(next_cursor === null ? {} : { next_cursor }) };
  }
}
