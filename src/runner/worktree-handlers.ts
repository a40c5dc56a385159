import type { Logger } from 'pino';
import type { CreateWorktreeRequest__Output } from '../generated/gatehouse/runner/v1/CreateWorktreeRequest.js';
import type { CreateWorktreeResponse } from '../generated/gatehouse/runner/v1/CreateWorktreeResponse.js';
import type { CommitRequest__Output } from '../generated/gatehouse/runner/v1/CommitRequest.js';
import type { GetLogRequest__Output } from '../generated/gatehouse/runner/v1/GetLogRequest.js';
import type { GetLogResponse } from '../generated/gatehouse/runner/v1/GetLogResponse.js';
import type { IntegrateRequest__Output } from '../generated/gatehouse/runner/v1/IntegrateRequest.js';
import type { IntegrateResponse } from '../generated/gatehouse/runner/v1/IntegrateResponse.js';
import type { PushRequest__Output } from '../generated/gatehouse/runner/v1/PushRequest.js';
import type { PushResponse } from '../generated/gatehouse/runner/v1/PushResponse.js';
import type { RemoveWorktreeRequest__Output } from '../generated/gatehouse/runner/v1/RemoveWorktreeRequest.js';
import type { RemoveWorktreeResponse } from '../generated/gatehouse/runner/v1/RemoveWorktreeResponse.js';
import type { RunnerWorktreeServiceHandlers } from '../generated/gatehouse/runner/v1/RunnerWorktreeService.js';
import { DomainError } from '../kernel/errors.js';
import { MAX_ANSWER_BYTES, takeWithin, textBytes } from './git/bounded.js';
import { commit } from './git/commit.js';
import { readDiff } from './git/diff.js';
import { integrate } from './git/integrate.js';
import { MAX_COMMITS, readLog } from './git/log.js';
import { pushBranch } from './git/remote.js';
import { listRepositories } from './git/repositories.js';
import { discard, stage, unstage } from './git/stage.js';
import { readStatus } from './git/status.js';
import type { Worktrees } from './git/worktrees.js';
import { unary } from './rpc.js';
import {
  diffMessage,
  logMessage,
  rescueMessage,
  rescuesMessage,
  stakeMessage,
  statusMessage,
  worktreeMessage,
  worktreesMessage,
} from './worktree-proto.js';

/** Of what is at stake, so many are told. */
const MAX_STAKES = 1000;
/** Of the files in conflict, so many are told. */
const MAX_CONFLICTS = 1000;

/** The calls of RunnerWorktreeService. */
export function worktreeHandlers(worktrees: Worktrees, log: Logger): RunnerWorktreeServiceHandlers {
  return {
    ListRepositories: unary(log, () => listRepositories(worktrees.network.places)),
    CreateWorktree: unary(log, (request) => create(worktrees, request)),
    ListWorktrees: unary(log, async ({ after = '' }) => worktreesMessage(await worktrees.list(), after)),
    GetStatus: unary(log, async ({ id, disk_use }) => {
      return statusMessage(await worktrees.read(id ?? '', (worktree) => readStatus(worktree, disk_use ?? false)));
    }),
    GetDiff: unary(log, async ({ id, against, path }) => {
      return diffMessage(await worktrees.read(id ?? '', (worktree) => readDiff(worktree, against, path)));
    }),
    GetLog: unary(log, (request) => readCommits(worktrees, request)),
    Stage: unary(log, async ({ id, paths }) => {
      await worktrees.write(id ?? '', (worktree) => stage(worktree, paths ?? []));
      return {};
    }),
    Unstage: unary(log, async ({ id, paths }) => {
      await worktrees.write(id ?? '', (worktree) => unstage(worktree, paths ?? []));
      return {};
    }),
    Discard: unary(log, async ({ id, path }) => {
      await worktrees.write(id ?? '', (worktree) => discard(worktree, path ?? ''));
      return {};
    }),
    Commit: unary(log, async (request) => ({ commit: await makeCommit(worktrees, request) })),
    Push: unary(log, (request) => push(worktrees, request)),
    Integrate: unary(log, (request) => integrateBase(worktrees, request)),
    RemoveWorktree: unary(log, (request, givenUp) => remove(worktrees, request, givenUp)),
    ListRescues: unary(log, async ({ after = '' }) => rescuesMessage(await worktrees.listRescues(), after)),
  };
}

