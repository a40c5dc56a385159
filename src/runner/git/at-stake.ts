/** What a removal would lose. */
import { existsSync, lstatSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { openFile } from './files.js';
import type { Entry } from './journal.js';
import type { Pinned } from './pinned.js';
import { firstCommit } from './refs.js';
import type { Git } from './repository.js';
import { baseNow, listChanges, operationOf, stashesOf } from './status.js';
import { type Change, splitRecords } from './status-parser.js';
import type { Worktree } from './worktree.js';

export type StakeKind =
  'unstaged' | 'staged' | 'untracked' | 'ignored' | 'unpushed_commits' | 'stash' | 'operation' | 'submodule';

export interface Stake {
  readonly kind: StakeKind;
  /** A path, as bytes; a commit; the name of a stash. */
  readonly what: Buffer;
}

export interface Stakes {
  readonly stakes: readonly Stake[];
  /** There is more than is listed. */
  readonly truncated: boolean;
  /** There are files that git could not be made to list, so they cannot be put aside; commits always can. */
  readonly incomplete: boolean;
}

const MAX_COMMITS = 1000;
const LISTING_BYTES = 256 * 1024 * 1024;
/** A copied file is compared with the one it was copied from up to this size. */
const MAX_COMPARED_BYTES = 16 * 1024 * 1024;

/** What stands for the repositories that git keeps for submodules; no file of a worktree has this path. */
const MODULES = '.git/modules/';

/** Folders that tools make anew: ignored files in them are no work. */
export const REGENERABLE: ReadonlySet<string> = new Set([
  ...['node_modules', 'bower_components', 'target', 'dist', 'build', 'out', 'coverage'],
  ...['.venv', 'venv', '__pycache__', '.tox', '.mypy_cache', '.pytest_cache', '.ruff_cache', '.eggs'],
  ...['.gradle', '.next', '.nuxt', '.svelte-kit', '.turbo', '.parcel-cache', '.cache', '.terraform'],
]);

/**
 * Everything in the worktree and on its branch that is nowhere else.
 * @param kept commits that are put aside already
 */
export async function findStakes(worktree: Worktree, kept: readonly string[] = []): Promise<Stakes> {
  const status = await listChanges(worktree, true);
  const [tracked, stashes, commits] = await Promise.all([
    trackedStakes(worktree),
    stashesOf(worktree),
    unpushedCommits(worktree, worktree.entry, ['HEAD', `refs/heads/${worktree.entry.branch}`], kept),
  ]);
  const copies = await unchangedCopies(worktree);
  const begun = worktree.entry.state === 'removing';
  const there = status.changes.filter((change) => !begun || change.worktree !== 'D');
  const changes = there.flatMap(stakesOf).filter(({ kind, what }) => {
    return kind !== 'ignored' || !(isRegenerable(what) || copies.has(what.toString()));
  });
  const operation = operationOf(worktree);
  return {
    stakes: [
      ...changes,
      ...tracked,
      ...named('unpushed_commits', commits),
      ...named('stash', stashes),
      ...named('operation', operation === undefined ? [] : [operation]),
    ],
    truncated: status.truncated || commits.length >= MAX_COMMITS,
    incomplete: status.truncated,
  };
}

/**
 * Commits on no remote and not in the base, newest first.
 * @param kept what is in these does not count either
 */
export async function unpushedCommits(
  git: Git,
  entry: Entry,
  of: readonly string[],
  kept: readonly string[] = [],
): Promise<string[]> {
  const tips = (await Promise.all(of.map((ref) => firstCommit(git, [ref])))).flatMap((found) => found?.commit ?? []);
  if (tips.length === 0) return [];
  const not = ['--not', '--remotes', await baseNow(git, entry), entry.baseCommit, ...kept];
  const { stdout } = await git.run(['rev-list', `--max-count=${String(MAX_COMMITS)}`, ...tips, ...not, '--']);
  return stdout.toString().split('\n').slice(0, -1);
}

function named(kind: StakeKind, names: readonly string[]): Stake[] {
  return names.map((name) => ({ kind, what: Buffer.from(name) }));
}

function stakesOf({ kind, path, index, worktree }: Change): Stake[] {
  if (kind === 'untracked' || kind === 'ignored') {
    // Only a repository inside the worktree is listed as a folder when it is not ignored.
    return [{ kind: kind === 'untracked' && path.at(-1) === 0x2f ? 'submodule' : kind, what: path }];
  }
  const staged: Stake[] = index === '.' || kind === 'unmerged' ? [] : [{ kind: 'staged', what: path }];
  return worktree === '.' ? staged : [...staged, { kind: 'unstaged', what: path }];
}

function isRegenerable(path: Buffer): boolean {
  return path
    .toString('latin1')
    .split('/')
    .some((name) => REGENERABLE.has(name));
}

/** Files whose changes git was told not to see, and submodules, into which nobody looks for us. */
async function trackedStakes(worktree: Worktree): Promise<Stake[]> {
  const submodules = (await listIndex(worktree)).flatMap(({ mode, path }): Stake[] => {
    return mode === '160000' && isThere(worktree, path, '/.git') ? [{ kind: 'submodule', what: path }] : [];
  });
  const hidden = (await hiddenFiles(worktree)).map((what): Stake => ({ kind: 'unstaged', what }));
  return [...(submodules.length > 0 ? submodules : moduleStakes(worktree.admin)), ...hidden];
}

/**
 * Repositories of submodules that are not checked out any more, or whose worktree's folder is gone: git keeps them in its
 * record of the worktree, with commits that may be nowhere else.
 * @param admin git's record of the worktree
 */
export function moduleStakes(admin: Pinned): Stake[] {
  return existsSync(`${admin.handle}/modules`) ? [{ kind: 'submodule', what: Buffer.from(MODULES) }] : [];
}

/** Files that are there, and marked `assume-unchanged` or `skip-worktree`, so that git tells no change of them. */
export async function hiddenFiles(worktree: Worktree): Promise<Buffer[]> {
  const entries = await listIndex(worktree);
  const hidden = entries.filter(({ tag, mode }) => mode !== '160000' && (tag === 'S' || tag !== tag.toUpperCase()));
  return hidden.map(({ path }) => path).filter((path) => isThere(worktree, path, ''));
}

interface IndexEntry {
  /** As `git ls-files -v` has it. */
  readonly tag: string;
  readonly mode: string;
  readonly path: Buffer;
}

async function listIndex(worktree: Worktree): Promise<IndexEntry[]> {
  const { stdout } = await worktree.run(['ls-files', '-v', '-s', '-z'], { maxBytes: LISTING_BYTES });
  return splitRecords(stdout).map((record) => {
    const tab = record.indexOf('\t');
    const [tag = '', mode = ''] = record.subarray(0, tab).toString('latin1').split(' ');
    return { tag, mode, path: record.subarray(tab + 1) };
  });
}

function isThere(worktree: Worktree, path: Buffer, below: string): boolean {
  const full = Buffer.concat([Buffer.from(`${worktree.tree.handle}/`), path, Buffer.from(below)]);
  return lstatSync(full, { throwIfNoEntry: false }) !== undefined;
}

/** What was copied at the creation and is still as it is in the repository. */
async function unchangedCopies(worktree: Worktree): Promise<Set<string>> {
  const original = worktree.repository.tree;
  const unchanged = new Set<string>();
  if (original === undefined || !existsSync(worktree.tree.handle)) return unchanged;
  for (const path of worktree.entry.copied) {
    const [one, other] = await Promise.all([openFile(worktree.tree, path), openFile(original, path)]);
    if (one && other && (await areEqual(one, other))) unchanged.add(path);
    await Promise.all([one?.close(), other?.close()]);
  }
  return unchanged;
}

async function areEqual(one: FileHandle, other: FileHandle): Promise<boolean> {
  const [{ size }, { size: otherSize }] = await Promise.all([one.stat(), other.stat()]);
  if (size !== otherSize || size > MAX_COMPARED_BYTES) return false;
  const [content, otherContent] = await Promise.all([one.readFile(), other.readFile()]);
  return content.equals(otherContent);
}
