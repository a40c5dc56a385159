/** Which folder a session's sandbox has, and what of a repository goes with it. */
import { lstatSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { DomainError } from '../../kernel/errors.js';
import { isInside } from '../git/pinned.js';
import { completeRecord, completeRepository, requireExact } from './parts.js';

/** What git writes when it commits in a worktree; its configuration and hooks, which it would run, are none of it. */
const GIT_WRITES = ['objects', 'objects/info', 'refs', 'logs'];
/** What would make a git outside the sandbox run or read something else, in its record of a worktree. */
const RECORD_KEPT = ['config.worktree', 'hooks', 'info', 'commondir', 'gitdir'];
/** The objects of another repository, which a git outside would read. */
const ALTERNATES = 'objects/info/alternates';
/** The same in a repository, with the records of its worktrees: other sandboxes are made from them. */
const REPOSITORY_KEPT = ['config', 'config.worktree', 'hooks', 'info', 'worktrees', ALTERNATES];

/** A folder that a sandbox has. */
export interface Place {
  readonly cwd: string;
  readonly writable: readonly string[];
  readonly readOnly: readonly string[];
  readonly kept: readonly string[];
}

/** What is known of a worktree, as the journal has it: nothing that a session could have written is believed. */
export interface WorktreePlace {
  readonly path: string;
  /** The folder of git's of its repository. */
  readonly gitDir: string;
  /** What git's record of it is called there. */
  readonly name: string;
}

/**
 * A worktree: its files, and of its repository what git needs to commit.
 * @throws DomainError START_FAILED when a part of it leads elsewhere
 */
export function worktreePlace({ path, gitDir, name }: WorktreePlace): Place {
  const admin = join(gitDir, 'worktrees', name);
  completeRepository(gitDir);
  completeRecord(admin);
  return exact({
    cwd: path,
    writable: [path, admin, ...present(gitDir, GIT_WRITES)],
    readOnly: [gitDir],
    kept: [join(path, '.git'), ...RECORD_KEPT.map((each) => join(admin, each)), ...present(gitDir, [ALTERNATES])],
  });
}

/** Nothing but a home that is gone at the end. */
export const homePlace = (home: string): Place => ({ cwd: home, writable: [], readOnly: [], kept: [] });

/**
 * A folder that somebody asked for: the outermost repository that it is in. No session can change what lies around that
 * one, so none can lead another's sandbox elsewhere by a symbolic link.
 * @param roots the real paths of the folders that repositories may lie in
 * @param refused real paths that it must not be in
 * @param home the real path that the repository must not hold: the home of the runner's user
 * @throws DomainError INVALID_ARGUMENT for every other folder, START_FAILED when a part of it leads elsewhere
 */
export function repositoryPlace(
  asked: string,
  roots: readonly string[],
  refused: readonly string[],
  home: string,
): Place {
  const cwd = realFolder(asked);
  if (cwd === undefined) throw new DomainError('START_FAILED', 'The working directory does not exist.');
  const root = roots.find((each) => isInside(each, cwd));
  const repository = root === undefined ? undefined : outermostRepository(root, cwd);
  if (repository === undefined || isInside(repository, home) || refused.some((each) => isInside(each, cwd))) {
    throw new DomainError(
      'INVALID_ARGUMENT',
      'cwd: in a sandbox a session runs in a worktree, named by its id, in a repository under the project roots, or, ' +
        'without cwd, in a home of its own.',
    );
  }
  const gitDir = join(repository, '.git');
  completeRepository(gitDir);
  return exact({
    cwd,
    // git's folder is shown on itself: as a mount point it cannot be renamed, and another put in its place.
    writable: [repository, gitDir, ...present(gitDir, GIT_WRITES)],
    readOnly: [],
    kept: present(gitDir, REPOSITORY_KEPT),
  });
}

function exact(place: Place): Place {
  requireExact([...place.writable, ...place.readOnly, ...place.kept]);
  return place;
}

/** Those of a folder that are there, be they links. */
function present(folder: string, names: readonly string[]): string[] {
  return names
    .map((name) => join(folder, name))
    .filter((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined);
}

function outermostRepository(root: string, cwd: string): string | undefined {
  let found: string | undefined;
  for (let folder = cwd; isInside(root, folder); folder = dirname(folder)) {
    if (isFolder(join(folder, '.git'))) found = folder;
    if (folder === '/') break;
  }
  return found;
}

const isFolder = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** Without its symbolic links; undefined when there is no such folder. */
function realFolder(path: string): string | undefined {
  try {
    const real = realpathSync(path);
    return isFolder(real) ? real : undefined;
  } catch {
    return undefined;
  }
}
