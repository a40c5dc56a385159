import { Injectable } from '@nestjs/common';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { DomainError } from '../kernel/errors.js';
import type { CallerContext } from '../kernel/request-context.js';
import { PtyService } from '../pty/pty.service.js';
import { SessionStore } from '../pty/session-store.js';
import { RunnerAgents } from '../runner-link/runner-agents.js';
import type { AgentEntity, AgentPrompt } from './agent.entity.js';
import type { AgentCommand, AnswerCommand, ListCommand, MessageCommand } from './agent.schema.js';
import { AgentStates } from './agent-states.js';
import { AgentStore } from './agent-store.js';
import { type AgentView, toView } from './agent-view.js';
import { canResume } from './providers/agent-spec.js';
import { Providers } from './providers/providers.js';

/** Of the output of an agent that failed. */
const TAIL_BYTES = 4096;

export interface AgentPage {
  readonly items: readonly AgentView[];
  readonly next_cursor: string | null;
}

/**
 * What can be done with agents that are there, on any transport. The guard has let the call pass; the caller's tenant still
 * goes into every query.
 */
@Injectable()
export class AgentsService {
  constructor(
    private readonly store: AgentStore,
    private readonly states: AgentStates,
    private readonly providers: Providers,
    private readonly runner: RunnerAgents,
    private readonly sessions: PtyService,
    private readonly terminals: SessionStore,
    private readonly authorization: AuthorizationService,
  ) {}

  /** One agent; of one that failed with its last output. */
  async get(caller: CallerContext, { id }: AgentCommand): Promise<AgentView> {
    const row = await this.#find(caller, id);
    return this.view(row, row.state === 'failed' ? await this.#tail(caller, row) : null);
  }

  /** Asks for one by its id, which no handler's guard knows. @throws DomainError NOT_FOUND, PERMISSION_DENIED */
  async visible(caller: CallerContext, id: string): Promise<void> {
    const resource = await this.store.owner(caller.principal.tenant, id);
    if (resource === null) this.authorization.refuseUnknown(caller, 'agent:view', 'agent', id);
    this.authorization.require(caller, 'agent:view', resource);
  }

  /** The caller's own, or the whole tenant's with `agent:view_any`. */
  async list({ principal }: CallerContext, command: ListCommand): Promise<AgentPage> {
    const all = this.authorization.allows(principal, 'agent:view_any', null);
    // One more than asked tells whether there is a next page.
    const rows = await this.store.list(principal.tenant, all ? null : principal, {
      ...command,
      limit: command.limit + 1,
    });
    const page = rows.slice(0, command.limit);
    const next_cursor = rows.length > page.length ? (page.at(-1)?.id ?? null) : null;
    return { items: page.map((row) => this.view(row)), next_cursor };
  }

  /** Types a message in and submits it, or leaves it as a draft. @throws DomainError AGENT_NOT_RUNNING */
  async message(caller: CallerContext, { id, text, draft }: MessageCommand): Promise<void> {
    const row = await this.#running(caller, id);
    await this.runner.message(row.sessionId, text, !draft);
  }

  /**
   * Answers what the agent waits for.
   * @throws DomainError PROMPT_STALE when it waits for something else by now, or was answered; PROMPT_UNCLEAR when its
   *   screen does not show it for sure; INVALID_ARGUMENT for an option
   *   that the prompt does not have; AGENT_NOT_RUNNING
   */
  async answer(caller: CallerContext, { id, prompt_id, approve, option_id }: AnswerCommand): Promise<AgentView> {
    const row = await this.#running(caller, id);
    const { prompt } = row;
    // This gateway may not have heard of it yet, and then the runner knows.
    const option = option_id ?? (prompt?.id === prompt_id ? optionFor(prompt, approve === true) : null);
    if (option === null) throw new DomainError('PROMPT_STALE', 'The agent does not wait for this answer any more.');
    await this.states.report(await this.runner.answer(row.sessionId, prompt_id, option));
    return this.get(caller, { id });
  }

  /** Ends the agent; answers when its processes are gone. @throws DomainError AGENT_NOT_RUNNING */
  async stop(caller: CallerContext, { id }: AgentCommand): Promise<AgentView> {
    const row = await this.#running(caller, id);
    const session = await this.terminals.find(row.tenant, row.sessionId);
    // Its worktree is still being made, or the gateway that made it was killed: it does not start any more.
    if (session === null) await this.states.neverStarted(row);
    else await this.states.report(await this.runner.stop(row.sessionId));
    return this.get(caller, { id });
  }

  /** An agent as it is shown. */
  view(row: AgentEntity, outputTail: string | null = null): AgentView {
    const provider = this.providers.known(row.provider, row.binary);
    return toView(row, provider !== null && canResume(provider, row.resumeId), outputTail);
  }

  /** The end of its output, as far as it is retained and this caller may see the terminal. */
  async #tail(caller: CallerContext, { tenant, sessionId: id }: AgentEntity): Promise<string | null> {
    try {
      const resource = await this.terminals.owner(tenant, id);
      if (resource === null || !this.authorization.allows(caller.principal, 'pty:view', resource)) return null;
      const { output_next: next, dropped_before: first } = await this.sessions.output(caller, { id, limit: 1 });
      const from = Math.max(first, next - TAIL_BYTES);
      const { data } = await this.sessions.output(caller, { id, from, limit: TAIL_BYTES });
      return data.toString('utf8');
    } catch {
      // The session is forgotten, or its runner gone: there is an agent to show all the same.
      return null;
    }
  }

  async #running(caller: CallerContext, id: string): Promise<AgentEntity> {
    const row = await this.#find(caller, id);
    if (row.endedAt !== null) throw new DomainError('AGENT_NOT_RUNNING', `The agent has ${row.state}.`);
    return row;
  }

  async #find({ principal }: CallerContext, id: string): Promise<AgentEntity> {
    const row = await this.store.find(principal.tenant, id);
    if (row === null) throw new DomainError('NOT_FOUND', 'There is no such resource.');
    return row;
  }
}

/** The first option that allows, or that denies. @throws DomainError INVALID_ARGUMENT when the prompt has none */
function optionFor({ options }: AgentPrompt, approve: boolean): string {
  const kind = approve ? 'allow' : 'deny';
  const option = options.find((each) => each.kind === kind);
  if (option) return option.id;
  const problem = `this prompt has no option to ${kind}; answer with a message, or option_id`;
  const details = { fields: [{ field: 'approve', problem }] };
  throw new DomainError('INVALID_ARGUMENT', `approve: ${problem}`, { details });
}
