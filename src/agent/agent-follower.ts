import { setTimeout } from 'node:timers/promises';
import { type BeforeApplicationShutdown, Inject, Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import type { RunnerAgent__Output } from '../generated/gatehouse/runner/v1/RunnerAgent.js';
import type { WatchAgentsResponse__Output } from '../generated/gatehouse/runner/v1/WatchAgentsResponse.js';
import type { Clock } from '../kernel/clock.js';
import { CLOCK, RUNNER_ID } from '../kernel/tokens.js';
import { SessionEnds } from '../pty/session-ends.js';
import { SessionStore } from '../pty/session-store.js';
import { RunnerAgents } from '../runner-link/runner-agents.js';
import type { AgentEntity } from './agent.entity.js';
import { AgentStates } from './agent-states.js';
import { AgentStore } from './agent-store.js';

const RETRY_MS = 500;
const SWEEP_MS = 60_000;
/** How long the runner has to say how an agent ended, once its session is known to have. */
const LAST_WORD_MS = 2000;
/** An agent may be in the table before the runner knows it: its worktree is being made, and its setup runs. */
const STARTING_GRACE_MS = 15 * 60_000;

/**
 * Keeps the agents table true to the runner. What the watch tells is kept by agent, the newest of each, until it is recorded;
 * whenever the watch begins anew everything is listed, so that nothing is missed.
 */
@Injectable()
export class AgentFollower implements OnApplicationBootstrap, BeforeApplicationShutdown {
  /** By session: as many at most as the runner holds. */
  readonly #news = new Map<string, RunnerAgent__Output>();
  #cancel: (() => void) | null = null;
  #running: Promise<void> = Promise.resolve();
  #wake = Promise.withResolvers<undefined>();
  #timer: NodeJS.Timeout | undefined;
  readonly #stop = new AbortController();
  #failing = false;

  constructor(
    private readonly store: AgentStore,
    private readonly states: AgentStates,
    private readonly sessions: SessionStore,
    private readonly runner: RunnerAgents,
    private readonly logger: PinoLogger,
    ends: SessionEnds,
    @Inject(RUNNER_ID) private readonly runnerId: string,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    ends.onRecorded((sessionId) => {
      globalThis.setTimeout(() => void this.#settleSession(sessionId), LAST_WORD_MS).unref();
    });
  }

  onApplicationBootstrap(): void {
    this.#running = this.#run();
    this.#timer = setInterval(() => void this.#sweep(), SWEEP_MS).unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    this.#stop.abort();
    clearInterval(this.#timer);
    this.#cancel?.();
    this.#wake.resolve(undefined);
    await this.#running;
    // The runner may have been ended with its last words unheard: the sessions' ends say what is left to say.
    await this.#settleAll().catch((error: unknown) => {
      this.logger.warn({ err: error }, 'agents could not be settled');
    });
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#follow();
      await this.#pause();
    }
  }

  /** Until the stream ends. */
  async #follow(): Promise<void> {
    const stream = this.runner.watch();
    this.#cancel = () => {
      stream.cancel();
    };
    let [over, toList] = [false, false];
    const isOver = (): boolean => over;
    stream.on('data', ({ changed }: WatchAgentsResponse__Output) => {
      if (changed) this.#news.set(changed.session_id ?? '', changed);
      else toList = true;
      this.#wake.resolve(undefined);
    });
    const end = (): void => {
      over = true;
      this.#wake.resolve(undefined);
    };
    stream.on('error', end).on('end', end);
    while (!isOver()) {
      await this.#wake.promise;
      this.#wake = Promise.withResolvers();
      if (toList) toList = !(await this.#record(() => this.#list()));
      if (!(await this.#record(() => this.#takeIn())) || toList) {
        await this.#pause();
        this.#wake.resolve(undefined);
      }
    }
  }

  async #list(): Promise<void> {
    const live = await this.store.live(this.runnerId);
    const held = new Map((await this.runner.list()).map((agent) => [agent.session_id, agent]));
    for (const row of live) {
      const agent = held.get(row.sessionId);
      if (agent) await this.states.report(agent);
      else await this.#settle(row);
    }
  }

  async #takeIn(): Promise<void> {
    for (const [sessionId, agent] of this.#news) {
      await this.states.report(agent);
      // A newer one may have come meanwhile.
      if (this.#news.get(sessionId) === agent) this.#news.delete(sessionId);
    }
  }

  /** @returns whether it is on record; else it is tried again */
  async #record(work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      if (this.#failing) this.logger.info('agents are recorded again');
      this.#failing = false;
      return true;
    } catch (error) {
      if (!this.#failing) this.logger.error({ err: error }, 'agents cannot be recorded now');
      this.#failing = true;
      return false;
    }
  }

  async #sweep(): Promise<void> {
    await this.#record(async () => {
      await this.store.sweep();
      await this.#settleAll();
    });
  }

  async #settleAll(): Promise<void> {
    for (const row of await this.store.live(this.runnerId)) await this.#settle(row);
  }

  async #settleSession(sessionId: string): Promise<void> {
    await this.#record(async () => {
      for (const row of await this.store.stillLive([sessionId])) await this.#settle(row);
    });
  }

  /** An agent whose session has ended has ended; one without a session never began. */
  async #settle(row: AgentEntity): Promise<void> {
    const session = await this.sessions.find(row.tenant, row.sessionId);
    const nothing = { exitCode: null, signal: null, failure: null };
    const now = new Date(this.clock.now());
    if (session === null) {
      if (row.changedAt.getTime() > this.clock.now() - STARTING_GRACE_MS) return;
      // A start that failed is as if it had not been; one that was taken up in vain can be taken up again.
      if (row.resumes === 0) await this.store.remove(row);
      else await this.states.sessionEnded(row, { state: 'lost', ...nothing }, now);
      return;
    }
    const { endedAt, exitCode, signal, state } = session;
    if (endedAt === null) return;
    if (state === 'lost') await this.states.sessionEnded(row, { state: 'lost', ...nothing }, endedAt);
    else if (state === 'killed')
      await this.states.sessionEnded(row, { state: 'stopped', exitCode, signal, failure: null }, endedAt);
    else {
      const well = exitCode === 0 && signal === null;
      const end = well
        ? { state: 'exited' as const, failure: null }
        : { state: 'failed' as const, failure: 'AGENT_CRASHED' };
      await this.states.sessionEnded(row, { ...end, exitCode, signal }, endedAt);
    }
  }

  /** Until it is time to try again, or to stop. */
  async #pause(): Promise<void> {
    await setTimeout(RETRY_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined);
  }
}
