import type { Socket } from 'node:net';
import { DomainError } from '../kernel/errors.js';
import type { AttachMode, LinkAttach, ProcessExited } from '../kernel/link.js';
import { MAX_COLS, MAX_ROWS } from '../kernel/terminal.js';
import { Attachment, type AttachmentHost, MAX_ATTACHMENTS } from './attachment.js';
import { FlowControl } from './flow.js';
import type { ForkOptions } from './native-pty.js';
import { killTree, signalForeground, type TreeRoot } from './process-tree.js';
import { type ExitStatus, Pty } from './pty.js';
import { Resizer } from './resizer.js';
import { Ring } from './ring.js';
import { Writers } from './writers.js';

/** The program waits so long for its first client before its first output may roll out of the ring. */
const FIRST_CLIENT_MS = 2000;
/** The program waits so long at most for a client that is being given a full ring, and so rarely: viewers slow nobody. */
const CATCH_UP_MS = 100;
const CATCH_UP_EVERY_MS = 10_000;
/** Dragging a window changes its size many times; the last one is told. */
const TELL_SIZE_MS = 250;

export type SessionState = 'running' | 'exited' | 'killed';

export interface SessionOptions extends ForkOptions {
  readonly id: string;
  readonly epoch: string;
  readonly ringBytes: number;
  readonly now: () => number;
  readonly onEnd: (session: Session) => void;
  /** Told some time after the size has changed. */
  readonly onResize: (session: Session) => void;
  /** Told when processes could not be ended. */
  readonly onSurvivors: (session: Session, count: number) => void;
}

/** A process on a PTY, its output, and the clients that watch and steer it. */
export class Session implements AttachmentHost {
  readonly id: string;
  readonly createdAt: number;
  readonly ring: Ring;
  /** Resolves when its processes are gone too. */
  readonly settled: Promise<void>;
  state: SessionState = 'running';
  exit: ProcessExited | undefined;
  endedAt: number | undefined;
  cols: number;
  rows: number;

  readonly #pty: Pty;
  readonly #root: TreeRoot;
  readonly #flow: FlowControl;
  readonly #resizer: Resizer;
  readonly #writers = new Writers();
  readonly #attachments = new Set<Attachment>();
  readonly #ended = Promise.withResolvers<undefined>();
  #controller: Attachment | undefined;
  #catchingUp: Attachment | undefined;
  #lastCatchUp = -Infinity;
  #killing: Promise<void> | undefined;
  #killReason: string | undefined;
  #tellSize: NodeJS.Timeout | undefined;

