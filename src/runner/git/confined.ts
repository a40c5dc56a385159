import { lstatSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeOnlyCommand } from '../sandbox/command.js';
import type { GitRun } from './run.js';

/** Variables that name git its folders. */
const FOLDERS = ['GIT_DIR', 'GIT_COMMON_DIR', 'GIT_WORK_TREE'];
/** In git's folders, what a git that somebody runs later would run or believe. */
const KEPT = ['hooks', 'info'];
const HANDLE = /^\/proc\/\d+\/fd\/\d+$/;

/** What is started in place of git. */
export interface Confined {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * git where sessions are in sandboxes: it can write to the repository and the worktree of this call, and to nothing else
 * of the machine. A session can leave symbolic links in what is writable for it, the logs of refs above all, and git
 * follows them: whatever one leads to cannot be written. In its own user namespace git may not use our descriptors, so it
 * is told where they lead; no session in a sandbox can put anything else there.
 */
export function confined(run: GitRun): Confined {
  const env: Record<string, string> = { ...run.env };
  for (const name of FOLDERS) if (env[name] !== undefined) env[name] = real(env[name]);
  const cwd = real(run.cwd);
  const folders = FOLDERS.flatMap((name) => env[name] ?? []);
  const index = env['GIT_INDEX_FILE'];
  const writable = [cwd, ...folders, ...(run.writable ?? []), ...(index === undefined ? [] : [dirname(index)])];
  const kept = [...new Set(folders)].flatMap((folder) => KEPT.map((name) => join(folder, name))).filter(isFolder);
  const [file, ...args] = writeOnlyCommand({ cwd, writable, kept }, ['git', ...run.args]);
  return { file, args, cwd: '/', env };
}

const real = (path: string): string => (HANDLE.test(path) ? readlinkSync(path) : path);

const isFolder = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
