import { lstatSync } from 'node:fs';
import { DomainError } from '../../kernel/errors.js';
import { type ScannedConfig, scanConfig } from './config-scan.js';
import { requireOwnParts } from './links.js';
import { requireOwnObjects } from './objects.js';
import type { Surroundings } from './confined.js';
import type { Pinned } from './pinned.js';
import { type GitResult, type GitRun, runGit } from './run.js';
import { type Setting, settingsEnvironment } from './settings.js';

/** What a call of git may say beside its arguments. */
export interface GitOptions extends Omit<GitRun, 'args' | 'env' | 'cwd'> {
  readonly env?: Readonly<Record<string, string>>;
  readonly settings?: readonly Setting[];
  readonly cwd?: string;
}

/** How git is run on this machine. */
export interface GitSetup {
  /** The environment of every call. */
  readonly env: Readonly<Record<string, string>>;
  /** Calls see and write to nothing but their repository, and this; null: they are not confined. */
  readonly confined: Surroundings | null;
}

/** Runs git at one place, with everything that a repository could use against us switched off. */
export interface Git {
  run(args: readonly string[], options?: GitOptions): Promise<GitResult>;
}

const CONFIG_BYTES = 4 * 1024 * 1024;

/** A repository that is held open. Its git folder is used by descriptor, so that no link leads out of it. */
export class Repository implements Git {
  private constructor(
    /** Real path. */
    readonly path: string,
    readonly gitDir: Pinned,
    /** Its main worktree; undefined in a bare one. */
    readonly tree: Pinned | undefined,
    readonly config: ScannedConfig,
    private readonly setup: GitSetup,
  ) {}

  /**
   * Opens the repository at a folder that is open and allowed; takes over the descriptor.
   * @param allows whether objects may be taken from this folder too, given by its real path
   * @returns undefined when there is no repository
   * @throws DomainError GIT_FAILED when a part of it leads elsewhere, or for a configuration that is not used
   */
  static async open(
    folder: Pinned,
    setup: GitSetup,
    allows: (path: string) => boolean,
  ): Promise<Repository | undefined> {
    const inner = folder.child('.git');
    const gitDir = inner ?? folder;
    try {
      if (isGitFolder(gitDir)) {
        requireOwnParts(gitDir);
        await requireOwnObjects(`${gitDir.handle}/objects`, allows);
        const config = await readConfig(folders(gitDir), setup.env);
        return new Repository(folder.path, gitDir, inner ? folder : undefined, config, setup);
      }
    } catch (error) {
      closeBoth(folder, inner);
      throw error;
    }
    closeBoth(folder, inner);
    return undefined;
  }

  get bare(): boolean {
    return this.tree === undefined;
  }

  run(args: readonly string[], options: GitOptions = {}): Promise<GitResult> {
    const { env, settings = [], cwd = this.gitDir.handle, ...rest } = options;
    return runGit({
      ...rest,
      ...{ args, cwd },
      confined: rest.confined === undefined ? this.confined : rest.confined,
      env: { ...this.environment(settings), ...env },
    });
  }

  /** What calls of git see beside this repository; null: they see and write to everything. */
  get confined(): Surroundings | null {
    return this.setup.confined;
  }

  /** Of a call of git in this repository. */
  environment(settings: readonly Setting[]): Record<string, string> {
    const own: Setting[] = [['safe.directory', this.path], ...this.config.neutral, ...settings];
    return { ...this.setup.env, ...folders(this.gitDir), ...settingsEnvironment(own) };
  }

  /**
   * Reads the configuration again, as a call in one of its worktrees sees it.
   * @param admin git's record of the worktree
   */
  configOf(admin: Pinned): Promise<ScannedConfig> {
    return readConfig({ ...folders(this.gitDir), GIT_DIR: admin.handle }, this.setup.env);
  }

  close(): void {
    this.gitDir.close();
    this.tree?.close();
  }
}

function closeBoth(folder: Pinned, inner: Pinned | undefined): void {
  inner?.close();
  folder.close();
}

/** Named to every call, so that git searches for nothing and believes no file that names another folder. */
function folders(gitDir: Pinned): Record<'GIT_DIR' | 'GIT_COMMON_DIR', string> {
  return { GIT_DIR: gitDir.handle, GIT_COMMON_DIR: gitDir.handle };
}

/** Links pass, so that it is told that they are not taken. */
function isGitFolder(gitDir: Pinned): boolean {
  const is = (name: string, kind: 'isDirectory' | 'isFile'): boolean => {
    const found = lstatSync(`${gitDir.handle}/${name}`, { throwIfNoEntry: false });
    return found !== undefined && (found.isSymbolicLink() || found[kind]());
  };
  return is('objects', 'isDirectory') && is('refs', 'isDirectory') && is('HEAD', 'isFile');
}

/** Reading a configuration runs nothing. */
async function readConfig(
  at: Readonly<Record<'GIT_DIR' | 'GIT_COMMON_DIR', string>>,
  env: Readonly<Record<string, string>>,
): Promise<ScannedConfig> {
  const { stdout, truncated } = await runGit({
    // With the file `config.worktree` of this very folder, when git is told to read one.
    args: ['config', '--list', '-z', '--no-includes'],
    ...{ env: { ...env, ...at }, cwd: at.GIT_DIR, maxBytes: CONFIG_BYTES },
  });
  if (truncated) throw new DomainError('GIT_FAILED', 'The repository’s configuration is too large.');
  return scanConfig(stdout);
}
