import { Inject, Injectable, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { CONFIG, type Config } from '../config/load.js';
import type { RunnerSession__Output } from '../generated/gatehouse/runner/v1/RunnerSession.js';
import { AuditTrail } from '../kernel/audit.js';
import { systemContext } from '../kernel/request-context.js';
import { RunnerClient } from '../runner-link/runner-client.js';
import { ensureRunner } from '../runner-link/runner-process.js';
import { type RunnerWatcher, RunnerWatch } from '../runner-link/runner-watch.js';
import { SessionEnds } from './session-ends.js';
import { SessionStore } from './session-store.js';

const SWEEP_MS = 60_000;
/** A session may be in the table before the runner knows it: its start is under way. */
const STARTING_GRACE_MS = 15_000;

/** Keeps the sessions table true to the runner: ends as they happen, and everything after an interruption. */
@Injectable()
export class SessionFollower implements RunnerWatcher, OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #watch: RunnerWatch;
  #timer: NodeJS.Timeout | undefined;
  #connected = false;

  constructor(
    private readonly store: SessionStore,
    private readonly ends: SessionEnds,
    private readonly audit: AuditTrail,
    private readonly logger: PinoLogger,
    private readonly runner: RunnerClient,
    @Inject(CONFIG) config: Config,
  ) {
    this.#watch = new RunnerWatch(runner, this, () => ensureRunner(runner, config), logger);
  }

  /** Whether the runner answers now. */
  get connected(): boolean {
    return this.#connected;
  }

  onApplicationBootstrap(): void {
    this.#watch.start();
    this.#timer = setInterval(() => {
      this.#sweep().catch((error: unknown) => {
        this.logger.warn({ err: error }, 'sessions not swept');
      });
    }, SWEEP_MS);
    this.#timer.unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.#timer);
    await this.#watch.stop();
  }

  async onConnected(epoch: string, sessions: readonly RunnerSession__Output[]): Promise<void> {
    this.#connected = true;
    this.audit.note(systemContext(), {
      action: 'runner.connected',
      resource: `runner:${epoch}`,
      success: true,
      metadata: { sessions: sessions.length },
    });
    await this.#reconcile(sessions);
  }

  onEnded(session: RunnerSession__Output): Promise<void> {
    return this.ends.record(session);
  }

  onLost(): Promise<void> {
    this.#connected = false;
    this.audit.note(systemContext(), {
      action: 'runner.lost',
      resource: null,
      success: false,
      reason: 'RUNNER_UNAVAILABLE',
    });
    return Promise.resolve();
  }

  /** Forgets what ended long ago, and finds starts that a killed gateway left half-way. */
  async #sweep(): Promise<void> {
    await this.store.sweep();
    if (this.#connected) await this.#reconcile(await this.runner.list());
  }

  async #reconcile(sessions: readonly RunnerSession__Output[]): Promise<void> {
    const held = new Set(sessions.map(({ id }) => id));
    for (const session of sessions) if (session.state !== 'running') await this.onEnded(session);
    for (const id of await this.store.liveIds(new Date(Date.now() - STARTING_GRACE_MS))) {
      if (!held.has(id)) await this.ends.recordLost(id);
    }
  }
}
