import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { CommitRequest } from '../generated/gatehouse/runner/v1/CommitRequest.js';
import type { CommitResponse__Output } from '../generated/gatehouse/runner/v1/CommitResponse.js';
import type { CreateWorktreeRequest } from '../generated/gatehouse/runner/v1/CreateWorktreeRequest.js';
import type { CreateWorktreeResponse__Output } from '../generated/gatehouse/runner/v1/CreateWorktreeResponse.js';
import type { GetDiffRequest } from '../generated/gatehouse/runner/v1/GetDiffRequest.js';
import type { GetDiffResponse__Output } from '../generated/gatehouse/runner/v1/GetDiffResponse.js';
import type { GetLogRequest } from '../generated/gatehouse/runner/v1/GetLogRequest.js';
import type { GetLogResponse__Output } from '../generated/gatehouse/runner/v1/GetLogResponse.js';
import type { GetStatusRequest } from '../generated/gatehouse/runner/v1/GetStatusRequest.js';
import type { GetStatusResponse__Output } from '../generated/gatehouse/runner/v1/GetStatusResponse.js';
import type { IntegrateRequest } from '../generated/gatehouse/runner/v1/IntegrateRequest.js';
import type { IntegrateResponse__Output } from '../generated/gatehouse/runner/v1/IntegrateResponse.js';
import type { ListRepositoriesResponse__Output } from '../generated/gatehouse/runner/v1/ListRepositoriesResponse.js';
import type { ListRescuesResponse__Output } from '../generated/gatehouse/runner/v1/ListRescuesResponse.js';
import type { ListWorktreesResponse__Output } from '../generated/gatehouse/runner/v1/ListWorktreesResponse.js';
import type { PushRequest } from '../generated/gatehouse/runner/v1/PushRequest.js';
import type { PushResponse__Output } from '../generated/gatehouse/runner/v1/PushResponse.js';
import type { RemoveWorktreeRequest } from '../generated/gatehouse/runner/v1/RemoveWorktreeRequest.js';
import type { RemoveWorktreeResponse__Output } from '../generated/gatehouse/runner/v1/RemoveWorktreeResponse.js';
import type { RunnerWorktreeServiceClient } from '../generated/gatehouse/runner/v1/RunnerWorktreeService.js';
import type { Rescue__Output } from '../generated/gatehouse/runner/v1/Rescue.js';
import type { RunnerWorktree__Output } from '../generated/gatehouse/runner/v1/RunnerWorktree.js';
import type { StageRequest } from '../generated/gatehouse/runner/v1/StageRequest.js';
import type { ProtoGrpcType } from '../generated/runner_worktree.js';
import { DomainError } from '../kernel/errors.js';
import { PROTO_OPTIONS } from '../kernel/package.js';
import { callRunner, controlOptions, type Unary } from './control-call.js';
import type { RunnerEndpoint } from './runner-endpoint.js';

/** Git on a large repository, with a disk that others use too. */
const GIT_MS = 60_000;
/** The same with a fetch, push, checkout or rescue in it; the runner itself gives up sooner. */
export const LONG_GIT_MS = 180_000;

/** Pages of a list that are asked for, of 2 MiB each: tens of thousands of worktrees. */
export const MAX_PAGES = 16;

type Method = Exclude<keyof RunnerWorktreeServiceClient, symbol>;

/** Git on the runner. Every method rejects with the runner's own DomainError, or RUNNER_UNAVAILABLE. */
export class RunnerWorktreeClient {
  readonly #client: RunnerWorktreeServiceClient;

  /** @param endpoint where the runner is */
  constructor(endpoint: RunnerEndpoint) {
    const definition = loadSync('gatehouse/runner/v1/runner_worktree.proto', PROTO_OPTIONS);
    const proto = loadPackageDefinition(definition) as unknown as ProtoGrpcType;
    const { address, credentials } = endpoint.control;
    const options = controlOptions(endpoint);
    this.#client = new proto.gatehouse.runner.v1.RunnerWorktreeService(address, credentials, options);
  }

  repositories(): Promise<ListRepositoriesResponse__Output> {
    return this.#call('listRepositories', {});
  }

  create(request: CreateWorktreeRequest): Promise<CreateWorktreeResponse__Output> {
    return this.#call('createWorktree', request, LONG_GIT_MS);
  }

  /** Every worktree on the runner's disk. */
  list(): Promise<RunnerWorktree__Output[]> {
    return allPages(async (after) => {
      const { worktrees = [], more } = await this.#call<ListWorktreesResponse__Output>('listWorktrees', { after });
      return { page: worktrees, more: more ?? false };
    });
  }

  status(request: GetStatusRequest): Promise<GetStatusResponse__Output> {
    return this.#call('getStatus', request);
  }

  diff(request: GetDiffRequest): Promise<GetDiffResponse__Output> {
    return this.#call('getDiff', request);
  }

  log(request: GetLogRequest): Promise<GetLogResponse__Output> {
    return this.#call('getLog', request);
  }

  async stage(request: StageRequest): Promise<void> {
    await this.#call('stage', request);
  }

  async unstage(request: StageRequest): Promise<void> {
    await this.#call('unstage', request);
  }

  async discard(id: string, path: string): Promise<void> {
    await this.#call('discard', { id, path });
  }

  commit(request: CommitRequest): Promise<CommitResponse__Output> {
    return this.#call('commit', request);
  }

  push(request: PushRequest): Promise<PushResponse__Output> {
    return this.#call('push', request, LONG_GIT_MS);
  }

  integrate(request: IntegrateRequest): Promise<IntegrateResponse__Output> {
    return this.#call('integrate', request, LONG_GIT_MS);
  }

  remove(request: RemoveWorktreeRequest): Promise<RemoveWorktreeResponse__Output> {
    return this.#call('removeWorktree', request, LONG_GIT_MS);
  }

  /** What forced removals have put aside, newest first. */
  async rescues(): Promise<Rescue__Output[]> {
    const rescues = await allPages(async (after) => {
      const answer = await this.#call<ListRescuesResponse__Output>('listRescues', { after });
      return { page: answer.rescues ?? [], more: answer.more ?? false };
    });
    return rescues.toSorted((one, other) => (other.created_at_ms ?? 0) - (one.created_at_ms ?? 0));
  }

  #call<Response>(method: Method, request: object, ms = GIT_MS): Promise<Response> {
    const call = this.#client[method].bind(this.#client) as unknown as Unary<object, Response>;
    return callRunner(call, request, ms);
  }
}

interface Page<Entry> {
  readonly page: readonly Entry[];
  readonly more: boolean;
}

/**
 * All of a list that comes in pages: half of one would make what is on the rest look lost.
 * @throws DomainError RUNNER_UNAVAILABLE when it has more than {@link MAX_PAGES}
 */
export async function allPages<Entry extends { readonly id?: string }>(
  ask: (after: string) => Promise<Page<Entry>>,
): Promise<Entry[]> {
  const all: Entry[] = [];
  for (let number = 0; number < MAX_PAGES; number += 1) {
    const { page, more } = await ask(all.at(-1)?.id ?? '');
    all.push(...page);
    if (!more) return all;
  }
  throw new DomainError('RUNNER_UNAVAILABLE', 'The runner lists more than can be taken in.');
}
