import type { EntityManager } from 'typeorm';
import { DomainError } from '../kernel/errors.js';
import { WorktreeEntity } from '../worktree/worktree.entity.js';

/**
 * The folder of a worktree that a session is about to be started in. Until the transaction ends the worktree is not
 * removed, which then finds the session.
 * @throws DomainError NOT_FOUND, WORKTREE_NOT_READY, RUNNER_UNAVAILABLE when it is on another runner
 */
export async function folderOf(manager: EntityManager, tenant: string, id: string, runner: string): Promise<string> {
  const row = await manager.findOne(WorktreeEntity, { where: { tenant, id }, lock: { mode: 'pessimistic_read' } });
  if (row === null) throw new DomainError('NOT_FOUND', 'There is no such resource.');
  if (row.state !== 'ready') throw new DomainError('WORKTREE_NOT_READY', `The worktree is ${row.state}.`);
  if (row.runner !== runner) {
    throw new DomainError('RUNNER_UNAVAILABLE', 'This gateway does not reach the runner that holds this worktree.');
  }
  return row.path;
}
