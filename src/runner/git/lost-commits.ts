/** Commits that a removal would leave without a name. */
import { lstat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DomainError } from '../../kernel/errors.js';
import { openFile, withinBytes } from './files.js';
import type { Entry } from './journal.js';
import type { Pinned } from './pinned.js';
import { firstCommit } from './refs.js';
import type { Git } from './repository.js';
import { baseNow } from './status.js';

/** Commits that are told, and those that are put aside. */
export const MAX_COMMITS = 1000;
const MAX_KEPT = 100_000;
/** Of the log of HEAD; of one that is longer it is not known what it holds. */
const MAX_LOG_BYTES = 8 * 1024 * 1024;
/** Parents of one commit. */
const MAX_PARENTS = 500;
const TIMEOUT_MS = 120_000;

/** Refs that each worktree has of its own. */
const OWN_REFS = ['refs/worktree/', 'refs/bisect/', 'refs/rewritten/'];
/** Files in git's record of a worktree that name a commit, of which no ref may know. */
const NAMING = [
  ...['ORIG_HEAD', 'MERGE_HEAD', 'MERGE_AUTOSTASH', 'CHERRY_PICK_HEAD', 'REVERT_HEAD', 'REBASE_HEAD'],
  ...['rebase-merge', 'rebase-apply'].flatMap((folder) => [`${folder}/autostash`, `${folder}/orig-head`]),
];
const LOG = 'logs/HEAD';
/** What git, and we, say in the log where a commit was replaced by another on purpose: nothing of the one before is lost. */
const REPLACED = /^[^\t]*\t(?:commit \(amend\)|rebase|pull --rebase)[: ]/;
const ID = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;

/** What git's record of a worktree leads to, and no branch. */
export interface Recorded {
  readonly commits: readonly string[];
  /** What could not be read. */
  readonly unknown: readonly string[];
}

/**
 * Commits of these refs on no remote and not in the base, newest first.
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
  return linesOf(stdout);
}

/**
 * Commits that only git's record of the worktree leads to: by a ref of its own, by the log of its HEAD (after a
 * `reset --hard`, say), or by what a rebase has put away. They are gone with it, but for those on a branch.
 * @param admin git's record of the worktree
 */
export async function recordedCommits(
  git: Git,
  entry: Entry,
  admin: Pinned,
  kept: readonly string[] = [],
): Promise<Recorded> {
  const { tips, replaced, unknown } = await recordedTips(git, admin);
  const lines = await lostLines(git, entry, { tips, kept: [...kept, ...replaced], max: MAX_COMMITS });
  return { commits: lines.map(([commit = '']) => commit), unknown };
}

/**
 * The fewest commits from which all of those are reached.
 * @throws DomainError WOULD_LOSE_WORK when there are too many
 */
export async function recordedHeads(git: Git, entry: Entry, admin: Pinned): Promise<string[]> {
  const { tips, unknown } = await recordedTips(git, admin);
  const lines = await lostLines(git, entry, { tips, kept: [], max: MAX_KEPT });
  if (unknown.length > 0 || lines.length >= MAX_KEPT) {
    throw new DomainError('WOULD_LOSE_WORK', 'More commits are at stake than can be put aside.');
  }
  const parents = new Set(lines.flatMap((line) => line.slice(1)));
  return lines.flatMap(([commit = '']) => (parents.has(commit) ? [] : [commit]));
}

/**
 * So few commits that one can have all as parents, from which those are reached.
 * @param make a commit with these parents
 */
export async function gather(
  commits: readonly string[],
  make: (parents: readonly string[]) => Promise<string>,
): Promise<readonly string[]> {
  if (commits.length <= MAX_PARENTS) return commits;
  const made: string[] = [];
  for (let start = 0; start < commits.length; start += MAX_PARENTS) {
    made.push(await make(commits.slice(start, start + MAX_PARENTS)));
  }
  return gather(made, make);
}

