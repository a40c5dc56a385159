import { Inject, Injectable, type BeforeApplicationShutdown, type OnApplicationBootstrap } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { CONFIG, type Config } from '../config/load.js';
import type { RunnerSession__Output } from '../generated/gatehouse/runner/v1/RunnerSession.js';
import { AuditTrail } from '../kernel/audit.js';
import type { Clock } from '../kernel/clock.js';
import { systemContext } from '../kernel/request-context.js';
import { CLOCK, RUNNER_ID } from '../kernel/tokens.js';
import { RunnerClient } from '../runner-link/runner-client.js';
import { endRunnerProcess, ensureRunner, STILL_THERE_MS } from '../runner-link/runner-process.js';
import { Metrics } from '../kernel/metrics.js';
import { RunnerAbsence } from '../runner-link/runner-absence.js';
import { type RunnerWatcher, RunnerWatch } from '../runner-link/runner-watch.js';
import { SessionEnds } from './session-ends.js';
import { type LiveSession, SessionStore } from './session-store.js';

const SWEEP_MS = 60_000;
/** A session may be in the table before the runner knows it: its start is under way. */
const STARTING_GRACE_MS = 15_000;
/** Another gateway may have recorded an end just now, and be about to tell of it. */
const TELLING_GRACE_MS = 10_000;

/** Keeps the sessions table true to the runner: ends as they happen, and everything after an interruption. */
@Injectable()
export class SessionFollower implements RunnerWatcher, OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #watch: RunnerWatch;
  readonly #absence: RunnerAbsence;
  #timer: NodeJS.Timeout | undefined;
  readonly #afterwards: (() => Promise<void>)[] = [];
  #connected = false;

  constructor(
    private readonly store: SessionStore,
    private readonly ends: SessionEnds,
    private readonly audit: AuditTrail,
    private readonly logger: PinoLogger,
    private readonly runner: RunnerClient,
    @Inject(RUNNER_ID) private readonly runnerId: string,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) config: Config,
    metrics: Metrics,
  ) {
    metrics.read('gauge', { name: 'runner_up', help: 'Whether the runner answers: 1 or 0.' }, () => [
      { value: this.#connected ? 1 : 0 },
    ]);
    this.#watch = new RunnerWatch(runner, this, () => ensureRunner(runner, config), logger);
    this.#absence = new RunnerAbsence(runner.endpoint, () => this.#onGone(), logger);
  }

  /**
   * Does something whenever the sessions were compared with the runner's: when it is there, or there again, and every
   * minute. What it rejects with is logged.
   */
  onReconciled(work: () => Promise<void>): void {
    this.#afterwards.push(work);
  }

  /** Whether the runner answers now. */
  get connected(): boolean {
    return this.#connected;
  }

  onApplicationBootstrap(): void {
    this.#watch.start();
    this.#absence.start();
    this.#timer = setInterval(() => {
      this.#sweep().catch((error: unknown) => {
        this.logger.warn({ err: error }, 'sessions not swept');
      });
    }, SWEEP_MS);
    this.#timer.unref();
  }

  /**
   * Ends the runner with all its sessions; when this resolves, their ends are on record and its process is gone.
   * @throws DomainError when it does not answer, Error when it does not end
   */
  async endRunner(): Promise<void> {
    this.#watch.expectEnd();
    this.#absence.stop();
    // Where none answers, one may be being started just now: when the watch has stopped, it is there.
    await this.runner.info(STILL_THERE_MS).catch(() => this.#watch.stop());
    const sessions = await endRunnerProcess(this.runner);
    await this.#watch.stop();
    await this.#settle(await this.store.live(this.runnerId), sessions);
  }

  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.#timer);
    this.#absence.stop();
    await this.#watch.stop();
  }

  async onConnected(): Promise<void> {
    const { id, epoch } = await this.runner.info();
    if (id !== this.runnerId) throw new Error('Another runner answers now; restart the gateway to use it.');
    this.#connected = true;
    this.#absence.stop();
    const sessions = await this.#reconcile();
    void this.#tellEnds(0);
    this.audit.note(systemContext(), {
      action: 'runner.connected',
      resource: `runner:${id}`,
      success: true,
      metadata: { epoch: epoch ?? null, sessions },
    });
  }

  async onChanged(session: RunnerSession__Output): Promise<void> {
    if (session.state !== 'running') await this.ends.record(session);
    else await this.store.setSize({ tenant: null, id: session.id ?? '' }, session.cols ?? 0, session.rows ?? 0);
  }

  onLost(): Promise<void> {
    this.#connected = false;
    this.#absence.start();
    this.audit.note(systemContext(), {
      action: 'runner.lost',
      resource: null,
      success: false,
      reason: 'RUNNER_UNAVAILABLE',
    });
    return Promise.resolve();
  }

  /**
   * The runner is dead, and no other has come in its place. Whether that still holds is asked after the table was read:
   * what a new one has started is not in it then.
   */
  async #onGone(): Promise<void> {
    const live = await this.store.live(this.runnerId);
    if (live.length > 0 && (await this.runner.endpoint.isDeserted())) await this.#settle(live, []);
  }

  /** Forgets what ended long ago, and finds starts that a killed gateway left half-way. */
  async #sweep(): Promise<void> {
    await this.store.sweep();
    if (this.#connected) await this.#reconcile();
    await this.#tellEnds(TELLING_GRACE_MS);
  }

  /** Does not fail: what could not be told is told at the next sweep. */
  async #tellEnds(graceMs: number): Promise<void> {
    await this.ends.tellRest(graceMs).catch((error: unknown) => {
      this.logger.warn({ err: error }, 'ends of sessions not told to the audit trail');
    });
  }

  /** The gateway that began this start was killed before it could record it. */
  async #adopt({ id, tenant, ownerProvider, ownerSubject }: LiveSession, pid: number): Promise<void> {
    if (!(await this.store.adopt(id, pid))) return;
    this.audit.note(systemContext(), {
      action: 'pty.start',
      resource: `session:${id}`,
      success: true,
      reason: 'recovered',
      tenant,
      metadata: { owner: { provider: ownerProvider, subject: ownerSubject } },
    });
  }

  /**
   * Records what happened while nobody watched. The table is read first: what starts in between is in the runner's
   * list alone, and so is never taken for lost.
   * @returns how many sessions the runner holds
   */
  async #reconcile(): Promise<number> {
    const live = await this.store.live(this.runnerId);
    const sessions = await this.runner.list();
    await this.#settle(live, sessions);
    for (const work of this.#afterwards) {
      await work().catch((error: unknown) => {
        this.logger.warn({ err: error }, 'what follows the runner could not be compared with it');
      });
    }
    return sessions.length;
  }

  /** @param live the sessions of the table, read before the runner's unless that starts no more */
  async #settle(live: readonly LiveSession[], sessions: readonly RunnerSession__Output[]): Promise<void> {
    const held = new Map(sessions.map((session) => [session.id, session]));
    const startedBefore = this.clock.now() - STARTING_GRACE_MS;
    for (const row of live) {
      const session = held.get(row.id);
      const settled = row.state === 'running' || row.createdAt.getTime() < startedBefore;
      if (!session && settled) await this.ends.recordLost(row.id);
      else if (session) {
        if (settled && row.state === 'starting') await this.#adopt(row, session.pid ?? 0);
        await this.onChanged(session);
      }
    }
  }
}
