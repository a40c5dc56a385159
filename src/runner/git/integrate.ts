/** The base into the branch. Made without touching the files, so that a conflict leaves nothing to undo. */
import { DomainError } from '../../kernel/errors.js';
import { cutText } from './bounded.js';
import { checkPerson, moveHead, type Person, refuseOperation } from './commit.js';
import { hiddenFiles } from './at-stake.js';
import { firstCommit, headRef, resolveRef } from './refs.js';
import { withoutSlash } from './rescue-files.js';
import { identity } from './settings.js';
import { listChanges } from './status.js';
import { splitRecords } from './status-parser.js';
import type { Worktree } from './worktree.js';

/** Commits that are moved by one rebase. */
const MAX_COMMITS = 500;
const TIMEOUT_MS = 120_000;
/** Lists of the files that come and of those that git does not follow. */
const LISTING = { maxBytes: 256 * 1024 * 1024, timeoutMs: TIMEOUT_MS };
/** Of the files that are in the way, so many are named, each by so much. */
const MAX_TOLD = 10;
const MAX_TOLD_BYTES = 200;

export interface IntegrateRequest {
  readonly mode: 'merge' | 'rebase';
  /** The worktree's base when undefined. */
  readonly baseRef: string | undefined;
  readonly author: Person;
}

export interface IntegrateResult {
  readonly result: 'up_to_date' | 'done' | 'conflict';
  readonly head: string;
  /** Paths. */
  readonly conflicts: readonly string[];
}

type Env = Readonly<Record<string, string>>;
type Merged = { readonly tree: string } | { readonly conflicts: readonly string[] };

/**
 * Merges the base into the branch, or rebases the branch onto it.
 * @throws DomainError WORKTREE_NOT_READY when files are changed or an operation is under way
 */
export async function integrate(worktree: Worktree, request: IntegrateRequest): Promise<IntegrateResult> {
  const env = identity(...checkPerson(request.author));
  await refuseDirty(worktree);
  const head = await firstCommit(worktree, ['HEAD']);
  if (!head) throw new DomainError('REF_NOT_FOUND', 'The branch has no commit.');
  const asked = request.baseRef ?? worktree.entry.baseRef;
  const base = await resolveRef(worktree, 'base_ref', asked);
  if (await isAncestor(worktree, base.commit, head.commit))
    return { result: 'up_to_date', head: head.commit, conflicts: [] };
  const make = request.mode === 'merge' ? merge : rebase;
  const made = await make(worktree, head.commit, base.commit, { env, asked, author: request.author });
  if (typeof made !== 'string') return { result: 'conflict', head: head.commit, conflicts: made.conflicts };
  await refuseOverwriting(worktree, head.commit, made);
  await checkOut(worktree, head.commit, made);
  try {
    await moveHead(worktree, made, head.commit, `${request.mode}: ${asked}`, env);
  } catch (error) {
    // Somebody has committed meanwhile: what came must not look like changes of theirs.
    await checkOut(worktree, made, head.commit).catch(() => undefined);
    throw error;
  }
  return { result: 'done', head: made, conflicts: [] };
}

async function refuseDirty(worktree: Worktree): Promise<void> {
  refuseOperation(worktree);
  const { changes } = await listChanges(worktree);
  if (changes.every(({ kind }) => kind === 'untracked') && (await hiddenFiles(worktree)).length === 0) return;
  throw new DomainError('WORKTREE_NOT_READY', 'Files are changed: commit or discard them first.');
}

interface How {
  readonly env: Env;
  readonly asked: string;
  readonly author: Person;
}

interface Conflict {
  readonly conflicts: readonly string[];
}

