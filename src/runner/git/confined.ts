import { lstatSync, readlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeOnlyCommand } from '../sandbox/command.js';

/** Variables that name git its folders. */
const FOLDERS = ['GIT_DIR', 'GIT_COMMON_DIR', 'GIT_WORK_TREE'];
/**
 * In git's folder of a repository: what a git that somebody runs later would run or believe, and what is other worktrees'.
 * None of it is replaced by a call of ours: as a mount point it could not be.
 */
const KEPT = ['HEAD', 'config', 'config.worktree', 'hooks', 'info', 'modules', 'objects/info', 'worktrees'];
/** The same in its record of a worktree. */
const RECORD_KEPT = ['commondir', 'config.worktree', 'gitdir', 'hooks', 'info', 'modules'];
const HANDLE = /^\/proc\/\d+\/fd\/\d+$/;

/** Of a call of git, what is to be confined. */
export interface Confinable {
  /** After `git`; never passes through a shell. */
  readonly args: readonly string[];
  /** All of its environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Folders that it writes to beside the repository and the worktree, real paths. */
  readonly writable?: readonly string[] | undefined;
  /** Git's folders of other repositories that it writes to, real paths. */
  readonly gitFolders?: readonly string[] | undefined;
}

/** What is started in place of git. */
export interface Confined {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * git where sessions are in sandboxes: it can write to the repository and the worktree of this call, but for what decides
 * what git does in there, and to nothing else of the machine. A session can leave symbolic links in what is writable for
 * it, the logs of refs above all, and git follows them: whatever one leads to cannot be written. In its own user namespace
 * git may not use our descriptors, so it is told where they lead; no session in a sandbox can put anything else there.
 */
export function confined(run: Confinable): Confined {
  const env: Record<string, string> = { ...run.env };
  for (const name of FOLDERS) if (env[name] !== undefined) env[name] = real(env[name]);
  const cwd = real(run.cwd);
  const { gitFolders = [], writable: asked = [] } = run;
  const index = env['GIT_INDEX_FILE'];
  const writable = [
    ...[cwd, ...FOLDERS.flatMap((name) => env[name] ?? []), ...gitFolders],
    // What is not there yet is made in a folder that is writable, or not at all.
    ...[...asked, ...(index === undefined ? [] : [dirname(index)])].filter((path) => isThere(path, 'isDirectory')),
  ];
  const kept = keptOf(env, gitFolders).filter((path) => !asked.includes(path));
  const [file, ...args] = writeOnlyCommand({ cwd, writable, kept }, ['git', ...run.args]);
  return { file, args, cwd: '/', env };
}

function keptOf(env: Readonly<Record<string, string>>, gitFolders: readonly string[]): string[] {
  const { GIT_DIR: own, GIT_COMMON_DIR: common, GIT_WORK_TREE: tree } = env;
  const repositories = [...(common === undefined ? [] : [common]), ...gitFolders];
  const parts = repositories.flatMap((folder) => KEPT.map((name) => join(folder, name)));
  if (own !== undefined && own !== common) parts.push(...RECORD_KEPT.map((name) => join(own, name)));
  const links = tree === undefined ? [] : [join(tree, '.git')].filter((path) => isThere(path, 'isFile'));
  return [...parts.filter((path) => isThere(path, 'isFile') || isThere(path, 'isDirectory')), ...links];
}

const real = (path: string): string => (HANDLE.test(path) ? readlinkSync(path) : path);

/** Not as a symbolic link. */
const isThere = (path: string, kind: 'isFile' | 'isDirectory'): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.[kind]() ?? false;
