import { dirname, join } from 'node:path';
import { DomainError } from '../../kernel/errors.js';
import { shortHash } from '../../kernel/private-directory.js';
import { copyUntracked } from './copy.js';
import { makeFolder } from './durable.js';
import { readGatehouseFile } from './gatehouse-file.js';
import { checkGlobs } from './globs.js';
import type { Entry } from './journal.js';
import { checkId, checkRef, checkTenant, slugOf, uniqueName } from './names.js';
import { defaultBase, firstCommit, type Resolved, resolveRef } from './refs.js';
import type { Repository } from './repository.js';
import { failure } from './run.js';
import type { Worktree } from './worktree.js';

export interface CreateRequest {
  readonly id: string;
  readonly repository: string;
  readonly tenant: string;
  readonly name: string;
  readonly baseRef: string | undefined;
  readonly existingBranch: string | undefined;
  readonly fetch: boolean;
  readonly copy: readonly string[];
  readonly branchPrefix: string;
}

const MAX_NAME_BYTES = 1000;
/** Writing out the files of a large repository on a slow disk. */
const CHECKOUT_TIMEOUT_MS = 600_000;
const PREFIX = /^[A-Za-z0-9][A-Za-z0-9_-]{0,30}(\/[A-Za-z0-9][A-Za-z0-9_-]{0,30}){0,3}\/$/;

/** @throws DomainError INVALID_ARGUMENT naming the field */
export function checkCreate(request: CreateRequest): void {
  checkId(request.id);
  checkTenant(request.tenant);
  if (request.name.trim() === '' || Buffer.byteLength(request.name) > MAX_NAME_BYTES) {
    throw new DomainError('INVALID_ARGUMENT', `name: 1 to ${String(MAX_NAME_BYTES)} bytes.`);
  }
  if (!PREFIX.test(request.branchPrefix)) {
    throw new DomainError('INVALID_ARGUMENT', 'branch_prefix: names that end with a slash.');
  }
  if (request.baseRef !== undefined) checkRef('base_ref', request.baseRef);
  if (request.existingBranch !== undefined) checkRef('existing_branch', request.existingBranch);
  checkGlobs('copy', request.copy);
}

/**
 * Decides what a new worktree will be, before anything is made.
 * @param root where worktrees are
 * @param remote that was fetched, if any
 * @throws DomainError REF_NOT_FOUND
 */
export async function planWorktree(
  request: CreateRequest,
  repository: Repository,
  root: string,
  remote: string | undefined,
): Promise<Entry> {
  const base = await findBase(request, repository, remote);
  const name = uniqueName(request.name);
  const adopted = request.existingBranch !== undefined;
  if (request.existingBranch !== undefined) {
    const ref = `refs/heads/${request.existingBranch}`;
    if (!(await firstCommit(repository, [ref]))) {
      throw new DomainError('REF_NOT_FOUND', 'existing_branch: there is no such branch.');
    }
  }
  const folder = `${slugOf(repository.path.slice(repository.path.lastIndexOf('/') + 1))}-${shortHash(repository.path)}`;
  return {
    ...{ version: 1, id: request.id, state: 'creating', adopted, name },
    ...{ repository: repository.path, gitDir: repository.gitDir.path },
    path: join(root, request.tenant, folder, name),
    branch: request.existingBranch ?? `${request.branchPrefix}${name}`,
    ...{ baseRef: base.ref, baseCommit: base.commit, createdAt: Date.now() },
    ...{ copied: [], setup: [], teardown: [], removal: null },
  };
}

async function findBase(request: CreateRequest, repository: Repository, remote?: string): Promise<Resolved> {
  if (request.baseRef !== undefined) return resolveRef(repository, 'base_ref', request.baseRef, remote);
  const base = await defaultBase(repository);
  if (base) return base;
  throw new DomainError('REF_NOT_FOUND', 'The repository has no commit to start from.');
}

/**
 * Makes branch, folder and git's record, without the files. The branch is made by a call of its own, which reaches the
 * repository by its descriptor alone: `worktree add` has another git make it, by a path that may lead elsewhere by then.
 * @throws DomainError BRANCH_IN_USE
 */
export async function addWorktree(entry: Entry, repository: Repository): Promise<void> {
  await makeFolder(dirname(entry.path));
  if (!entry.adopted) {
    // Of no branch that is there: its name has six random characters.
    await repository.run(['update-ref', `refs/heads/${entry.branch}`, entry.baseCommit, '']);
  }
  const args = ['worktree', 'add', '--quiet', '--no-checkout', '--', entry.path, entry.branch];
  // The new record, too, is to be where the others are.
  const writable = [dirname(entry.path), join(repository.gitDir.path, 'worktrees')];
  const result = await repository.run(args, { accept: [0, 128, 255], writable });
  if (result.code === 0) return;
  if (/already (checked out|used by worktree)/.test(result.stderr)) {
    throw new DomainError('BRANCH_IN_USE', 'existing_branch: it is checked out in another worktree.');
  }
  throw failure(result);
}

/** Writes out the files, and copies what is asked for beside them. */
export async function fillWorktree(worktree: Worktree, globs: readonly string[], trusted: boolean): Promise<Entry> {
  await worktree.run(['reset', '--hard', '--quiet', '--no-recurse-submodules'], { timeoutMs: CHECKOUT_TIMEOUT_MS });
  const file = trusted ? await readGatehouseFile(worktree.tree) : undefined;
  const copied = await copyUntracked(worktree.repository, worktree.tree, [...globs, ...(file?.copy ?? [])]);
  const { setup = [], teardown = [] } = file ?? {};
  return { ...worktree.entry, state: 'ready', copied, setup, teardown };
}
