/** Names to commits. Only names of refs and commit ids are taken: no revision expression reaches git. */
import { DomainError } from '../../kernel/errors.js';
import { checkRef } from './names.js';
import type { Git, Repository } from './repository.js';

export const COMMIT_ID = /^([0-9a-f]{40}|[0-9a-f]{64})$/;

export interface Resolved {
  /** `refs/heads/main`, or the commit's id when that was given. */
  readonly ref: string;
  readonly commit: string;
}

/**
 * The first of these refs that leads to a commit.
 * @param candidates whole names or commit ids, checked already
 */
export async function firstCommit(git: Git, candidates: readonly string[]): Promise<Resolved | undefined> {
  const input = candidates.map((ref) => `${ref}^{commit}\n`).join('');
  const { stdout } = await git.run(['cat-file', '--batch-check=%(objectname) %(objecttype)'], { input });
  const lines = stdout.toString().split('\n');
  for (const [index, ref] of candidates.entries()) {
    const [commit = '', type] = (lines[index] ?? '').split(' ');
    if (type === 'commit' && COMMIT_ID.test(commit)) return { ref, commit };
  }
  return undefined;
}

/**
 * A base that a caller named: a whole ref, a branch, a remote's branch, a tag or a commit id, in this order.
 * @param remoteFirst a branch of this remote goes before one of the same name here
 * @throws DomainError INVALID_ARGUMENT or REF_NOT_FOUND
 */
export async function resolveRef(git: Git, field: string, asked: string, remoteFirst?: string): Promise<Resolved> {
  checkRef(field, asked);
  const candidates = [
    ...(remoteFirst === undefined ? [] : [`refs/remotes/${remoteFirst}/${asked}`]),
    ...(asked.startsWith('refs/') ? [asked] : []),
    ...['heads', 'remotes', 'tags'].map((kind) => `refs/${kind}/${asked}`),
    ...(/^[0-9a-f]{7,64}$/.test(asked) ? [asked] : []),
  ];
  const found = await firstCommit(git, candidates);
  if (found)
    return COMMIT_ID.test(found.commit) && !found.ref.startsWith('refs/') ? { ...found, ref: found.commit } : found;
  throw new DomainError('REF_NOT_FOUND', `${field}: there is no such branch, tag or commit.`);
}

/** What HEAD points at, as `refs/heads/…`; undefined when detached. */
export async function headRef(git: Git): Promise<string | undefined> {
  const { stdout, code } = await git.run(['symbolic-ref', '-q', 'HEAD'], { accept: [0, 1] });
  return code === 0 ? stdout.toString().trimEnd() : undefined;
}

/**
 * The remote's default branch as a whole ref, else the branch of HEAD, or its commit when it is detached: `HEAD` is another
 * commit in each worktree. Undefined when none of them has a commit.
 */
export async function defaultBase(repository: Repository): Promise<Resolved | undefined> {
  const remotes = repository.config.remotes.map(({ name }) => name);
  const origin = remotes.includes('origin') ? 'origin' : remotes[0];
  const guesses = origin === undefined ? [] : await remoteDefaults(repository, origin);
  const head = await headRef(repository);
  const found = await firstCommit(repository, [...guesses, head ?? 'HEAD']);
  return found?.ref === 'HEAD' ? { ...found, ref: found.commit } : found;
}

async function remoteDefaults(repository: Repository, remote: string): Promise<string[]> {
  if (!isPlain(remote)) return [];
  const { stdout, code } = await repository.run(['symbolic-ref', '-q', `refs/remotes/${remote}/HEAD`], {
    accept: [0, 1],
  });
  const named = code === 0 ? [stdout.toString().trimEnd()] : [];
  return [...named, `refs/remotes/${remote}/main`, `refs/remotes/${remote}/master`];
}

/** A remote's name comes out of the repository's configuration, where it can be anything. */
function isPlain(name: string): boolean {
  try {
    return checkRef('remote', name) === name;
  } catch {
    return false;
  }
}
