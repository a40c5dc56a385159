import { Acknowledgements } from './acknowledgements.js';
import { attachAddress } from './address.js';
import type { End } from './end.js';
import { AttachError } from './errors.js';
import type { DataFrame } from './frames.js';
import { type Control, type InputPort, InputStream, type Typed } from './input-stream.js';
import type { AttachedMessage, ErrorMessage, Mode, Participant, ServerMessage } from './messages.js';
import type { AttachListener, AttachOptions, Credential, Size } from './options.js';
import { OutputStream } from './output-stream.js';
import { PersistentConnection } from './persistent-connection.js';
import { openGlobalSocket } from './socket.js';
import { mayTakeBack } from './return-of-control.js';
import { systemTiming, type Timing } from './timing.js';
import { newWriterId } from './writer-id.js';

const GIVE_UP_AFTER_MS = 10 * 60_000;
/** Marks the answer to a request for control. */
const TAKE = 'take_control';
/** Refusals of the runner, which have no such mark, that such a request may have been answered with. */
const NOT_TAKEN = new Set(['PERMISSION_DENIED', 'SESSION_ENDED']);
/** Refusals of input after which it is sent again from where the server is. */
const SENT_AGAIN = new Set(['INPUT_FULL', 'INPUT_GAP', 'NOT_CONTROLLER']);

/** Signals that a session may be sent. */
export type SignalName = 'INT' | 'TERM' | 'KILL' | 'HUP' | 'QUIT' | 'TSTP' | 'CONT' | 'USR1' | 'USR2' | 'WINCH';

/**
 * An attachment to one session that survives its connections: output goes on where it was, and input is typed once,
 * whatever happens on the way. Runs in browsers and in Node.
 */
export class AttachmentClient {
  readonly #writer = newWriterId();
  readonly #connection: PersistentConnection;
  readonly #output: OutputStream;
  readonly #input: InputStream;
  readonly #acknowledgements: Acknowledgements;
  /** Whether this client is to be controller when it comes back. */
  #wantsControl: boolean;
  /** Somebody asked for control and has not been answered: it is taken from whoever has it. */
  #insists: boolean;
  /** Came back as viewer, and waits to hear who is controller now. */
  #returning = false;
  /** The number of this attachment, where the server gave one. */
  #attachment: number | null = null;
  #control: Control;
  #size: Size | null;
  /** Names the process that holds the session; null before the first attachment. */
  #epoch: string | null = null;
  #attached = false;
  #ended = false;

  /**
   * Nothing happens before {@link connect}.
   * @throws TypeError when the address of the server is none
   */
  constructor(
    private readonly options: AttachOptions,
    private readonly listener: AttachListener,
  ) {
    attachAddress(options.url, {});
    const { timing = systemTiming, take = false, mode, size = null, from = null } = options;
    this.#size = size;
    this.#wantsControl = take;
    this.#insists = take;
    // Until the first answer what is typed waits, unless it could never be sent.
    this.#control = mode === 'viewer' && !take ? 'viewer' : 'taking';
    this.#acknowledgements = new Acknowledgements((offset) => this.#send({ type: 'ack', channel: 0, offset }), timing);
    this.#output = new OutputStream(from, {
      onOutput: (bytes, next) => {
        listener.onOutput(bytes, this.#whenRendered(next));
      },
      onSnapshot: (snapshot) => {
        listener.onSnapshot(snapshot, this.#whenRendered(snapshot.offset));
      },
    });
    this.#input = new InputStream(this.#control, this.#inputPort(), timing);
    this.#connection = this.#newConnection(timing);
  }

  /** Attaches, and comes back after every lost connection until the end. Called once. */
  connect(): void {
    this.#connection.connect();
  }

  /**
   * Types. What is typed while nothing is connected is sent when it is again.
   * @returns `full`: try again after `onRoom`; `refused`: somebody else is in control
   * @throws RangeError for more than 256 KiB at once
   */
  type(bytes: Uint8Array): Typed {
    return this.#input.type(bytes);
  }

  /** The terminal has another size now. The controller's becomes the session's. */
  resize(cols: number, rows: number): void {
    this.#size = { cols, rows };
    if (this.#control === 'controller') this.#sendSize();
  }

  /** Becomes controller; who was it becomes viewer. What is typed from now on waits for the answer. */
  takeControl(): void {
    if (this.#ended || this.#control === 'controller') return;
    this.#wantsControl = true;
    this.#insists = true;
    this.#returning = false;
    this.#setControl('taking');
    this.#sendTake();
  }

  /** Signals the foreground processes. @returns false when nothing is attached: it is not done later either */
  signal(signal: SignalName): boolean {
    return this.#send({ type: 'signal', channel: 0, signal });
  }

  /** Ends the session with all its processes. @returns false when nothing is attached: it is not done later either */
  kill(): boolean {
    return this.#send({ type: 'kill', channel: 0 });
  }

  /** Shows a fresh credential of the same principal, so that the connection outlives the one before. */
  renew(credential: Credential): void {
    this.#connection.renew(credential);
  }

  /** Leaves; the session lives on. */
  detach(): void {
    this.#end({ kind: 'detached' });
  }

  #newConnection(timing: Timing): PersistentConnection {
    const {
      credential,
      openSocket = openGlobalSocket,
      giveUpAfterMs = GIVE_UP_AFTER_MS,
      retryFirst = false,
    } = this.options;
    return new PersistentConnection(
      { credential, openSocket, giveUpAfterMs, retryFirst, timing },
      {
        address: () => this.#address(),
        onMessage: (message) => {
          this.#onMessage(message);
        },
        onFrame: (frame) => {
          this.#onFrame(frame);
        },
        onLost: (retryInMs) => {
          this.#attached = false;
          this.#returning = false;
          this.#input.disconnected();
          this.listener.onDisconnected?.(retryInMs);
        },
        onFailed: (error) => {
          this.#end({ kind: 'failed', error });
        },
      },
    );
  }

  #inputPort(): InputPort {
    return {
      sendFrame: (frame) => this.#connection.sendFrame(frame),
      onRoom: () => this.listener.onRoom?.(),
      onInputLost: (bytes) => this.listener.onInputLost?.(bytes),
    };
  }

