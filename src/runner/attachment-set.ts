import type { Socket } from 'node:net';
import { DomainError } from '../kernel/errors.js';
import type { LinkAttach, ProcessExited } from '../kernel/link.js';
import { Attachment, type AttachmentHost, MAX_ATTACHMENTS } from './attachment.js';
import { FlowControl, type FlowSource } from './flow.js';
import { News } from './news.js';
import type { Ring } from './ring.js';
import type { Screen } from './screen/render.js';
import type { ScreenHistory } from './screen/screen-history.js';
import { checkSize } from './size.js';
import { Writers } from './writers.js';

/** The program waits so long for its first client before its first output may roll out of the ring. */
const FIRST_CLIENT_MS = 2000;
/** The program waits so long at most for a client that is being given a full ring, and so rarely: viewers slow nobody. */
const CATCH_UP_MS = 100;
const CATCH_UP_EVERY_MS = 10_000;
/** A flood may roll past a screen while it is made; one of the next is fast enough. */
const SCREEN_ATTEMPTS = 3;

/** What the clients of a session need of it. */
export interface AttachedSession {
  readonly id: string;
  readonly epoch: string;
  readonly pid: number;
  readonly ring: Ring;
  readonly screens: ScreenHistory;
  readonly cols: number;
  readonly rows: number;
  readonly exit: ProcessExited | undefined;
  /** @throws DomainError INPUT_FULL */
  write(data: Buffer): void;
  resize(cols: number, rows: number): void;
  /** It is not idle: a client came or went. */
  touch(): void;
}

/** The clients of one session: who steers it, what each types, and how long the program waits for whom. */
export class AttachmentSet implements AttachmentHost {
  readonly ring: Ring;
  readonly #flow: FlowControl;
  readonly #writers = new Writers();
  readonly #attachments = new Set<Attachment>();
  #controller: Attachment | undefined;
  #catchingUp: Attachment | undefined;
  #lastCatchUp = -Infinity;
  /** Those whose screen is being made. */
  #coming = 0;
  #numbered = 0;
  readonly #news = new News(this.#attachments);

