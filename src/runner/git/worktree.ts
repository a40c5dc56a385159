import { DomainError } from '../../kernel/errors.js';
import type { Entry } from './journal.js';
import { requireOwnParts } from './links.js';
import { Pinned } from './pinned.js';
import type { Git, GitOptions, Repository } from './repository.js';
import { type GitResult, runGit } from './run.js';
import type { Setting } from './settings.js';

/**
 * A worktree that is held open. Its folder, git's record of it and the repository are named to git by descriptor, so the
 * file `.git` in the worktree, which whoever works there can rewrite, is never believed.
 */
export class Worktree implements Git {
  private constructor(
    readonly entry: Entry,
    readonly repository: Repository,
    readonly tree: Pinned,
    /** Git's record of it: index, HEAD and logs. */
    readonly admin: Pinned,
    private readonly neutral: readonly Setting[],
  ) {}

  /**
   * The repository stays its caller's, open for as long as the worktree.
   * @throws DomainError WORKTREE_NOT_READY when its folder or git's record of it is gone, GIT_FAILED for a configuration
   * that is not used, and for a record with symbolic links
   */
  static async open(entry: Entry, repository: Repository): Promise<Worktree> {
    const tree = Pinned.openExact(entry.path);
    const admin = openAdmin(repository, entry.name);
    try {
      if (admin) requireOwnParts(admin);
      // A worktree may have settings of its own, which the look at the repository did not see.
      if (tree && admin)
        return new Worktree(entry, repository, tree, admin, (await repository.configOf(admin)).neutral);
    } catch (error) {
      tree?.close();
      admin?.close();
      throw error;
    }
    tree?.close();
    admin?.close();
    throw new DomainError('WORKTREE_NOT_READY', 'The worktree’s folder, or git’s record of it, is gone.');
  }

  run(args: readonly string[], options: GitOptions = {}): Promise<GitResult> {
    const { env, settings = [], cwd = this.tree.handle, ...rest } = options;
    const folders = { GIT_DIR: this.admin.handle, GIT_WORK_TREE: this.tree.handle };
    return runGit({
      ...rest,
      ...{ args, cwd },
      confined: rest.confined === undefined ? this.repository.confined : rest.confined,
      env: { ...this.repository.environment([...this.neutral, ...settings]), ...folders, ...env },
    });
  }

  close(): void {
    this.tree.close();
    this.admin.close();
  }
}

/** Git's record of a worktree, in the repository itself. */
export function openAdmin(repository: Repository, name: string): Pinned | undefined {
  const all = repository.gitDir.child('worktrees');
  try {
    return all?.child(name);
  } finally {
    all?.close();
  }
}