  #address(): string {
    const { session, mode } = this.options;
    const { wanted } = this.#output;
    return attachAddress(this.options.url, {
      id: session,
      writer_id: this.#writer,
      ...(wanted === null ? {} : { from: String(wanted) }),
      ...(mode === undefined ? {} : { mode }),
      ...(this.#size === null ? {} : { cols: String(this.#size.cols), rows: String(this.#size.rows) }),
      ...(this.#epoch === null ? {} : { epoch: this.#epoch }),
    });
  }

  #onFrame(frame: DataFrame): void {
    try {
      this.#output.take(frame);
    } catch (error) {
      if (!(error instanceof AttachError)) throw error;
      this.#end({ kind: 'failed', error });
    }
  }

  #onMessage(message: ServerMessage): void {
    switch (message.type) {
      case 'attached':
        this.#onAttached(message);
        return;
      case 'mode_changed':
        this.#onModeChanged(message.mode, message.reason);
        return;
      case 'input_ack':
        this.#input.applied(message.inputNext);
        return;
      case 'participants':
        this.#onParticipants(message.participants, message.total);
        return;
      case 'flow_control':
        this.listener.onFlowControl?.(message.action, message.reason);
        return;
      case 'process_exited':
        this.#end({ kind: 'exited', exitCode: message.exitCode, signal: message.signal, reason: message.reason });
        return;
      case 'error':
        this.#onError(message);
    }
  }

  #onAttached(message: AttachedMessage): void {
    const again = this.#epoch !== null;
    const { mode, cols, rows, attachment } = message;
    this.#epoch = message.epoch;
    this.#attached = true;
    this.#connection.works();
    this.#attachment = attachment;
    if (mode === 'controller') this.#hasControl(true);
    this.#control = mode === 'controller' ? mode : this.#wantsControl ? 'taking' : 'viewer';
    if (this.#control === 'taking') {
      // Who else is there is told soon; a person who took over meanwhile is not typed at.
      if (this.#insists) this.#sendTake();
      else this.#returning = true;
    }
    this.listener.onAttached?.({ mode, again, cols, rows, attachment });
    // It may have had enough.
    if (this.#isOver()) return;
    this.#acknowledgements.attached();
    this.#output.attached(message);
    // What was rendered before, or on the first connection nothing that was asked for.
    if (!message.snapshot) this.#acknowledgements.rendered(again ? 0 : message.from);
    this.#input.attached(message.inputNext, this.#control);
  }

  #onParticipants(participants: readonly Participant[], total: number): void {
    if (this.#returning) {
      this.#returning = false;
      if (mayTakeBack(participants, total, this.#attachment)) this.#sendTake();
      else this.#onModeChanged('viewer', 'taken_over');
    }
    this.listener.onParticipants?.(participants, total);
  }

  #hasControl(has: boolean): void {
    this.#wantsControl = has;
    this.#insists = false;
    this.#returning = false;
  }

  #onModeChanged(mode: Mode, reason: string): void {
    this.#hasControl(mode === 'controller');
    if (mode === 'controller') this.#sendSize();
    this.#setControl(mode);
    this.listener.onModeChanged?.(mode, reason);
  }

  #onError({ id, code, message, inputNext }: ErrorMessage): void {
    // One that refuses the attachment is told with the close that follows.
    if (!this.#attached) return;
    if (SENT_AGAIN.has(code)) {
      if (inputNext !== null) this.#input.refused(inputNext);
      return;
    }
    if (this.#control === 'taking' && (id === TAKE || (id === null && NOT_TAKEN.has(code)))) {
      this.#hasControl(false);
      this.#setControl('viewer');
    }
    this.listener.onRefused?.({ code, message });
  }

  #setControl(control: Control): void {
    this.#control = control;
    this.#input.control(control);
  }

  #sendTake(): void {
    this.#send({ type: TAKE, id: TAKE, channel: 0 });
  }

  #sendSize(): void {
    if (this.#size !== null) this.#send({ type: 'resize', channel: 0, ...this.#size });
  }

  /** Before the answer to the attach nothing is there that a message could be about. */
  #send(message: object): boolean {
    return this.#attached && this.#connection.send(message);
  }

  #whenRendered(offset: number): () => void {
    return () => {
      this.#acknowledgements.rendered(offset);
    };
  }

  #isOver(): boolean {
    return this.#ended;
  }

  #end(end: End): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#acknowledgements.stop();
    this.#input.stop();
    this.#connection.close();
    this.listener.onEnd(end);
  }
}
