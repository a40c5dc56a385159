import { type Clock, systemClock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import { isId } from '../kernel/ids.js';
import { checkStartable, resolveCommand, resolveDirectory } from './command.js';
import { sessionEnvironment } from './environment.js';
import { type Lifetime, lifetimeEnd } from './lifetime.js';
import { runnerMark, scanProcesses } from './processes.js';
import { RingBudget } from './ring-budget.js';
import type { Confinement } from './sandbox/sandbox.js';
import { Screens } from './screen/screens.js';
import { Session } from './session.js';
import type { SessionGroups } from './session-groups.js';
import { checkSize } from './size.js';

/** Retained output of ended sessions, all together, and their number; the ones that ended first go first. */
export const RETAINED = { bytes: 512 * 1024 * 1024, sessions: 1000 } as const;
const LONGEST_SWEEP_MS = 60_000;
/** How often it is looked whose time is over: one look at all sessions, rather than timers for each. */
const LIFETIMES_EVERY_MS = 500;

export interface RegistryOptions {
  /** The runner's id. */
  readonly id: string;
  readonly epoch: string;
  readonly ringBytes: number;
  readonly ringsTotalBytes: number;
  readonly maxSessions: number;
  readonly retentionMs: number;
  /** The runner's own environment, of which a session inherits an allowed part. */
  readonly baseEnvironment: Readonly<Record<string, string | undefined>>;
  readonly onSurvivors: (session: Session, count: number) => void;
  /** Where each session's processes are kept together, if anywhere. */
  readonly groups?: SessionGroups;
  readonly clock?: Pick<Clock, 'now'>;
  /** The monotonic clock, milliseconds. */
  readonly elapsed?: () => number;
  /** Instead of {@link RETAINED}. */
  readonly retained?: { readonly bytes: number; readonly sessions: number };
}

export interface StartOptions {
  readonly id: string;
  readonly command: readonly string[];
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly cols: number;
  readonly rows: number;
  readonly lifetime: Lifetime;
  /** Variables of ours, which the caller may not set. */
  readonly ownEnv?: Readonly<Record<string, string>>;
  /** Its sandbox, where it has one. */
  readonly confinement?: Confinement | undefined;
}

/** Who is told what happens to sessions. */
export interface RegistryListener {
  /** A session ended, or has another size. */
  changed(session: Session): void;
  /** All sessions have ended and none will be started: nothing more is told. */
  closed(): void;
}

export interface StartedSession {
  readonly session: Session;
  readonly command: string[];
  readonly cwd: string;
}

/** All sessions of this runner: those that live, and those that ended and are still retained. */
export class Registry {
  readonly #running = new Map<string, Session>();
  /** In the order in which they ended. */
  readonly #ended = new Map<string, Session>();
  readonly #listeners = new Set<RegistryListener>();
  /** Sessions some of whose processes are not gone yet. */
  readonly #unsettled = new Set<Promise<void>>();
  readonly #clock: Pick<Clock, 'now'>;
  readonly #screens = new Screens();
  readonly #elapsed: () => number;
  readonly #ringBudget: RingBudget;
  readonly #sweeper: NodeJS.Timeout;
  readonly #lifetimes: NodeJS.Timeout;
  #closing = false;

  constructor(private readonly options: RegistryOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#elapsed = options.elapsed ?? (() => performance.now());
    this.#ringBudget = new RingBudget(options.ringsTotalBytes);
    const interval = Math.min(LONGEST_SWEEP_MS, Math.max(100, options.retentionMs / 4));
    this.#sweeper = setInterval(() => {
      this.sweep();
    }, interval).unref();
    this.#lifetimes = setInterval(() => {
      this.endOverdue();
    }, LIFETIMES_EVERY_MS).unref();
  }

  /**
   * Starts a session under the given id.
   * @throws DomainError INVALID_ARGUMENT, START_FAILED, SESSION_LIMIT, GOING_AWAY
   */
  start(asked: StartOptions): StartedSession {
    this.#checkStart(asked);
    const { baseEnvironment, epoch, ringBytes, maxSessions, onSurvivors } = this.options;
    const inherited = sessionEnvironment(baseEnvironment, asked.env, asked.id, runnerMark(this.options.id));
    const env = { ...inherited, ...asked.ownEnv };
    const command = resolveCommand(asked.command, baseEnvironment['SHELL']);
    const cwd = resolveDirectory(asked.confinement?.cwd ?? asked.cwd);
    checkStartable(command, cwd, env);
    const run = asked.confinement?.wrap({ command, cwd, env }) ?? { command, cwd, env };
    if (this.#running.size >= maxSessions) throw new DomainError('SESSION_LIMIT', 'The runner has no room left.');
    const group = this.options.groups?.create(asked.id);
    const session = startSession({
      ...{ id: asked.id, cols: asked.cols, rows: asked.rows, lifetime: asked.lifetime, ...run, epoch },
      ...{
        ringBytes,
        ringBudget: this.#ringBudget,
        onSurvivors,
        elapsed: this.#elapsed,
        screens: this.#screens,
        group,
      },
      now: () => this.#clock.now(),
      onEnd: this.#onEnd,
      onResize: this.#tell,
    });
    this.#running.set(session.id, session);
    const settled = session.settled.finally(() => this.#unsettled.delete(settled));
    this.#unsettled.add(settled);
    return { session, command, cwd };
  }

  /** Is a session held under this id? */
  has(id: string): boolean {
    return this.#running.has(id) || this.#ended.has(id);
  }

  /** @throws DomainError NOT_FOUND */
  get(id: string): Session {
    const session = this.#running.get(id) ?? this.#ended.get(id);
    if (!session) throw new DomainError('NOT_FOUND', 'There is no such session.');
    return session;
  }

  list(): Session[] {
    return [...this.#ended.values(), ...this.#running.values()];
  }

  /** The ids of sessions of which a process has its working directory in this folder, by its real path. */
  async workingIn(folder: string): Promise<string[]> {
    const table = await scanProcesses();
    return [...this.#running.values()].filter((session) => session.worksIn(folder, table)).map(({ id }) => id);
  }

  /** Tells `listener` what happens from now on; returns how to stop it. */
  follow(listener: RegistryListener): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Starts nothing more and ends all sessions, with their processes. */
  async close(reason: string): Promise<void> {
    this.#closing = true;
    clearInterval(this.#sweeper);
    clearInterval(this.#lifetimes);
    await Promise.all([...this.#running.values()].map((session) => session.kill(reason)));
    await Promise.all(this.#unsettled);
    for (const listener of this.#listeners) listener.closed();
  }

  /** Forgets ended sessions that are too old, too many or too large. */
  sweep(): void {
    const limit = this.options.retained ?? RETAINED;
    const oldest = this.#clock.now() - this.options.retentionMs;
    let bytes = [...this.#ended.values()].reduce((sum, session) => sum + session.retained, 0);
    for (const [id, session] of this.#ended) {
      const fits = bytes <= limit.bytes && this.#ended.size <= limit.sessions;
      if (fits && (session.endedAt ?? 0) > oldest) return;
      this.#ended.delete(id);
      bytes -= session.retained;
      session.attachments.dispose();
    }
  }

  /** Ends the sessions whose time is over, each with the reason. */
  endOverdue(): void {
    const now = this.#elapsed();
    for (const session of this.#running.values()) {
      const reason = lifetimeEnd(session, now);
      // One that is being ended already keeps its first reason.
      if (reason !== null) void session.kill(reason);
    }
  }

  #checkStart(asked: StartOptions): void {
    if (this.#closing) throw new DomainError('GOING_AWAY', 'The runner is shutting down.');
    if (!isId(asked.id)) throw new DomainError('INVALID_ARGUMENT', 'The session id is not a UUID.');
    if (this.#running.has(asked.id) || this.#ended.has(asked.id)) {
      throw new DomainError('INVALID_ARGUMENT', 'There is a session with this id already.');
    }
    checkSize(asked.cols, asked.rows);
  }

  readonly #onEnd = (session: Session): void => {
    this.#running.delete(session.id);
    this.#ended.set(session.id, session);
    this.sweep();
    this.#tell(session);
  };

  readonly #tell = (session: Session): void => {
    for (const listener of this.#listeners) listener.changed(session);
  };
}

function startSession(options: ConstructorParameters<typeof Session>[0]): Session {
  try {
    return new Session(options);
  } catch (cause) {
    void options.group?.remove();
    throw new DomainError('START_FAILED', 'No terminal or no process was to be had.', { cause });
  }
}
