import { Inject, Injectable } from '@nestjs/common';
import { Metrics } from '../kernel/metrics.js';
import { RUNNER_ID } from '../kernel/tokens.js';
import { WorktreeStore } from './worktree-store.js';

/** What worktrees tell of themselves in figures. */
@Injectable()
export class WorktreeMetrics {
  constructor(metrics: Metrics, store: WorktreeStore, @Inject(RUNNER_ID) runnerId: string) {
    const active = { name: 'worktrees_active', help: 'Worktrees of the runner that have not been removed.' };
    metrics.read('gauge', active, async () => [{ value: await store.countLive(runnerId) }]);
  }
}
