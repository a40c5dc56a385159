import { inputFrame } from './frames.js';
import { InputBuffer, MAX_KEPT_BYTES } from './input-buffer.js';
import type { Timing } from './timing.js';

/** Input in one frame; the server takes no more. */
const MAX_FRAME_BYTES = 65_536;
/** A program that does not read its input gets it again so often. */
const RESEND_MS = 100;

/** What became of typed bytes: `full` ones may be tried again after `onRoom`, `refused` ones not. */
export type Typed = 'taken' | 'full' | 'refused';

/** Whether this client may type: yes, it has asked for control and not been answered yet, or no. */
export type Control = 'controller' | 'taking' | 'viewer';

/** Who carries what is typed. */
export interface InputPort {
  /** Sends a frame. @returns false when there is no connection */
  sendFrame(frame: Uint8Array<ArrayBuffer>): boolean;
  /** There is room again for what was `full`. */
  onRoom(): void;
  /** Bytes that had been taken were forgotten: they were not applied, or nobody can know it any more. */
  onInputLost(bytes: number): void;
}

/** What is typed into a session over all its connections: in order, and each byte once. */
export class InputStream {
  readonly #buffer = new InputBuffer();
  #control: Control;
  #connected = false;
  /** Somebody was told `full`. */
  #full = false;
  #cancelResend: (() => void) | null = null;

  constructor(
    control: Control,
    private readonly port: InputPort,
    private readonly timing: Timing,
  ) {
    this.#control = control;
  }

  /**
   * Types. What is typed while nothing is connected is sent when it is again.
   * @throws RangeError when it is more than could ever be taken at once
   */
  type(bytes: Uint8Array): Typed {
    if (bytes.length > MAX_KEPT_BYTES) throw new RangeError(`At most ${MAX_KEPT_BYTES} bytes are typed at once.`);
    if (this.#control === 'viewer') return 'refused';
    if (!this.#buffer.add(bytes)) {
      this.#full = true;
      return 'full';
    }
    this.#flush();
    return 'taken';
  }

  /** A connection begins. @param next position of the first byte that the server wants */
  attached(next: number, control: Control): void {
    this.#connected = true;
    this.#lost(this.#buffer.resume(next));
    this.control(control);
  }

  disconnected(): void {
    this.#connected = false;
    this.#stopResending();
  }

  /** Control was won, lost or asked for. Who lost it types no more, and not later either. */
  control(control: Control): void {
    this.#control = control;
    if (control === 'viewer') this.#lost(this.#buffer.giveUp());
    this.#flush();
    this.#room();
  }

  /** The server has applied everything before `next`. */
  applied(next: number): void {
    this.#buffer.applied(next);
    this.#room();
  }

  /** A frame was not applied, and so none after it: all from `next` on is sent again, a little later. */
  refused(next: number): void {
    this.#lost(this.#buffer.resume(next));
    this.#room();
    if (!this.#connected) return;
    this.#cancelResend ??= this.timing.after(RESEND_MS, () => {
      this.#cancelResend = null;
      this.#flush();
    });
  }

  /** Nothing more is sent. */
  stop(): void {
    this.disconnected();
    this.#control = 'viewer';
  }

  #flush(): void {
    if (!this.#connected || this.#control !== 'controller' || this.#cancelResend !== null) return;
    for (;;) {
      const unsent = this.#buffer.unsent(MAX_FRAME_BYTES);
      if (unsent === null || !this.port.sendFrame(inputFrame(unsent.position, unsent.bytes))) return;
    }
  }

  #room(): void {
    if (!this.#full) return;
    this.#full = false;
    this.port.onRoom();
  }

  #lost(bytes: number): void {
    if (bytes > 0) this.port.onInputLost(bytes);
  }

  #stopResending(): void {
    this.#cancelResend?.();
    this.#cancelResend = null;
  }
}