async function merge(worktree: Worktree, head: string, base: string, { env, asked }: How): Promise<string | Conflict> {
  if (await isAncestor(worktree, head, base)) return base;
  const merged = await mergeTrees(worktree, head, base);
  if ('conflicts' in merged) return merged;
  const branch = (await headRef(worktree))?.replace(/^refs\/heads\//, '') ?? 'HEAD';
  const input = `Merge ${asked.replace(/^refs\/(heads|remotes)\//, '')} into ${branch}\n`;
  const { stdout } = await worktree.run(['commit-tree', merged.tree, '-p', head, '-p', base, '-F', '-'], {
    env,
    input,
  });
  return stdout.toString().trimEnd();
}

/** One commit after the other; merges, and what the base has already, are left out, as `git rebase` does. */
async function rebase(worktree: Worktree, head: string, base: string, { author }: How): Promise<string | Conflict> {
  const range = [
    '--reverse',
    '--topo-order',
    '--no-merges',
    '--cherry-pick',
    '--right-only',
    `${base}...${head}`,
    '--',
  ];
  const { stdout } = await worktree.run(['rev-list', ...range], { timeoutMs: TIMEOUT_MS });
  const commits = stdout.toString().split('\n').slice(0, -1);
  if (commits.length > MAX_COMMITS) {
    throw new DomainError('GIT_FAILED', `More than ${String(MAX_COMMITS)} commits: rebase them in a terminal.`);
  }
  let tip = base;
  for (const commit of commits) {
    const moved = await moveCommit(worktree, commit, tip, author);
    if (typeof moved !== 'string') return moved;
    tip = moved;
  }
  return tip;
}

/** @returns the commit on its new parent; that parent when nothing is left of it */
async function moveCommit(
  worktree: Worktree,
  commit: string,
  onto: string,
  author: Person,
): Promise<string | Conflict> {
  const raw = (await worktree.run(['cat-file', 'commit', commit])).stdout.toString('latin1');
  const parent = /^parent ([0-9a-f]+)$/m.exec(raw.slice(0, raw.indexOf('\n\n')))?.[1];
  const ontoTree = await treeOf(worktree, onto);
  // As if the new parent had grown from the old one: then the old one is what both sides have in common.
  const parents = parent === undefined ? [] : ['-p', parent];
  const { stdout } = await worktree.run(['commit-tree', ontoTree, ...parents, '-F', '-'], { input: 'onto\n' });
  const merged = await mergeTrees(worktree, stdout.toString().trimEnd(), commit);
  if ('conflicts' in merged) return merged;
  if (merged.tree === ontoTree) return onto;
  return writeCommit(worktree, rewrite(raw, merged.tree, onto, author));
}

/** The same commit with another tree, parent and committer; a signature would not be true any more. */
function rewrite(raw: string, tree: string, parent: string, { name, email }: Person): string {
  const end = raw.indexOf('\n\n');
  const kept = raw
    .slice(0, end)
    .split('\n')
    .filter((line) => /^(author|encoding) /.test(line));
  const seconds = Math.floor(Date.now() / 1000);
  const committer = Buffer.from(`committer ${name} <${email}> ${String(seconds)} +0000`).toString('latin1');
  const [author = '', ...rest] = kept;
  return [`tree ${tree}`, `parent ${parent}`, author, committer, ...rest].join('\n') + raw.slice(end);
}

async function writeCommit(worktree: Worktree, raw: string): Promise<string> {
  const input = Buffer.from(raw, 'latin1');
  const { stdout } = await worktree.run(['hash-object', '-t', 'commit', '-w', '--stdin'], { input });
  return stdout.toString().trimEnd();
}

async function treeOf(worktree: Worktree, commit: string): Promise<string> {
  return (await worktree.run(['rev-parse', '--verify', `${commit}^{tree}`])).stdout.toString().trimEnd();
}

async function mergeTrees(worktree: Worktree, ours: string, theirs: string): Promise<Merged> {
  const args = ['merge-tree', '--write-tree', '-z', '--name-only', '--no-messages', '--allow-unrelated-histories'];
  const { stdout, code } = await worktree.run([...args, ours, theirs], { accept: [0, 1], timeoutMs: TIMEOUT_MS });
  const [tree, ...conflicts] = splitRecords(stdout).map(String);
  return code === 0 && tree !== undefined ? { tree } : { conflicts: conflicts.filter((path) => path !== '') };
}

async function isAncestor(worktree: Worktree, one: string, other: string): Promise<boolean> {
  return (await worktree.run(['merge-base', '--is-ancestor', one, other], { accept: [0, 1] })).code === 0;
}

/**
 * Git would write over ignored files, and say nothing.
 * @throws DomainError WORKTREE_NOT_READY naming files that git does not follow, where the target has files of its own
 */
async function refuseOverwriting(worktree: Worktree, from: string, to: string): Promise<void> {
  const range = ['--diff-filter=A', from, to, '--'];
  const added = await worktree.run(['diff-tree', '-r', '-z', '--name-only', '--no-renames', ...range], LISTING);
  const names = splitRecords(added.stdout).map(textOf);
  if (names.length === 0) return;
  const others = await worktree.run(['ls-files', '--others', '-z'], LISTING);
  if (added.truncated || others.truncated) {
    throw new DomainError('WORKTREE_NOT_READY', 'There are too many files to see whether one is in the way.');
  }
  const files = new Set(names);
  const folders = new Set(names.flatMap(foldersOf));
  const inTheWay = splitRecords(others.stdout).filter((other) => {
    const path = textOf(withoutSlash(other));
    return files.has(path) || folders.has(path) || foldersOf(path).some((folder) => files.has(folder));
  });
  if (inTheWay.length === 0) return;
  const told = inTheWay.slice(0, MAX_TOLD).map((path) => cutText(path.toString(), MAX_TOLD_BYTES));
  const more = inTheWay.length > told.length ? ` and ${String(inTheWay.length - told.length)} more` : '';
  throw new DomainError(
    'WORKTREE_NOT_READY',
    `Files that git does not follow are in the way: ${told.join(', ')}${more}.`,
  );
}

/** Each byte as a character, so that names that are no text stay apart. */
const textOf = (path: Buffer): string => path.toString('latin1');

/** The folders that a path is in. */
function foldersOf(path: string): string[] {
  const names = path.split('/').slice(0, -1);
  return names.map((_, index) => names.slice(0, index + 1).join('/'));
}

/** Any other file that is not followed makes git refuse, before it has changed anything. */
async function checkOut(worktree: Worktree, from: string, to: string): Promise<void> {
  await worktree.run(['update-index', '-q', '--refresh'], { accept: [0, 1] });
  await worktree.run(['read-tree', '-m', '-u', from, to], { timeoutMs: TIMEOUT_MS });
}
