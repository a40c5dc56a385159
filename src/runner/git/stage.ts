/** Into the index and out of it, and a file back to what it was. */
import { lstat, unlink } from 'node:fs/promises';
import { DomainError } from '../../kernel/errors.js';
import { withinBytes } from './files.js';
import { checkPath } from './names.js';
import { firstCommit } from './refs.js';
import { listChanges } from './status.js';
import { parseStatus, splitRecords } from './status-parser.js';
import type { Worktree } from './worktree.js';

const MAX_PATHS = 1000;
const TIMEOUT_MS = 120_000;
/** Stands for the whole worktree, which git is started in. */
const EVERYTHING = '.';

/**
 * Puts files, deleted ones too, into the index.
 * @param paths none: all that are changed or untracked
 * @throws DomainError GIT_FAILED for a file that only a filter of the repository could store as it should be
 */
export async function stage(worktree: Worktree, paths: readonly string[]): Promise<void> {
  const chosen = checkPaths(paths);
  await refuseFiltered(worktree, paths);
  await worktree.run(['add', '--all', '--', ...chosen], { timeoutMs: TIMEOUT_MS });
}

/** Takes files out of the index; none: all. */
export async function unstage(worktree: Worktree, paths: readonly string[]): Promise<void> {
  const chosen = checkPaths(paths);
  const born = await firstCommit(worktree, ['HEAD']);
  const command = born ? ['reset', '--quiet'] : ['rm', '--cached', '-r', '--quiet', '--ignore-unmatch'];
  await worktree.run([...command, '--', ...chosen], { timeoutMs: TIMEOUT_MS });
}

function checkPaths(paths: readonly string[]): readonly string[] {
  if (paths.length > MAX_PATHS) throw new DomainError('INVALID_ARGUMENT', `paths: ${String(MAX_PATHS)} at most.`);
  for (const path of paths) checkPath('paths', path);
  return paths.length === 0 ? [EVERYTHING] : paths;
}

/** Filters do not run here, so a file of Git LFS would be stored whole instead of as a pointer. */
async function refuseFiltered(worktree: Worktree, paths: readonly string[]): Promise<void> {
  const { changes } = await listChanges(worktree);
  const wanted = changes.filter(({ path, worktree: state }) => {
    const text = path.toString();
    return state !== '.' && (paths.length === 0 || paths.some((each) => text === each || text.startsWith(`${each}/`)));
  });
  if (wanted.length === 0) return;
  const input = Buffer.concat(wanted.flatMap(({ path }) => [path, Buffer.from([0])]));
  const { stdout } = await worktree.run(['check-attr', '-z', '--stdin', 'filter'], { input });
  const values = splitRecords(stdout);
  for (let at = 0; at + 2 < values.length; at += 3) {
    if (['unspecified', 'unset', 'set'].includes(String(values[at + 2]))) continue;
    const path = String(values[at]);
    throw new DomainError('GIT_FAILED', `${path}: its filter does not run here; stage it in a terminal.`);
  }
}

/**
 * Gives one file back the content it has in HEAD, or removes it when HEAD has none.
 * @throws DomainError GIT_FAILED when it is not changed, in conflict, a folder, or behind a symbolic link
 */
export async function discard(worktree: Worktree, path: string): Promise<void> {
  checkPath('path', path);
  const args = [
    '--porcelain=v2',
    '-z',
    '--branch',
    '--untracked-files=all',
    '--no-renames',
    '--ignore-submodules=dirty',
  ];
  const { stdout } = await worktree.run(['status', ...args, '--', path]);
  const change = parseStatus(stdout).changes.find((each) => each.path.toString() === path);
  if (!change) throw refused('no file that is changed');
  if (change.kind === 'unmerged') throw refused('a file in conflict');
  if (change.submodule) throw refused('a submodule');
  await checkPlace(worktree, path);
  if (change.kind === 'untracked') return removeFile(worktree, path);
  if (change.index !== 'A') {
    await worktree.run(['checkout', '--quiet', '--no-recurse-submodules', 'HEAD', '--', path]);
    return;
  }
  await worktree.run(['reset', '--quiet', '--', path]);
  await removeFile(worktree, path);
}

/** Its folders are folders (or gone), and it is a file or link itself (or gone). */
async function checkPlace(worktree: Worktree, path: string): Promise<void> {
  const parts = path.split('/');
  for (let length = 1; length <= parts.length; length += 1) {
    const part = Buffer.from(parts.slice(0, length).join('/'));
    const found = await withinBytes(worktree.tree, part, (entry) => lstat(entry));
    if (found === undefined) return;
    if (length < parts.length && !found.isDirectory()) throw refused('behind something that is no folder');
    if (length === parts.length && found.isDirectory()) throw refused('a folder');
  }
}

async function removeFile(worktree: Worktree, path: string): Promise<void> {
  await withinBytes(worktree.tree, Buffer.from(path), unlink);
}

function refused(what: string): DomainError {
  return new DomainError('GIT_FAILED', `path: this is ${what}.`);
}
