import { Inject, Injectable } from '@nestjs/common';
import { DomainError } from '../kernel/errors.js';
import type { CallerContext } from '../kernel/request-context.js';
import { RUNNER_ID } from '../kernel/tokens.js';
import type { WorktreeEntity } from './worktree.entity.js';
import { WorktreeStore } from './worktree-store.js';

/** Finds the worktree of a call that the guard has let pass. */
@Injectable()
export class WorktreeAccess {
  constructor(
    private readonly store: WorktreeStore,
    @Inject(RUNNER_ID) private readonly runnerId: string,
  ) {}

  /** @throws DomainError NOT_FOUND */
  async find({ principal }: CallerContext, id: string): Promise<WorktreeEntity> {
    const row = await this.store.find(principal.tenant, id);
    if (row === null) throw new DomainError('NOT_FOUND', 'There is no such resource.');
    return row;
  }

  /** The same of one that is there. @throws DomainError WORKTREE_NOT_READY; RUNNER_UNAVAILABLE when another gateway reaches it */
  async ready(context: CallerContext, id: string): Promise<WorktreeEntity> {
    const row = await this.find(context, id);
    if (row.state !== 'ready') throw new DomainError('WORKTREE_NOT_READY', `The worktree is ${row.state}.`);
    if (row.runner !== this.runnerId) {
      throw new DomainError('RUNNER_UNAVAILABLE', 'This gateway does not reach the runner that holds this worktree.');
    }
    return row;
  }
}
