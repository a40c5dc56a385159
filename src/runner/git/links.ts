/**
 * Symbolic links in git's own folders. Git follows them: a reflog, an index or a new ref would be written wherever one
 * leads, and objects read from there.
 */
import { type Dirent, lstatSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { DomainError } from '../../kernel/errors.js';
import { errnoOf } from '../errno.js';
import type { Pinned } from './pinned.js';

/** What git itself reads or writes, in a repository or in its record of a worktree. `hooks` is neither for us. */
const NAMES = [
  ...['HEAD', 'ORIG_HEAD', 'FETCH_HEAD', 'index', 'packed-refs', 'shallow', 'config', 'config.worktree'],
  ...['commondir', 'gitdir', 'info', 'logs', 'objects', 'refs', 'reftable', 'worktrees'],
];
/** Looked through wholly before git writes. */
const DEEP = ['logs', 'refs', 'reftable'];
const MAX_ENTRIES = 500_000;

/**
 * A quick look at git's folder of a repository, or at its record of a worktree, for each use of it.
 * @throws DomainError GIT_FAILED when a part of it is a symbolic link
 */
export function requireOwnParts(folder: Pinned): void {
  const linked = NAMES.find((name) => isLink(`${folder.handle}/${name}`));
  if (linked !== undefined) throw leadsElsewhere(linked);
}

/**
 * A look through all refs and logs, before git writes to any.
 * @throws DomainError GIT_FAILED for a symbolic link, and for more than are looked at
 */
export async function requireNoLinks(folder: Pinned, max = MAX_ENTRIES): Promise<void> {
  requireOwnParts(folder);
  let left = max;
  const pending = DEEP.map((name) => Buffer.from(name));
  for (let at = pending.pop(); at; at = pending.pop()) {
    for (const entry of await entriesOf(folder.handle, at)) {
      const path = Buffer.concat([at, Buffer.from('/'), entry.name]);
      left -= 1;
      if (left < 0) throw tooMany(max);
      if (entry.isSymbolicLink()) throw leadsElsewhere(path.toString());
      if (entry.isDirectory()) pending.push(path);
    }
  }
}

/**
 * What is directly in a folder below another; nothing when it is not there.
 * @param path below the folder; names that are no text too
 */
export async function entriesOf(folder: string, path: Buffer): Promise<Dirent<Buffer>[]> {
  try {
    const full = Buffer.concat([Buffer.from(`${folder}/`), path]);
    return await readdir(full, { withFileTypes: true, encoding: 'buffer' });
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return [];
    throw error;
  }
}

/** @param what the link is called, below git's folder */
export function leadsElsewhere(what: string): DomainError {
  const name = what.replaceAll(/\p{Cc}/gu, ' ').slice(0, 200);
  return new DomainError('GIT_FAILED', `In git’s folder “${name}” is a symbolic link: the repository is not used.`);
}

const isLink = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;

const tooMany = (max: number): DomainError =>
  new DomainError('GIT_FAILED', `The repository has more than ${String(max)} refs and logs of refs, each a file.`);