/** Each commit with its parents, newest first. */
async function lostLines(
  git: Git,
  entry: Entry,
  { tips, kept, max }: { readonly tips: readonly string[]; readonly kept: readonly string[]; readonly max: number },
): Promise<string[][]> {
  if (tips.length === 0) return [];
  const head = (await firstCommit(git, ['HEAD']))?.commit;
  const not = [entry.baseCommit, ...kept, ...(head === undefined ? [] : [head])];
  const input = [...tips, ...not.map((commit) => `^${commit}`)].map((line) => `${line}\n`).join('');
  const args = ['rev-list', '--parents', `--max-count=${String(max)}`, '--stdin'];
  // Branches, tags and stashes outlive the worktree.
  const named = ['--not', '--branches', '--tags', '--remotes', '--glob=refs/stash'];
  const { stdout, truncated } = await git.run([...args, ...named], { input, timeoutMs: TIMEOUT_MS });
  if (truncated) throw new DomainError('WOULD_LOSE_WORK', 'More commits are at stake than can be listed.');
  return linesOf(stdout).map((line) => line.split(' '));
}

interface Tips {
  readonly tips: readonly string[];
  /** Commits that others took the place of. */
  readonly replaced: readonly string[];
  readonly unknown: readonly string[];
}

async function recordedTips(git: Git, admin: Pinned): Promise<Tips> {
  const refs = await git.run(['for-each-ref', '--format=%(objectname)', ...OWN_REFS]);
  const read = await Promise.all([LOG, ...NAMING].map((name) => readIds(admin, name)));
  const unknown = [LOG, ...NAMING].filter((_, index) => read[index] === undefined);
  const found = read.flatMap((each) => each ?? []);
  const ids = [...new Set([...linesOf(refs.stdout), ...found.flatMap((each) => each.ids)])];
  const replaced = [...new Set(found.flatMap((each) => each.replaced))];
  return { tips: await commitsOf(git, ids), replaced: await commitsOf(git, replaced), unknown };
}

interface Found {
  readonly ids: readonly string[];
  readonly replaced: readonly string[];
}

/** Every id in a file. @returns undefined when it cannot be read or is too long */
async function readIds(admin: Pinned, name: string): Promise<Found | undefined> {
  const file = await openFile(admin, name);
  if (file === undefined) return (await isHidden(admin, name)) ? undefined : { ids: [], replaced: [] };
  try {
    if ((await file.stat()).size > MAX_LOG_BYTES) return undefined;
    const lines = (await file.readFile('latin1')).split('\n');
    const idsOf = (line: string): string[] => line.split(' ', 2).filter((word) => ID.test(word) && !/^0+$/.test(word));
    return { ids: lines.flatMap(idsOf), replaced: replacedIn(lines) };
  } finally {
    await file.close();
  }
}

/** One that the HEAD came back to afterwards, such as by giving up a rebase, was not replaced. */
function replacedIn(lines: readonly string[]): string[] {
  const replaced = new Set<string>();
  for (const line of lines) {
    const [before = '', after = ''] = line.split(' ', 2);
    if (REPLACED.test(line) && ID.test(before)) replaced.add(before);
    replaced.delete(after);
  }
  return [...replaced];
}

/** Is there a link or a pipe in its place, or in that of its folder? It is not followed. */
async function isHidden(admin: Pinned, name: string): Promise<boolean> {
  const look = (path: string) => withinBytes(admin, Buffer.from(path), (entry) => lstat(entry));
  const found = (await look(name)) ?? (await look(dirname(name)));
  return found !== undefined && !found.isDirectory();
}

/** Those that there are; of a tag the commit that it names. */
async function commitsOf(git: Git, ids: readonly string[]): Promise<string[]> {
  if (ids.length === 0) return [];
  const input = ids.map((id) => `${id}^{commit}\n`).join('');
  const { stdout } = await git.run(['cat-file', '--batch-check=%(objectname) %(objecttype)'], { input });
  return linesOf(stdout).flatMap((line) => (line.endsWith(' commit') ? [line.slice(0, line.indexOf(' '))] : []));
}

const linesOf = (output: Buffer): string[] => output.toString().split('\n').slice(0, -1);