async function create(worktrees: Worktrees, request: CreateWorktreeRequest__Output): Promise<CreateWorktreeResponse> {
  const { entry, existing } = await worktrees.create({
    id: request.id ?? '',
    repository: request.repository ?? '',
    tenant: request.tenant ?? '',
    name: request.name ?? '',
    baseRef: request.base_ref,
    existingBranch: request.existing_branch,
    fetch: request.fetch ?? false,
    copy: request.copy ?? [],
    branchPrefix: request.branch_prefix ?? '',
  });
  const { copied, setup, teardown } = entry;
  return { worktree: worktreeMessage(entry), copied, setup, teardown, existing };
}

async function remove(
  worktrees: Worktrees,
  request: RemoveWorktreeRequest__Output,
  givenUp: () => boolean,
): Promise<RemoveWorktreeResponse> {
  const options = {
    force: request.force ?? false,
    deleteBranch: request.delete_branch ?? false,
    dryRun: request.dry_run ?? false,
  };
  const result = await worktrees.remove(request.id ?? '', options, givenUp);
  const { taken } = takeWithin(result.stakes.slice(0, MAX_STAKES), MAX_ANSWER_BYTES, ({ what }) => textBytes(what));
  return {
    removed: result.removed,
    at_stake: taken.map(stakeMessage),
    truncated: result.truncated || taken.length < result.stakes.length,
    ...(result.rescue && { rescue: rescueMessage(result.rescue) }),
    branch_deleted: result.branchDeleted,
  };
}

async function readCommits(worktrees: Worktrees, request: GetLogRequest__Output): Promise<GetLogResponse> {
  const { limit = 0, after, since_base: sinceBase = false } = request;
  const { commits, more } = await worktrees.read(request.id ?? '', (worktree) => {
    return readLog(worktree, { limit: limit === 0 ? MAX_COMMITS : limit, after, sinceBase });
  });
  return logMessage(commits, more);
}

function makeCommit(worktrees: Worktrees, request: CommitRequest__Output): Promise<string> {
  const { message = '', trailers = [], all = false } = request;
  const author = { name: request.author_name ?? '', email: request.author_email ?? '' };
  return worktrees.write(request.id ?? '', (worktree) => commit(worktree, { message, author, trailers, all }));
}

/** Not under the repository's lock: the network may take its time, and git has locks of its own for refs. */
function push(worktrees: Worktrees, { id, remote }: PushRequest__Output): Promise<PushResponse> {
  return worktrees.read(id ?? '', async ({ repository, entry }) => {
    const pushed = await pushBranch(repository, entry.branch, remote === '' ? undefined : remote, worktrees.network);
    return { ...pushed, branch: entry.branch };
  });
}

function integrateBase(worktrees: Worktrees, request: IntegrateRequest__Output): Promise<IntegrateResponse> {
  const { mode, base_ref: baseRef } = request;
  if (mode !== 'merge' && mode !== 'rebase') throw new DomainError('INVALID_ARGUMENT', 'mode: merge or rebase.');
  const author = { name: request.author_name ?? '', email: request.author_email ?? '' };
  return worktrees.write(request.id ?? '', async (worktree) => {
    const { result, head, conflicts } = await integrate(worktree, { mode, baseRef, author });
    return {
      result,
      head,
      conflicts: takeWithin(conflicts.slice(0, MAX_CONFLICTS), MAX_ANSWER_BYTES, textBytes).taken.slice(),
    };
  });
}
