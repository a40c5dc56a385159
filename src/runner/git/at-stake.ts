/** What a removal would lose. */
import { existsSync, lstatSync, type Stats } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { DomainError } from '../../kernel/errors.js';
import { openFile } from './files.js';
import { MAX_COMMITS, recordedCommits, type Recorded, unpushedCommits } from './lost-commits.js';
import { findNested, isFilled, type Nested } from './nested.js';
import type { Pinned } from './pinned.js';
import { withoutSlash } from './rescue-files.js';
import { listChanges, operationOf, stashesOf } from './status.js';
import { type Change, splitRecords } from './status-parser.js';
import type { Worktree } from './worktree.js';

export type StakeKind =
  | 'unstaged'
  | 'staged'
  | 'untracked'
  | 'ignored'
  | 'unpushed_commits'
  | 'stash'
  | 'operation'
  | 'submodule'
  | 'session';

export interface Stake {
  readonly kind: StakeKind;
  /** A path, as bytes; a commit; the name of a stash; the id of a session. */
  readonly what: Buffer;
}

export interface Stakes {
  readonly stakes: readonly Stake[];
  /** There is more than is listed. */
  readonly truncated: boolean;
  /** There are files that git could not be made to list, so they cannot be put aside; commits always can. */
  readonly incomplete: boolean;
}

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
  const { entry, admin } = worktree;
  const status = await listChanges(worktree, true);
  const [index, stashes, commits, recorded, nested] = await Promise.all([
    listIndex(worktree),
    stashesOf(worktree),
    unpushedCommits(worktree, entry, ['HEAD', `refs/heads/${entry.branch}`], kept),
    recordedCommits(worktree, entry, admin, kept),
    findNested(worktree.tree),
  ]);
  const begun = entry.state === 'removing';
  const there = status.changes.filter((change) => !begun || change.worktree !== 'D');
  const anew = new Set(there.filter((change) => isRegenerable(worktree, change)).map(({ path }) => path));
  const copies = await unchangedCopies(worktree);
  const changes = there.flatMap(stakesOf).filter(({ kind, what }) => {
    return kind !== 'ignored' || !(anew.has(what) || copies.has(what.toString()));
  });
  const operation = operationOf(worktree);
  const all = [
    ...changes,
    ...(await repositoryStakes(worktree, index, { nested, anew: [...anew] })),
    ...hiddenIn(worktree, index).map((what): Stake => ({ kind: 'unstaged', what })),
    ...commitStakes(commits, recorded),
    ...named('stash', stashes),
    ...named('operation', operation === undefined ? [] : [operation]),
  ];
  return {
    stakes: withoutDoubles(all),
    truncated: status.truncated || commits.length >= MAX_COMMITS || recorded.commits.length >= MAX_COMMITS,
    incomplete: status.truncated || nested.unknown.length > 0 || recorded.unknown.length > 0,
  };
}

/** Each commit once, and what may name more of them. */
export function commitStakes(commits: readonly string[], { commits: recorded, unknown }: Recorded): Stake[] {
  return named('unpushed_commits', [...new Set([...commits, ...recorded, ...unknown])]);
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

/** An ignored folder that tools make anew, or a link to one: not a file of that name, nor what lies in such a folder. */
function isRegenerable({ tree }: Worktree, { kind, path }: Change): boolean {
  if (kind !== 'ignored') return false;
  const bare = withoutSlash(path);
  const isFolder = bare.length < path.length;
  const name = bare.toString('latin1').replace(/^.*\//s, '');
  return REGENERABLE.has(name) && (isFolder || lookAt(tree, bare)?.isSymbolicLink() === true);
}

/** Git lists a repository that it does not follow with a slash at its end. */
function withoutDoubles(stakes: readonly Stake[]): Stake[] {
  const known = new Set<string>();
  return stakes.filter(({ kind, what }) => {
    const path = kind === 'submodule' && !what.equals(Buffer.from(MODULES)) ? withoutSlash(what) : what;
    const key = `${kind} ${path.toString('latin1')}`;
    return !known.has(key) && known.add(key);
  });
}

interface Found {
  readonly nested: Nested;
  /** Folders that tools make anew. */
  readonly anew: readonly Buffer[];
}

/** Submodules and other repositories inside: git looks into none of them for us. */
async function repositoryStakes(worktree: Worktree, index: readonly IndexEntry[], found: Found): Promise<Stake[]> {
  const submodules: Stake[] = [];
  for (const { mode, path } of index) {
    // What lies in the folder of one that is not checked out is told by no status either.
    if (mode === '160000' && (await isFilled(worktree.tree, path))) submodules.push({ kind: 'submodule', what: path });
  }
  const modules = submodules.length > 0 ? [] : moduleStakes(worktree.admin);
  const { repositories, bare, unknown } = found.nested;
  // Elsewhere its files are listed like all others.
  const hidden = bare.filter((path) => found.anew.some((folder) => path.indexOf(folder) === 0));
  const others = [...repositories, ...hidden, ...unknown].map((what): Stake => ({ kind: 'submodule', what }));
  return [...submodules, ...others, ...modules];
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
  return hiddenIn(worktree, await listIndex(worktree));
}

function hiddenIn({ tree }: Worktree, entries: readonly IndexEntry[]): Buffer[] {
  const hidden = entries.filter(({ tag, mode }) => mode !== '160000' && (tag === 'S' || tag !== tag.toUpperCase()));
  return hidden.map(({ path }) => path).filter((path) => lookAt(tree, path) !== undefined);
}

interface IndexEntry {
  /** As `git ls-files -v` has it. */
  readonly tag: string;
  readonly mode: string;
  readonly path: Buffer;
}

async function listIndex(worktree: Worktree): Promise<IndexEntry[]> {
  const { stdout, truncated } = await worktree.run(['ls-files', '-v', '-s', '-z'], { maxBytes: LISTING_BYTES });
  if (truncated) throw new DomainError('GIT_FAILED', 'The index is too large to be looked through.');
  return splitRecords(stdout).map((record) => {
    const tab = record.indexOf('\t');
    const [tag = '', mode = ''] = record.subarray(0, tab).toString('latin1').split(' ');
    return { tag, mode, path: record.subarray(tab + 1) };
  });
}

function lookAt(tree: Pinned, path: Buffer): Stats | undefined {
  return lstatSync(Buffer.concat([Buffer.from(`${tree.handle}/`), path]), { throwIfNoEntry: false });
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
