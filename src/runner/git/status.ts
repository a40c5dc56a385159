import { existsSync } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { DomainError } from '../../kernel/errors.js';
import type { Entry } from './journal.js';
import { firstCommit } from './refs.js';
import type { Git } from './repository.js';
import { type ParsedStatus, parseStatus } from './status-parser.js';
import { diskUse } from './tree.js';
import type { Worktree } from './worktree.js';

/** Files that are listed, and what git may write about them. */
export const MAX_FILES = 5000;
const MAX_BYTES = 16 * 1024 * 1024;
const MAX_STASHES = 1000;
/** Worktrees whose files are counted at a time. */
const MAX_COUNTING = 2;
const counting = new Set<string>();

const OPERATIONS: readonly (readonly [file: string, operation: string])[] = [
  ['rebase-merge', 'rebase'],
  ['rebase-apply', 'rebase'],
  ['MERGE_HEAD', 'merge'],
  ['CHERRY_PICK_HEAD', 'cherry-pick'],
  ['REVERT_HEAD', 'revert'],
  ['BISECT_LOG', 'bisect'],
];

export interface WorktreeStatus extends ParsedStatus {
  readonly truncated: boolean;
  readonly aheadOfBase: number;
  readonly behindBase: number;
  readonly operation: string | undefined;
  readonly stashes: number;
  readonly lastChangeMs: number | undefined;
  readonly diskBytes: number | undefined;
}

/**
 * What is changed in a worktree.
 * @throws DomainError WORKTREE_LIMIT when its files, or those of too many others, are being counted already
 */
export async function readStatus(worktree: Worktree, withDiskUse: boolean): Promise<WorktreeStatus> {
  if (!withDiskUse) return readWith(worktree, () => Promise.resolve(undefined));
  const { entry, tree } = worktree;
  // Before anything else is begun, so that nothing of it is still under way when this is refused.
  if (counting.has(entry.id) || counting.size >= MAX_COUNTING) {
    throw new DomainError('WORKTREE_LIMIT', 'disk_use: too many worktrees are being counted.');
  }
  counting.add(entry.id);
  try {
    return await readWith(worktree, () => diskUse(`${tree.handle}/.`));
  } finally {
    counting.delete(entry.id);
  }
}

async function readWith(worktree: Worktree, count: () => Promise<number | undefined>): Promise<WorktreeStatus> {
  const [status, base, stashes, diskBytes] = await Promise.all([
    listChanges(worktree),
    compareWithBase(worktree),
    stashesOf(worktree),
    count(),
  ]);
  const changes = status.changes.slice(0, MAX_FILES);
  return {
    ...{ ...status, ...base, changes, diskBytes },
    truncated: status.truncated || changes.length < status.changes.length,
    operation: operationOf(worktree),
    stashes: stashes.length,
    lastChangeMs: await lastChange(worktree, changes),
  };
}

/**
 * Every change that git sees.
 * @param ignored files that are ignored too, or the folders that are as a whole
 */
export async function listChanges(
  worktree: Worktree,
  ignored = false,
): Promise<ParsedStatus & { readonly truncated: boolean }> {
  const kinds = ['--untracked-files=all', `--ignored=${ignored ? 'matching' : 'no'}`, '--ignore-submodules=dirty'];
  const shape = ['--porcelain=v2', '-z', '--branch', '--ahead-behind', '--find-renames'];
  const { stdout, truncated } = await worktree.run(['status', ...shape, ...kinds], { maxBytes: MAX_BYTES });
  return { ...parseStatus(stdout), truncated };
}

/** What is under way in it: `merge`, `rebase`, … */
export function operationOf({ admin }: Worktree): string | undefined {
  return OPERATIONS.find(([file]) => existsSync(`${admin.handle}/${file}`))?.[1];
}

/** The commit that the base is at now; the one it was at when it is gone, or was no ref. */
export async function baseNow(git: Git, entry: Entry): Promise<string> {
  // Asked in a worktree, `HEAD` would be the worktree's own, and nothing in it would ever be at stake.
  if (!entry.baseRef.startsWith('refs/')) return entry.baseCommit;
  return (await firstCommit(git, [entry.baseRef]))?.commit ?? entry.baseCommit;
}

async function compareWithBase(worktree: Worktree): Promise<{ aheadOfBase: number; behindBase: number }> {
  const [base, head] = await Promise.all([baseNow(worktree, worktree.entry), firstCommit(worktree, ['HEAD'])]);
  if (head === undefined) return { aheadOfBase: 0, behindBase: 0 };
  const range = `${base}...${head.commit}`;
  const { stdout } = await worktree.run(['rev-list', '--left-right', '--count', '--end-of-options', range, '--']);
  const [behindBase = 0, aheadOfBase = 0] = stdout.toString().trim().split('\t').map(Number);
  return { aheadOfBase, behindBase };
}

/** Names of the stashes that were made on its branch. They belong to the repository and outlive the worktree. */
export async function stashesOf(worktree: Worktree): Promise<string[]> {
  if (!(await firstCommit(worktree, ['refs/stash']))) return [];
  const range = [`--max-count=${String(MAX_STASHES)}`, '--end-of-options', 'refs/stash', '--'];
  const { stdout } = await worktree.run(['log', '-g', '-z', '--format=%gs', ...range]);
  const subjects = stdout.toString().split('\0');
  return subjects.flatMap((subject, index) => {
    const [, branch] = /^(?:WIP on|On) ([^:]+):/i.exec(subject) ?? [];
    return branch === worktree.entry.branch ? [`stash@{${String(index)}}`] : [];
  });
}

/** The newest time of a changed file or the index, milliseconds since 1970. */
async function lastChange(worktree: Worktree, changes: ParsedStatus['changes']): Promise<number | undefined> {
  const files = changes.map(({ path }) => Buffer.concat([Buffer.from(`${worktree.tree.handle}/`), path]));
  let newest = 0;
  for (const file of [`${worktree.admin.handle}/index`, ...files]) {
    const found = await lstat(file).catch(() => undefined);
    newest = Math.max(newest, found?.mtimeMs ?? 0);
  }
  return newest === 0 ? undefined : Math.floor(newest);
}
