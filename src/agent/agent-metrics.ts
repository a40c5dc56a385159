import { Inject, Injectable } from '@nestjs/common';
import { Metrics } from '../kernel/metrics.js';
import { RUNNER_ID } from '../kernel/tokens.js';
import { AgentStore } from './agent-store.js';

/** What agents tell of themselves in figures. */
@Injectable()
export class AgentMetrics {
  constructor(metrics: Metrics, store: AgentStore, @Inject(RUNNER_ID) runnerId: string) {
    const active = {
      name: 'agents_active',
      help: 'Agents of the runner that have not ended.',
      labels: ['provider', 'state'],
    };
    metrics.read('gauge', active, async () =>
      (await store.countLive(runnerId)).map(({ count, ...labels }) => ({ labels, value: count })),
    );
  }
}
