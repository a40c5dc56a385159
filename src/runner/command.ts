/** What a session runs: defaults, and the checks that must come before the fork. */
import { accessSync, constants, statSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import { basename, isAbsolute, join, resolve } from 'node:path';
import { DomainError } from '../kernel/errors.js';

/** What the kernel takes as one argument or variable (MAX_ARG_STRLEN), and a total well under its own. */
const MAX_STRING_BYTES = 128 * 1024 - 1;
const MAX_TOTAL_BYTES = 1024 * 1024;
/** What execvp(3) searches when the environment has no PATH. */
const DEFAULT_PATH = '/bin:/usr/bin';
/** Directories of PATH that are looked through; each costs a system call while every session waits. */
const MAX_SEARCHED = 256;

/** The argument vector to run, the user's login shell when none was asked for. */
export function resolveCommand(asked: readonly string[], shellVariable: string | undefined): string[] {
  return asked.length > 0 ? [...asked] : [loginShell(shellVariable), '-l'];
}

/** The directory to run in, the user's home when none was asked for. */
export function resolveDirectory(asked: string | undefined): string {
  if (asked === undefined || asked === '') return isEnterable(homedir()) ? homedir() : '/';
  if (!isAbsolute(asked)) throw new DomainError('INVALID_ARGUMENT', 'The working directory must be an absolute path.');
  return asked;
}

/**
 * Checks what exec would: the PTY library forks first, so a failure after this point is only text in the terminal.
 * @throws DomainError START_FAILED or INVALID_ARGUMENT
 */
export function checkStartable(command: readonly string[], cwd: string, env: Readonly<Record<string, string>>): void {
  const strings = [...command, cwd, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
  if ([...command, cwd].some((text) => text.includes('\0'))) {
    throw new DomainError('INVALID_ARGUMENT', 'The command or the working directory contains a NUL character.');
  }
  const sizes = strings.map((text) => Buffer.byteLength(text) + 1);
  if (sizes.some((size) => size > MAX_STRING_BYTES) || sizes.reduce((sum, size) => sum + size, 0) > MAX_TOTAL_BYTES) {
    throw new DomainError('START_FAILED', 'The command and its environment are too long.');
  }
  if (!isEnterable(cwd)) throw new DomainError('START_FAILED', 'The working directory does not exist.');
  if (!isFound(command[0] ?? '', cwd, env['PATH'])) throw new DomainError('START_FAILED', 'The command was not found.');
}

function loginShell(variable: string | undefined): string {
  const candidates = [shellOfUser(), variable];
  // A service account's shell is often one that only says no; a terminal of it is wanted all the same.
  return candidates.find((path) => path !== undefined && isUsableShell(path)) ?? '/bin/sh';
}

function shellOfUser(): string | undefined {
  try {
    return userInfo().shell ?? undefined;
  } catch {
    return undefined; // a user without an entry in the password file
  }
}

function isUsableShell(path: string): boolean {
  return isAbsolute(path) && isExecutable(path) && !['nologin', 'false'].includes(basename(path));
}

/** Searches as execvp(3) does: a name with a slash is a path from the working directory, any other goes by PATH. */
function isFound(name: string, cwd: string, path: string | undefined): boolean {
  if (name === '') return false;
  if (name.includes('/')) return isExecutable(resolve(cwd, name));
  const from = resolve(cwd);
  const directories = [...new Set((path ?? DEFAULT_PATH).split(':'))].slice(0, MAX_SEARCHED);
  return directories.some((directory) => isExecutable(join(resolve(from, directory), name)));
}

function isExecutable(path: string): boolean {
  return isAccessible(path) && statSync(path).isFile();
}

function isEnterable(path: string): boolean {
  return isAccessible(path) && statSync(path).isDirectory();
}

/** X_OK means "may execute" of a file and "may enter" of a directory. */
function isAccessible(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