  /** Starts it. Throws what the system says when there is no PTY or no process to be had. */
  constructor(private readonly options: SessionOptions) {
    this.id = options.id;
    this.createdAt = options.now();
    this.cols = options.cols;
    this.rows = options.rows;
    this.ring = new Ring(options.ringBytes);
    this.#pty = new Pty(options, { onData: this.#onData, onExit: this.#onExit });
    this.#root = { sessionId: options.id, pid: this.#pty.pid, startTime: this.#pty.startTime };
    this.#flow = new FlowControl(this.#pty, options.ringBytes);
    this.#resizer = new Resizer((cols, rows) => {
      this.#pty.resize(cols, rows);
    });
    this.#holdRing(FIRST_CLIENT_MS);
    this.settled = this.#ended.promise.then(() => this.#killing ?? this.#endProcesses());
  }

  get pid(): number {
    return this.#pty.pid;
  }

  /**
   * Attaches a client, whose first answer is `attached`, then the output from the offset wanted, then what follows.
   * @throws DomainError when it is to be refused
   */
  attach(request: LinkAttach, socket: Socket): Attachment {
    const from = this.#checkAttach(request);
    const attachment = new Attachment(this, socket, {
      channel: request.channel,
      mayControl: request.may_control,
      writer: request.writer_id,
      from,
    });
    this.#attachments.add(attachment);
    const wanted: AttachMode = request.mode ?? 'controller';
    if (wanted === 'controller' && request.may_control && !this.#controller && !this.exit) {
      this.#setController(attachment);
      if (request.cols !== undefined && request.rows !== undefined) this.resize(request.cols, request.rows);
    }
    this.#sendAttached(attachment);
    if (!this.exit) attachment.send({ type: 'process_started', pid: this.pid });
    this.#catchUp(attachment);
    attachment.flush();
    return attachment;
  }

  /** Types into the session, unsequenced. */
  write(data: Buffer): void {
    this.#checkRunning();
    this.#pty.write(data);
    for (const attachment of this.#attachments) attachment.expedite();
  }

  /** Changes the terminal size. */
  resize(cols: number, rows: number): void {
    this.#checkRunning();
    checkSize(cols, rows);
    if (cols === this.cols && rows === this.rows) return;
    this.cols = cols;
    this.rows = rows;
    this.#resizer.request(cols, rows);
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

  /** Lets go of clients that still read the retained output; it is about to be forgotten. */
  dispose(): void {
    for (const attachment of [...this.#attachments]) attachment.detach('LAGGING');
  }

  input(attachment: Attachment, offset: number | undefined, data: Buffer): void {
    this.#checkRunning();
    this.#checkControl(attachment);
    const { writer } = attachment.options;
    if (writer === undefined) {
      this.write(data);
      return;
    }
    const at = offset ?? this.#writers.next(writer);
    const fresh = this.#writers.fresh(writer, at, data);
    if (fresh.length === 0) return;
    this.write(fresh);
    this.#writers.advance(writer, at + data.length);
  }

  inputNext(writer: string): number {
    return this.#writers.next(writer);
  }

  resizeFrom(attachment: Attachment, cols: number, rows: number): void {
    this.#checkRunning();
    this.#checkControl(attachment);
    this.resize(cols, rows);
  }

  takeControl(attachment: Attachment): void {
    this.#checkRunning();
    if (!attachment.mayControl) throw new DomainError('PERMISSION_DENIED', 'You may only view this session.');
    if (attachment === this.#controller) return;
    const previous = this.#controller;
    if (previous) {
      previous.mode = 'viewer';
      previous.send({ type: 'mode_changed', mode: 'viewer', reason: 'taken_over' });
    }
    this.#setController(attachment);
    attachment.send({ type: 'mode_changed', mode: 'controller', reason: 'taken' });
  }

  permit(attachment: Attachment, mayControl: boolean): void {
    attachment.mayControl = mayControl;
    if (mayControl || attachment !== this.#controller) return;
    this.#controller = undefined;
    attachment.mode = 'viewer';
    attachment.send({ type: 'mode_changed', mode: 'viewer', reason: 'permission_lost' });
    this.#regulate();
  }

  progressed(attachment: Attachment): void {
    if (attachment.cursor === this.ring.end) this.#caughtUp(attachment);
    this.#regulate();
  }

  detach(attachment: Attachment): void {
    this.#attachments.delete(attachment);
    // Nobody is promoted: a viewer takes control when it wants it.
    if (attachment === this.#controller) this.#controller = undefined;
    this.#caughtUp(attachment);
    this.#regulate();
  }

  #checkAttach(request: LinkAttach): number {
    if (request.epoch !== undefined && request.epoch !== this.options.epoch) {
      throw new DomainError('EPOCH_CHANGED', 'The session is not the one these offsets belong to.');
    }
    const from = Math.max(request.from ?? 0, this.ring.start);
    if (from > this.ring.end) throw new DomainError('OFFSET_OUT_OF_RANGE', 'The session has no output there yet.');
    if (this.#attachments.size >= MAX_ATTACHMENTS) {
      throw new DomainError('ATTACHMENT_LIMIT', 'Too many clients are attached to this session.');
    }
    if (request.cols !== undefined && request.rows !== undefined) checkSize(request.cols, request.rows);
    return from;
  }

  #sendAttached(attachment: Attachment): void {
    const { writer } = attachment.options;
    attachment.send({
      type: 'attached',
      session: this.id,
      epoch: this.options.epoch,
      mode: attachment.mode,
      from: attachment.cursor,
      dropped_before: this.ring.start,
      cols: this.cols,
      rows: this.rows,
      input_next: writer === undefined ? 0 : this.#writers.next(writer),
    });
  }

  #setController(attachment: Attachment): void {
    this.#controller = attachment;
    attachment.mode = 'controller';
    this.#regulate();
  }

  readonly #onData = (bytes: Buffer): void => {
    this.ring.append(bytes);
    const now = performance.now();
    for (const attachment of this.#attachments) {
      if (attachment.cursor < this.ring.start) attachment.detach('LAGGING');
      else attachment.notify(now);
    }
    this.#regulate();
  };

  readonly #onExit = (status: ExitStatus): void => {
    const reason = this.#killReason ?? 'exited';
    this.state = this.#killReason === undefined ? 'exited' : 'killed';
    this.exit = { type: 'process_exited', exit_code: status.exitCode, signal: status.signal, reason };
    this.endedAt = this.options.now();
    this.#flow.release();
    this.#resizer.close();
    clearTimeout(this.#tellSize);
    this.ring.trim();
    for (const attachment of [...this.#attachments]) attachment.flush();
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

  /** The ring must not roll away under a client that is being given much of it. */
  #catchUp(attachment: Attachment): void {
    if (this.exit) return;
    const far = this.ring.end - attachment.cursor > this.ring.capacity / 2;
    const now = performance.now();
    if (far && now - this.#lastCatchUp >= CATCH_UP_EVERY_MS) {
      this.#lastCatchUp = now;
      this.#catchingUp = attachment;
      this.#holdRing(CATCH_UP_MS);
    } else if (!this.#catchingUp) this.#flow.release();
    this.#regulate();
  }

  #caughtUp(attachment: Attachment): void {
    if (attachment !== this.#catchingUp) return;
    this.#catchingUp = undefined;
    this.#flow.release();
  }

  #holdRing(milliseconds: number): void {
    this.#flow.hold(milliseconds, () => {
      this.#catchingUp = undefined;
      this.#regulate();
    });
  }

  #regulate(): void {
    if (!this.exit) this.#flow.update(this.#controller?.lag ?? 0, this.ring.free);
  }

  #checkRunning(): void {
    if (this.exit) throw ended();
  }

  #checkControl(attachment: Attachment): void {
    if (attachment !== this.#controller) {
      throw new DomainError('NOT_CONTROLLER', 'Another client controls this session.');
    }
  }
}

function ended(): DomainError {
  return new DomainError('SESSION_ENDED', 'The session has ended.');
}

/** @throws DomainError INVALID_ARGUMENT unless it is a size a terminal can have */
export function checkSize(cols: number, rows: number): void {
  const valid = Number.isInteger(cols) && Number.isInteger(rows) && cols >= 1 && rows >= 1;
  if (valid && cols <= MAX_COLS && rows <= MAX_ROWS) return;
  throw new DomainError('INVALID_ARGUMENT', `The size must be 1–${MAX_COLS} columns and 1–${MAX_ROWS} rows.`);
}
