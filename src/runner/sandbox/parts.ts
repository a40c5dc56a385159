/**
 * The parts of a repository that a sandbox mounts. What is a mount point in a sandbox can neither be renamed, removed nor
 * replaced from in there; what is missing could be put there as a symbolic link, for the next sandbox to follow.
 */
import { closeSync, constants, mkdirSync, openSync, realpathSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DomainError } from '../../kernel/errors.js';
import { errnoOf } from '../errno.js';
import { Pinned } from '../git/pinned.js';

/** A new, empty file, and nothing that a link leads to. */
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** It is there already; or it is not for us to write, and so not for a session, which is the same user. */
const AS_IT_IS = ['EEXIST', 'EACCES', 'EPERM', 'EROFS'];

/** Makes what git's folder of a repository may lack: empty, it means nothing to git. @throws DomainError START_FAILED */
export function completeRepository(gitDir: string): void {
  make(gitDir, ['hooks', 'info', 'logs', 'worktrees'], ['config.worktree']);
  make(join(gitDir, 'objects'), ['info'], []);
  make(join(gitDir, 'objects', 'info'), [], ['alternates']);
}

/** The same for git's record of a worktree. @throws DomainError START_FAILED */
export function completeRecord(admin: string): void {
  make(admin, ['hooks', 'info', 'logs'], ['config.worktree']);
}

/**
 * bwrap follows symbolic links on the machine's side, where a session's must lead nowhere.
 * @throws DomainError START_FAILED when one of these paths is not there, or has a symbolic link in it
 */
export function requireExact(paths: readonly string[]): void {
  for (const path of paths) if (!isExact(path)) throw elsewhere(path);
}

function make(folder: string, folders: readonly string[], files: readonly string[]): void {
  const pinned = Pinned.openExact(folder);
  if (pinned === undefined) throw elsewhere(folder);
  try {
    for (const name of folders) {
      unlessThere(() => {
        mkdirSync(`${pinned.handle}/${name}`);
      });
    }
    for (const name of files) {
      unlessThere(() => {
        closeSync(openSync(`${pinned.handle}/${name}`, NEW_FILE, 0o644));
      });
    }
  } finally {
    pinned.close();
  }
}

function unlessThere(makeIt: () => void): void {
  try {
    makeIt();
  } catch (error) {
    if (!AS_IT_IS.includes(errnoOf(error) ?? '')) throw error;
  }
}

function isExact(path: string): boolean {
  try {
    return realpathSync(path) === path;
  } catch {
    return false;
  }
}

const elsewhere = (path: string): DomainError =>
  new DomainError('START_FAILED', `There is no sandbox where “${basename(path)}” is missing or a symbolic link.`);