  /** @param source whose reading is held when a client must not fall behind */
  constructor(
    private readonly session: AttachedSession,
    source: FlowSource,
  ) {
    this.ring = session.ring;
    this.#flow = new FlowControl(source, session.ring, (lagging) => {
      this.#news.held(lagging);
    });
    this.#holdRing(FIRST_CLIENT_MS);
  }

  get exit(): ProcessExited | undefined {
    return this.session.exit;
  }

  get size(): number {
    return this.#attachments.size + this.#coming;
  }

  /**
   * Attaches a client, whose first answer is `attached`, then a screen where it asked for no offset that is retained, then
   * the output from there on.
   * @returns undefined when it went away meanwhile
   * @throws DomainError when it is to be refused
   */
  async attach(request: LinkAttach, socket: Socket): Promise<Attachment | undefined> {
    this.#checkAttach(request);
    // Before the screen is made: it is to be of the size that holds then.
    if (this.#mayBecomeController(request)) this.#adoptSize(request.cols, request.rows);
    const { screen, held } = await this.#screenFor(request);
    if (socket.destroyed) return undefined;
    this.#numbered += 1;
    const attachment = new Attachment(this, socket, {
      channel: request.channel,
      mayControl: request.may_control,
      writer: request.writer_id,
      from: screen?.offset ?? Math.max(request.from ?? 0, this.ring.start),
      number: this.#numbered,
      user: request.user,
      cols: request.cols ?? null,
      rows: request.rows ?? null,
    });
    this.#attachments.add(attachment);
    if (this.#mayBecomeController(request)) this.#setController(attachment);
    this.#greet(attachment, screen);
    if (held) this.#catchingUp = attachment;
    else this.#catchUp(attachment);
    attachment.flush();
    this.#news.participantsChanged();
    return attachment;
  }

  /** Output was added to the ring. */
  onOutput(): void {
    const now = performance.now();
    for (const attachment of this.#attachments) {
      if (attachment.cursor < this.ring.start) attachment.detach('LAGGING');
      else attachment.notify(now);
    }
    this.#regulate();
  }

  /** The session has ended: whoever has read all is told how. */
  onExit(): void {
    this.#flow.release();
    this.#news.held(false);
    for (const attachment of [...this.#attachments]) attachment.flush();
  }

  /** The next output answers input, whoever typed it. */
  expedite(): void {
    for (const attachment of this.#attachments) attachment.expedite();
  }

  /** The size was set past the clients. */
  onResize(): void {
    this.#news.participantsChanged();
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
      this.session.write(data);
      return;
    }
    const at = offset ?? this.#writers.next(writer);
    const fresh = this.#writers.fresh(writer, at, data);
    if (fresh.length === 0) return;
    this.session.write(fresh);
    this.#writers.advance(writer, at + data.length);
  }

  inputNext(writer: string): number {
    return this.#writers.next(writer);
  }

  resizeFrom(attachment: Attachment, cols: number, rows: number): void {
    this.#checkRunning();
    this.#checkControl(attachment);
    this.session.resize(cols, rows);
    attachment.resized(cols, rows);
    this.#news.participantsChanged();
  }

  takeControl(attachment: Attachment): void {
    this.#checkRunning();
    if (!attachment.mayControl) throw new DomainError('PERMISSION_DENIED', 'You may only view this session.');
    if (attachment === this.#controller) return;
    const previous = this.#controller;
    if (previous) {
      previous.mode = 'viewer';
      previous.sendLatest({ type: 'mode_changed', mode: 'viewer', reason: 'taken_over' });
    }
    this.#setController(attachment);
    attachment.sendLatest({ type: 'mode_changed', mode: 'controller', reason: 'taken' });
  }

  permit(attachment: Attachment, mayControl: boolean): void {
    attachment.mayControl = mayControl;
    if (mayControl || attachment !== this.#controller) return;
    this.#controller = undefined;
    attachment.mode = 'viewer';
    attachment.sendLatest({ type: 'mode_changed', mode: 'viewer', reason: 'permission_lost' });
    this.#regulate();
    this.#news.participantsChanged();
  }

  progressed(attachment: Attachment): void {
    if (attachment.cursor === this.ring.end) this.#caughtUp(attachment);
    this.#regulate();
  }

  detach(attachment: Attachment): void {
    this.#attachments.delete(attachment);
    this.session.touch();
    // Nobody is promoted: a viewer takes control when it wants it.
    if (attachment === this.#controller) this.#controller = undefined;
    this.#caughtUp(attachment);
    this.#regulate();
    this.#news.participantsChanged();
  }

  #checkAttach(request: LinkAttach): void {
    if (request.epoch !== undefined && request.epoch !== this.session.epoch) {
      throw new DomainError('EPOCH_CHANGED', 'The session is not the one these offsets belong to.');
    }
    if (request.from !== undefined && request.from > this.ring.end) {
      throw new DomainError('OFFSET_OUT_OF_RANGE', 'The session has no output there yet.');
    }
    if (this.size >= MAX_ATTACHMENTS) {
      throw new DomainError('ATTACHMENT_LIMIT', 'Too many clients are attached to this session.');
    }
    if (request.cols !== undefined && request.rows !== undefined) checkSize(request.cols, request.rows);
  }

  /**
   * Null where the output itself is given: it was asked for and is retained, or there is no screen to be had.
   * @returns also whether the ring is held for this client
   */
  async #screenFor({ from, raw }: LinkAttach): Promise<{ readonly screen: Screen | null; readonly held: boolean }> {
    const { ring, screens } = this.session;
    if (raw === true || (from !== undefined && from >= ring.start)) return { screen: null, held: false };
    let held = false;
    this.#coming += 1;
    try {
      for (let attempt = 0; attempt < SCREEN_ATTEMPTS; attempt += 1) {
        // The flood was faster: it may be held once.
        if (attempt > 0) held ||= this.#holdRarely();
        const screen = screens.recent ?? (await screens.make(true));
        if (screen === null || screen.offset >= ring.start) return { screen, held };
      }
      return { screen: null, held };
    } finally {
      this.#coming -= 1;
    }
  }

  #mayBecomeController({ mode, may_control: permitted }: LinkAttach): boolean {
    return mode !== 'viewer' && permitted && this.#controller === undefined && this.exit === undefined;
  }

  #adoptSize(cols: number | null | undefined, rows: number | null | undefined): void {
    if (typeof cols === 'number' && typeof rows === 'number') this.session.resize(cols, rows);
  }

  #greet(attachment: Attachment, screen: Screen | null): void {
    const { session, ring } = this;
    const { writer, number, from } = attachment.options;
    // The screen of a session that has shown nothing is what the client has anyway.
    const drawn = screen !== null && screen.data.length > 0 ? screen : null;
    attachment.send({
      type: 'attached',
      session: session.id,
      epoch: session.epoch,
      attachment: number,
      mode: attachment.mode,
      from,
      snapshot: drawn !== null,
      dropped_before: ring.start,
      // What the screen was made for, should the size have changed meanwhile: its text fits no other.
      cols: drawn?.cols ?? session.cols,
      rows: drawn?.rows ?? session.rows,
      input_next: writer === undefined ? 0 : this.#writers.next(writer),
    });
    if (!this.exit) attachment.send({ type: 'process_started', pid: session.pid });
    if (drawn !== null) attachment.sendSnapshot(drawn.data);
  }

  /** The size is the controller's: what it said when it attached holds from here on. */
  #setController(attachment: Attachment): void {
    this.#controller = attachment;
    attachment.mode = 'controller';
    this.#adoptSize(attachment.cols, attachment.rows);
    this.#regulate();
    this.#news.participantsChanged();
  }

  /** The ring must not roll away under a client that is being given much of it. */
  #catchUp(attachment: Attachment): void {
    if (this.exit) return;
    const far = this.ring.end - attachment.cursor > this.ring.capacity / 2;
    if (far && this.#holdRarely()) this.#catchingUp = attachment;
    else if (!this.#catchingUp) this.#flow.release();
    this.#regulate();
  }

  /** Makes the program wait for a client on its way, unless it did so a short while ago. */
  #holdRarely(): boolean {
    const now = performance.now();
    if (now - this.#lastCatchUp < CATCH_UP_EVERY_MS) return false;
    this.#lastCatchUp = now;
    this.#holdRing(CATCH_UP_MS);
    this.#regulate();
    return true;
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
    if (this.exit) throw new DomainError('SESSION_ENDED', 'The session has ended.');
  }

  #checkControl(attachment: Attachment): void {
    if (attachment !== this.#controller) {
      throw new DomainError('NOT_CONTROLLER', 'Another client controls this session.');
    }
  }
}
