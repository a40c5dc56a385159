import { Inject, Injectable } from '@nestjs/common';
import type { RunnerAgent__Output } from '../generated/gatehouse/runner/v1/RunnerAgent.js';
import { AuditTrail } from '../kernel/audit.js';
import type { Clock } from '../kernel/clock.js';
import { systemContext } from '../kernel/request-context.js';
import { CLOCK } from '../kernel/tokens.js';
import { RunnerAgents } from '../runner-link/runner-agents.js';
import type { AgentEntity } from './agent.entity.js';
import { type Applied, AgentStore } from './agent-store.js';
import { isEnded, type Reported, reportedState } from './reported-state.js';

/** Records what becomes of agents, each change once, however many gateways hear of it. */
@Injectable()
export class AgentStates {
  constructor(
    private readonly store: AgentStore,
    private readonly runner: RunnerAgents,
    private readonly audit: AuditTrail,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** What the runner says of an agent. */
  async report(agent: RunnerAgent__Output): Promise<void> {
    await this.#apply(agent.session_id ?? '', reportedState(agent));
  }

  /** Records now what the runner knows of an agent that was just started; else it is told soon. */
  async catchUp(sessionId: string): Promise<void> {
    const agent = (await this.runner.list()).find((each) => each.session_id === sessionId);
    if (agent) await this.report(agent);
  }

  /** An agent that has no session, and gets none any more. */
  async neverStarted(row: AgentEntity): Promise<void> {
    const nothing = { exitCode: null, signal: null, failure: null };
    await this.sessionEnded(row, { state: 'stopped', ...nothing }, new Date(this.clock.now()));
  }

  /** The session of an agent is gone, with its runner or without a word of the agent's. */
  async sessionEnded(
    row: AgentEntity,
    end: Pick<Reported, 'state' | 'exitCode' | 'signal' | 'failure'>,
    at: Date,
  ): Promise<void> {
    const certain = { source: 'process', confidence: 'high', prompt: null } as const;
    await this.#apply(row.sessionId, { ...end, ...certain, changedAt: at, endedAt: at });
  }

  async #apply(sessionId: string, reported: Partial<Reported> & Pick<Reported, 'state'>): Promise<void> {
    const applied = await this.store.apply(sessionId, reported);
    if (applied === null) return;
    if (isEnded(applied.after.state)) this.#noteEnd(applied.after);
    else if (asksAnew(applied)) this.#noteRequest(applied.after);
  }

  // Nobody calls here: the events belong to the agent's owner and tenant.
  #noteEnd(row: AgentEntity): void {
    this.audit.note(systemContext(), {
      action: 'agent.exit',
      resource: `agent:${row.id}`,
      success: row.state === 'exited' || row.state === 'stopped',
      reason: row.failure ?? (row.state === 'lost' ? 'runner_lost' : row.state),
      tenant: row.tenant,
      metadata: { ...factsOf(row), exit_code: row.exitCode, signal: row.signal },
    });
  }

  /** The question itself may be about anything, secrets too: it is not on record. */
  #noteRequest(row: AgentEntity): void {
    this.audit.note(systemContext(), {
      action: 'agent.approval_requested',
      resource: `agent:${row.id}`,
      success: true,
      tenant: row.tenant,
      metadata: { ...factsOf(row), prompt: row.prompt?.id ?? null, source: row.source },
    });
  }
}

const factsOf = (row: AgentEntity) => ({
  provider: row.provider,
  session: row.sessionId,
  owner: { provider: row.ownerProvider, subject: row.ownerSubject },
});

const asksAnew = ({ before, after }: Applied): boolean =>
  after.prompt?.kind === 'permission' && after.prompt.id !== before.prompt?.id;
