import { DomainError } from '../kernel/errors.js';
import type { ProcessExited } from '../kernel/link.js';
import { type AttachedSession, AttachmentSet } from './attachment-set.js';
import { isInside } from './git/pinned.js';
import type { Lifetime, Mortal } from './lifetime.js';
import type { ForkOptions } from './native-pty.js';
import { killTree, membersOf, signalForeground, type TreeRoot } from './process-tree.js';
import { type MarkedProcess, workingDirectory } from './processes.js';
import { type ExitStatus, Pty } from './pty.js';
import { Resizer } from './resizer.js';
import { Ring } from './ring.js';
import type { RingBudget } from './ring-budget.js';
import type { ScreenHistory } from './screen/screen-history.js';
import type { Screens } from './screen/screens.js';
import { checkSize } from './size.js';
import { isReport } from './terminal-reports.js';

/** Dragging a window changes its size many times; the last one is told. */
const TELL_SIZE_MS = 250;

export type SessionState = 'running' | 'exited' | 'killed';

export interface SessionOptions extends ForkOptions {
  readonly id: string;
  readonly epoch: string;
  readonly ringBytes: number;
  /** Makes the screens of all sessions. */
  readonly screens: Screens;
  /** What all rings share. */
  readonly ringBudget: RingBudget;
  readonly lifetime: Lifetime;
  readonly now: () => number;
  /** The monotonic clock, milliseconds. */
  readonly elapsed: () => number;
  readonly onEnd: (session: Session) => void;
  /** Told some time after the size has changed. */
  readonly onResize: (session: Session) => void;
  /** Told when processes could not be ended. */
  readonly onSurvivors: (session: Session, count: number) => void;
}

/** A process on a PTY, its output, and the clients that watch and steer it. */
export class Session implements AttachedSession, Mortal {
  readonly id: string;
  readonly lifetime: Lifetime;
  readonly startedAt: number;
  lastActive: number;
  readonly createdAt: number;
  readonly ring: Ring;
  readonly screens: ScreenHistory;
  readonly attachments: AttachmentSet;
  /** Resolves when its processes are gone too. */
  readonly settled: Promise<void>;
  state: SessionState = 'running';
  exit: ProcessExited | undefined;
  endedAt: number | undefined;
  cols: number;
  rows: number;
  /** How often something was typed in, by whomever. */
  typed = 0;

  readonly #pty: Pty;
  readonly #root: TreeRoot;
  readonly #resizer: Resizer;
  readonly #ended = Promise.withResolvers<undefined>();
  #killing: Promise<void> | undefined;
  #killReason: string | undefined;
  #tellSize: NodeJS.Timeout | undefined;

  /** Starts it. Throws what the system says when there is no PTY or no process to be had. */
  constructor(private readonly options: SessionOptions) {
    this.id = options.id;
    this.createdAt = options.now();
    this.lifetime = options.lifetime;
    this.startedAt = this.lastActive = options.elapsed();
    this.cols = options.cols;
    this.rows = options.rows;
    this.ring = new Ring(options.ringBytes, options.ringBudget);
    this.screens = options.screens.follow(this.ring, options);
    this.#pty = new Pty(options, { onData: this.#onData, onExit: this.#onExit });
    const { pid, startTime } = this.#pty;
    this.#root = { sessionId: options.id, pid, startTime, group: options.group };
    this.#resizer = new Resizer((cols, rows) => {
      this.#pty.resize(cols, rows);
    });
    this.attachments = new AttachmentSet(this, this.#pty);
    this.settled = this.#ended.promise.then(() => this.#killing ?? this.#endProcesses());
  }

  get pid(): number {
    return this.#pty.pid;
  }

  get epoch(): string {
    return this.options.epoch;
  }

  /** Memory that its output takes. */
  get retained(): number {
    return this.ring.allocated + this.screens.allocated;
  }

  get attached(): number {
    return this.attachments.size;
  }

  /** Has one of its processes, all of which are among `table`, its working directory in this folder? */
  worksIn(folder: string, table: readonly MarkedProcess[]): boolean {
    const members = membersOf(this.#root, table, new Set([this.#root.pid]), this.#root.group?.processes());
    // Of a process that hides its own it is not known: it was started where the session was.
    return members.some(({ pid }) => isInside(folder, workingDirectory(pid) ?? this.options.cwd));
  }

  /** Types into the session, unsequenced. */
  write(data: Buffer): void {
    this.#checkRunning();
    this.touch();
    if (!isReport(data)) this.typed += 1;
    this.#pty.write(data);
    this.attachments.expedite();
  }

  /** Changes the terminal size. */
  resize(cols: number, rows: number): void {
    this.#checkRunning();
    checkSize(cols, rows);
    if (cols === this.cols && rows === this.rows) return;
    this.cols = cols;
    this.rows = rows;
    this.#resizer.request(cols, rows);
    this.screens.resized(cols, rows);
    this.attachments.onResize();
    this.#tellSize ??= setTimeout(() => {
      this.#tellSize = undefined;
      this.options.onResize(this);
    }, TELL_SIZE_MS);
  }

  /** Signals the foreground process group. */
  signal(signal: NodeJS.Signals): void {
    this.#checkRunning();
    if (!signalForeground(this.#root, signal)) throw ended();
  }

  /** Ends the session and all its processes; resolves when they are gone. */
  kill(reason: string): Promise<void> {
    this.#checkRunning();
    this.#killReason ??= reason;
    this.#killing ??= this.#kill();
    return this.#killing;
  }

  /** A client came or went. */
  touch(): void {
    this.lastActive = this.options.elapsed();
  }

  readonly #onData = (bytes: Buffer): void => {
    this.ring.append(bytes);
    this.touch();
    this.attachments.onOutput();
    if (this.ring.end >= this.screens.dueAt) this.options.screens.due(this.screens);
  };

  readonly #onExit = (status: ExitStatus): void => {
    const reason = this.#killReason ?? 'exited';
    this.state = this.#killReason === undefined ? 'exited' : 'killed';
    this.exit = { type: 'process_exited', exit_code: status.exitCode, signal: status.signal, reason };
    this.endedAt = this.options.now();
    this.#resizer.close();
    clearTimeout(this.#tellSize);
    this.ring.trim();
    this.attachments.onExit();
    this.#ended.resolve(undefined);
    this.options.onEnd(this);
  };

  async #kill(): Promise<void> {
    this.#pty.holdEnd();
    await this.#endProcesses().finally(() => {
      this.#pty.releaseEnd();
    });
    await this.#ended.promise;
  }

  async #endProcesses(): Promise<void> {
    const survivors = await killTree(this.#root);
    if (survivors > 0) this.options.onSurvivors(this, survivors);
  }

  #checkRunning(): void {
    if (this.exit) throw ended();
  }
}

function ended(): DomainError {
  return new DomainError('SESSION_ENDED', 'The session has ended.');
}
