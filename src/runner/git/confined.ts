import { existsSync, lstatSync, mkdirSync, readlinkSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { helperCommand, writeOnlyCommand } from '../sandbox/command.js';

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

/** What a worktree's call writes to in the folder of its repository. */
const SHARED = ['objects', 'refs', 'reftable', 'logs'];

/** What calls of git are shown of the machine, beside the system's programs and what they are about. */
export interface Surroundings {
  /** Read-only, if it is there. */
  readonly readOnly: readonly string[];
  /** Not to be seen, wherever it lies. */
  readonly hidden: readonly string[];
}

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
  /** It talks to a remote, for which it may need what lies anywhere: keys, certificates, programs. */
  readonly network?: boolean | undefined;
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
 * what git does in there, and to nothing else of the machine; nor does it see more, unless it talks to a remote. A session
 * can put symbolic links into what is writable for it, while git is at work, too, and git follows them: what one leads to
 * is not there, or cannot be written. In its own user namespace git may not use our descriptors, so it is told where they
 * lead; no session in a sandbox can put anything else there.
 */
export function confined(run: Confinable, around: Surroundings): Confined {
  const env: Record<string, string> = { ...run.env };
  for (const name of FOLDERS) if (env[name] !== undefined) env[name] = real(env[name]);
  const cwd = real(run.cwd);
  const { gitFolders = [], writable: asked = [] } = run;
  const index = env['GIT_INDEX_FILE'];
  const writable = [
    ...[...writableOf(env, cwd), ...gitFolders],
    // What is not there yet is made in a folder that is writable, or not at all.
    ...[...asked, ...(index === undefined ? [] : [dirname(index)])].filter((path) => isThere(path, 'isDirectory')),
  ];
  const kept = keptOf(env, gitFolders).filter((path) => !asked.includes(path));
  const command = ['git', ...run.args];
  const [file, ...args] =
    run.network === true
      ? writeOnlyCommand({ cwd, writable, kept }, command)
      : helperCommand({ cwd, writable, kept, ...surroundings(around, env) }, command);
  return { file, args, cwd: '/', env };
}

function surroundings({ readOnly, hidden }: Surroundings, { HOME: home = '/' }: Readonly<Record<string, string>>) {
  const there = (paths: readonly string[]): string[] =>
    paths.filter((path) => existsSync(path)).map((path) => realpathSync(path));
  return { home, readOnly: there(readOnly), hidden: there([...hidden, ...(home === '/' ? [] : [home])]) };
}

/** Of the repository a worktree's call has what it adds to, and its own record; whatever is new beside those is not git's. */
function writableOf(env: Readonly<Record<string, string>>, cwd: string): string[] {
  const { GIT_DIR: own, GIT_COMMON_DIR: common, GIT_WORK_TREE: tree } = env;
  const all = [cwd, own, tree].filter((path) => path !== undefined);
  if (common === undefined || own === common) return all;
  makeLogs(common);
  const shared = SHARED.map((name) => join(common, name)).filter((path) => isThere(path, 'isDirectory'));
  return [...all.filter((path) => path !== common), ...shared];
}

function keptOf(env: Readonly<Record<string, string>>, gitFolders: readonly string[]): string[] {
  const { GIT_DIR: own, GIT_COMMON_DIR: common, GIT_WORK_TREE: tree } = env;
  const repositories = [...(common === undefined ? [] : [common]), ...gitFolders];
  const parts = repositories.flatMap((folder) => KEPT.map((name) => join(folder, name)));
  if (common !== undefined && own !== common) parts.push(common);
  if (own !== undefined && own !== common) parts.push(...RECORD_KEPT.map((name) => join(own, name)));
  const links = tree === undefined ? [] : [join(tree, '.git')].filter((path) => isThere(path, 'isFile'));
  return [...parts.filter((path) => isThere(path, 'isFile') || isThere(path, 'isDirectory')), ...links];
}

/** Git makes it with the first line; in a folder that is read-only it could not. */
function makeLogs(common: string): void {
  try {
    mkdirSync(join(common, 'logs'));
  } catch {
    // It is there already, made by another call just now perhaps, or nobody here may write to the repository.
  }
}

const real = (path: string): string => (HANDLE.test(path) ? readlinkSync(path) : path);

/** Not as a symbolic link. */
const isThere = (path: string, kind: 'isFile' | 'isDirectory'): boolean =>
  lstatSync(path, { throwIfNoEntry: false })?.[kind]() ?? false;
