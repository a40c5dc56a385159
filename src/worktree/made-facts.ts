import type { RunnerWorktree__Output } from '../generated/gatehouse/runner/v1/RunnerWorktree.js';
import { DomainError } from '../kernel/errors.js';
import type { MadeFacts } from './worktree-store.js';

/** What the runner tells of a worktree that is there. @throws DomainError INTERNAL_ERROR when it tells nothing */
export function madeFacts(worktree: RunnerWorktree__Output | null | undefined): MadeFacts {
  if (!worktree) throw new DomainError('INTERNAL_ERROR', 'The runner gave no worktree.');
  const { repository = '', path = '', branch = '', base_ref: baseRef = '', base_commit: baseCommit = '' } = worktree;
  return { repository, path, branch, baseRef, baseCommit, adoptedBranch: worktree.adopted_branch ?? false };
}
