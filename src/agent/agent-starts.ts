import { randomUUID } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { CONFIG, type Config } from '../config/load.js';
import type { AuditMetadata } from '../kernel/audit.js';
import type { Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import type { CallerContext } from '../kernel/request-context.js';
import { CLOCK, RUNNER_ID } from '../kernel/tokens.js';
import { RequestHash } from '../pty/request-hash.js';
import { type Launch, SessionStarts } from '../pty/session-starts.js';
import { RunnerAgents } from '../runner-link/runner-agents.js';
import type { AgentEntity } from './agent.entity.js';
import type { ResumeCommand, StartCommand } from './agent.schema.js';
import { AgentStates } from './agent-states.js';
import { AgentStore } from './agent-store.js';
import { type AgentView, toView } from './agent-view.js';
import { AgentWorktrees, type Place } from './agent-worktrees.js';
import {
  type AgentWish,
  canResume,
  decidingVariables,
  isHarmless,
  specEnvironment,
  specOf,
} from './providers/agent-spec.js';
import type { Provider } from './providers/provider.schema.js';
import { Providers } from './providers/providers.js';

/** How long a repeated request waits for the start of the first one. */
const FIRST_START_MS = 20_000;
const LOOK_EVERY_MS = 50;

/** An agent that was started: by this call, or by an earlier one that had the same request id. */
export interface StartedAgent extends AgentView {
  readonly idempotent_replay?: true;
}

/** What the trail says of a start: neither the prompt nor the environment. */
export const startFacts = (agent: StartedAgent): AuditMetadata => ({
  ...{ provider: agent.provider, approve: agent.approve, session: agent.session_id, worktree: agent.worktree_id },
  ...(agent.resumes > 0 ? { resumes: agent.resumes } : {}),
  ...(agent.idempotent_replay === true ? { idempotent_replay: true } : {}),
});

/** What a start tells the agent, and keeps nowhere. */
interface Told {
  readonly prompt: string;
  readonly env: Readonly<Record<string, string>>;
  /** Takes up the conversation that there was. */
  readonly resume: boolean;
}

/** Starts agents and takes them up again. */
@Injectable()
export class AgentStarts {
  constructor(
    private readonly store: AgentStore,
    private readonly states: AgentStates,
    private readonly providers: Providers,
    private readonly worktrees: AgentWorktrees,
    private readonly sessions: SessionStarts,
    private readonly runner: RunnerAgents,
    private readonly requests: RequestHash,
    private readonly authorization: AuthorizationService,
    private readonly logger: PinoLogger,
    @Inject(RUNNER_ID) private readonly runnerId: string,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Starts an agent, in a fresh worktree where one is asked for. With a `request_id` there is one for all calls of the same
   * principal that bring it; a start that failed is as if it had not been.
   * @param gone aborted when nobody waits for the answer any more
   * @throws DomainError AGENT_PROVIDER_UNKNOWN, AGENT_BINARY_MISSING, AGENT_LIMIT, AGENT_STILL_RUNNING, INVALID_ARGUMENT,
   *   PERMISSION_DENIED, IDEMPOTENCY_CONFLICT, and what making a worktree and starting a session throws
   */
  async start(caller: CallerContext, command: StartCommand, gone: AbortSignal): Promise<StartedAgent> {
    const { provider, binary } = this.providers.find(command.provider, command.binary);
    this.#requireAllowed(caller, command, provider);
    if (command.worktree_id !== undefined) await this.worktrees.requireWrite(caller, command.worktree_id);
    const row = this.#newRow(caller, command, binary);
    const replayed = await this.#inserted(row, command);
    if (replayed !== null) return replayed;
    try {
      // Before anything is made for it.
      await this.providers.requireInstalled(row.provider, provider);
      const place = await this.worktrees.place(caller, command);
      return await this.#startedIn(place, async () => {
        row.worktreeId = place.worktreeId;
        await this.#requireWanted(row);
        if (place.setUp !== null) await place.setUp(gone);
        const told = { prompt: command.prompt ?? '', env: command.env, resume: false };
        return this.#launch(caller, row, provider, told);
      });
    } catch (error) {
      await this.store.remove(row);
      throw error;
    }
  }

  /**
   * Takes up an agent that has ended, where it was.
   * @throws DomainError AGENT_STILL_RUNNING; AGENT_CANNOT_RESUME when its provider cannot; WORKTREE_NOT_READY when its
   *   worktree is gone; PERMISSION_DENIED
   */
  async resume(caller: CallerContext, { id, prompt = '', env, cols, rows }: ResumeCommand): Promise<AgentView> {
    const before = await this.store.find(caller.principal.tenant, id);
    if (before === null) throw new DomainError('NOT_FOUND', 'There is no such resource.');
    this.authorization.admit(caller, 'agent:start', null);
    this.#requireOwner(caller, before);
    if (before.endedAt === null) throw new DomainError('AGENT_STILL_RUNNING', 'The agent has not ended.');
    const provider = this.providers.known(before.provider, before.binary);
    if (provider === null || !canResume(provider, before.resumeId)) {
      throw new DomainError('AGENT_CANNOT_RESUME', 'Its provider cannot take it up.');
    }
    this.#requireAllowed(caller, { approve: before.approve, args: before.args, env }, provider);
    if (before.worktreeId !== null) await this.worktrees.requireWrite(caller, before.worktreeId);
    const size = { cols: cols ?? before.cols, rows: rows ?? before.rows };
    const row = await this.store.resume(before, { sessionId: newId(), ...size, at: new Date(this.clock.now()) });
    if (row === null) throw new DomainError('AGENT_STILL_RUNNING', 'Somebody else has taken it up.');
    try {
      return await this.#launch(caller, row, provider, { prompt, env, resume: true });
    } catch (error) {
      await this.store.putBack(before, row);
      throw error;
    }
  }

  /** Adds the row. @returns null; or the agent that came from the same request before */
  async #inserted(row: AgentEntity, command: StartCommand): Promise<StartedAgent | null> {
    for (;;) {
      const first = await this.store.insert(row, !command.share_worktree);
      if (first === null) return null;
      this.#requireSame(first, command);
      const settled = await this.#settled(first);
      if (settled !== null) return { ...toView(settled, false), idempotent_replay: true };
    }
  }

  /** Where it does not start, what was made for it goes too. */
  async #startedIn(place: Place, start: () => Promise<AgentView>): Promise<AgentView> {
    try {
      return await start();
    } catch (error) {
      await place.undo();
      throw error;
    }
  }

  /** Starts the session with the agent in it. */
  async #launch(caller: CallerContext, row: AgentEntity, provider: Provider, told: Told): Promise<AgentView> {
    const wish = this.#wish(row, told);
    const agent = specOf(provider, wish);
    const env = { ...told.env, ...specEnvironment(provider, wish) };
    const command = {
      ...{ name: row.name, command: [wish.binary, ...(agent.args ?? [])], env, cols: row.cols, rows: row.rows },
      ...(row.cwd === null ? {} : { cwd: row.cwd }),
      ...(row.worktreeId === null ? {} : { worktree_id: row.worktreeId }),
      // An agent that waits for its person is idle, and does not end for it.
      ...{ idle_timeout_seconds: 0, max_duration_seconds: row.maxRunSeconds },
    };
    await this.#requireWanted(row);
    const launch: Launch = async (request) => {
      const answer = await this.runner.start({ agent_id: row.id, session: { ...request, command: [] }, agent });
      row.notApplied = answer.not_applied ?? [];
      if (row.notApplied.length > 0) await this.store.setNotApplied(row, row.notApplied);
      // The runner's own account of the command line may have the prompt in it.
      const { session, cwd } = answer;
      return { command: request.command ?? [], ...(session ? { session } : {}), ...(cwd === undefined ? {} : { cwd }) };
    };
    await this.sessions.startPermitted(caller, command, { id: row.sessionId, launch });
    return toView(await this.#asItIs(row), false);
  }

  /** It runs. Whatever fails from here on takes nothing back: the follower records it. */
  async #asItIs(row: AgentEntity): Promise<AgentEntity> {
    try {
      await this.states.catchUp(row.sessionId);
      return (await this.store.find(row.tenant, row.id)) ?? row;
    } catch (error) {
      this.logger.warn({ err: error, agent: row.id }, 'the state of an agent that was started is not known yet');
      return row;
    }
  }

  /** It may have been stopped while its worktree was made. @throws DomainError AGENT_NOT_RUNNING */
  async #requireWanted(row: AgentEntity): Promise<void> {
    if (!(await this.store.placed(row))) throw new DomainError('AGENT_NOT_RUNNING', 'The agent was stopped meanwhile.');
  }

  /**
   * The session of one that is taken up belongs to who does it, with the environment that he gives: for anybody else's agent
   * that would give one of both away.
   * @throws DomainError PERMISSION_DENIED
   */
  #requireOwner({ principal }: CallerContext, row: AgentEntity): void {
    if (principal.provider === row.ownerProvider && principal.subject === row.ownerSubject) return;
    throw new DomainError('PERMISSION_DENIED', 'Only its owner takes an agent up again.');
  }

  #wish(row: AgentEntity, { prompt, resume }: Told): AgentWish {
    const { AGENT_MEMORY_BYTES: memoryBytes, AGENT_CPU_PERCENT: cpuPercent } = this.config;
    const { binary, model, approve, args } = row;
    const conversation = { resume, id: row.resumeId ?? '' };
    return { binary, model, approve, args, prompt, conversation, caps: { memoryBytes, cpuPercent } };
  }

  /** What lets an agent do anything by itself needs the permission for that. */
  #requireAllowed(
    caller: CallerContext,
    { approve, args, env, model }: Pick<StartCommand, 'approve' | 'args' | 'env' | 'model'>,
    provider: Provider,
  ): void {
    const names = Object.keys(env);
    const deciding = names.find((each) => decidingVariables(provider).has(each));
    if (deciding !== undefined) throw invalid(`env.${deciding}`, 'is set by approve');
    // No list foresees every argument or variable that switches approvals off.
    const free = args.length > 0 || names.some((each) => !isHarmless(provider, each));
    if (approve === 'auto' || free) this.authorization.require(caller, 'agent:start_auto', null);
    if (approve === 'auto' && provider.auto === null) throw invalid('approve', 'this provider always asks');
    if (approve === 'ask' && !provider.asks)
      throw invalid('approve', 'this provider is not known to ask; auto says so');
    if (model !== undefined && provider.model === null) throw invalid('model', 'this provider takes none');
  }

  #requireSame(first: AgentEntity, command: StartCommand): void {
    const { tenant, ownerProvider, ownerSubject, requestId } = first;
    const by = { tenant, ownerProvider, ownerSubject, requestId: requestId ?? '' };
    if (this.requests.matches(first.requestHash, by, [command])) return;
    throw new DomainError('IDEMPOTENCY_CONFLICT', 'This request_id was used for another request.');
  }

  /** The agent once its start is over; null when it failed. @throws DomainError RUNNER_UNAVAILABLE when it takes too long */
  async #settled({ tenant, id }: AgentEntity): Promise<AgentEntity | null> {
    const deadline = performance.now() + FIRST_START_MS;
    for (;;) {
      const row = await this.store.find(tenant, id);
      if (row === null || row.state !== 'starting' || row.revision > 0) return row;
      if (performance.now() > deadline) {
        const details = { retry_after: 1 };
        throw new DomainError('RUNNER_UNAVAILABLE', 'The agent of this request_id is still being started.', {
          details,
        });
      }
      await setTimeout(LOOK_EVERY_MS);
    }
  }

  #newRow({ principal }: CallerContext, command: StartCommand, binary: string): AgentEntity {
    const owner = { tenant: principal.tenant, ownerProvider: principal.provider, ownerSubject: principal.subject };
    const { request_id: requestId = null } = command;
    const now = new Date(this.clock.now());
    const most = Math.min(this.config.AGENT_MAX_RUN_SECONDS, this.config.SESSION_MAX_DURATION_SECONDS);
    const { max_run_seconds: maxRunSeconds = most } = command;
    if (maxRunSeconds > most) throw invalid('max_run_seconds', `at most ${most}`);
    return {
      ...{ id: newId(), runner: this.runnerId, ...owner, name: command.name ?? command.provider },
      ...{ provider: command.provider, binary, model: command.model ?? null, approve: command.approve },
      ...{ args: command.args, cwd: command.cwd ?? null, worktreeId: command.worktree_id ?? null, sessionId: newId() },
      ...{ state: 'starting', source: 'process', confidence: 'high', revision: 0, prompt: null },
      // Providers that let us name the conversation are taken up by that name; the others tell theirs by a hook.
      ...{ exitCode: null, signal: null, failure: null, resumeId: this.#conversation(command, binary), resumes: 0 },
      ...{ notApplied: [], maxRunSeconds, cols: command.cols, rows: command.rows, requestId },
      requestHash: requestId === null ? null : this.requests.of({ ...owner, requestId }, [command]),
      ...{ createdAt: now, changedAt: now, endedAt: null },
    };
  }

  #conversation({ provider }: StartCommand, binary: string): string | null {
    return this.providers.known(provider, binary)?.session_args ? randomUUID() : null;
  }
}

function invalid(field: string, problem: string): DomainError {
  return new DomainError('INVALID_ARGUMENT', `${field}: ${problem}`, { details: { fields: [{ field, problem }] } });
}
