import type { AttachmentClient } from '../client/index.js';
import { terminalSize } from './terminal-size.js';

const BELL = '\x07';
/** Ctrl-D: hands over an unfinished line, and on an empty one means the end. */
const CTRL_D = 0x04;
const NEWLINE = 0x0a;

/** Where a session's input comes from. */
export interface Keys {
  /** The client takes input again. */
  onRoom(): void;
  stop(): void;
}

/** A person's keys. A bell for what could not be typed, as terminals do. */
export class TypedKeys implements Keys {
  /** @param detachKey the byte that detaches; null for none */
  constructor(
    private readonly client: AttachmentClient,
    private readonly detachKey: number | null,
  ) {
    process.stdin.on('data', this.#onData);
    process.stdout.on('resize', this.#onResize);
  }

  onRoom(): void {
    // What could not be typed was answered with a bell; nobody expects it later.
  }

  stop(): void {
    process.stdin.off('data', this.#onData).pause();
    process.stdout.off('resize', this.#onResize);
  }

  readonly #onData = (bytes: Buffer): void => {
    const at = this.detachKey === null ? -1 : bytes.indexOf(this.detachKey);
    const typed = at < 0 ? bytes : bytes.subarray(0, at);
    if (typed.length > 0 && this.client.type(typed) !== 'taken') process.stderr.write(BELL);
    if (at >= 0) this.client.detach();
  };

  readonly #onResize = (): void => {
    const { cols, rows } = terminalSize();
    this.client.resize(cols, rows);
  };
}

/** A file or pipe, read only as fast as the program reads it; its end is the end of the program's input. */
export class PipedInput implements Keys {
  /** What the client had no room for. */
  #waiting: Buffer | null = null;
  #last = NEWLINE;

  constructor(private readonly client: AttachmentClient) {
    process.stdin.on('data', this.#onData).on('end', this.#onEnd);
  }

  onRoom(): void {
    if (this.#waiting === null) return;
    const bytes = this.#waiting;
    this.#waiting = null;
    this.#type(bytes);
    // Typing may have set it again.
    if ((this.#waiting as Buffer | null) === null) process.stdin.resume();
  }

  stop(): void {
    process.stdin.off('data', this.#onData).off('end', this.#onEnd).pause();
  }

  #type(bytes: Buffer): void {
    if (this.client.type(bytes) !== 'full') return;
    this.#waiting = bytes;
    process.stdin.pause();
  }

  readonly #onData = (bytes: Buffer): void => {
    this.#last = bytes.at(-1) ?? this.#last;
    this.#type(bytes);
  };

  /** A first Ctrl-D hands over an unfinished line, the next one ends. */
  readonly #onEnd = (): void => {
    const end = Buffer.from(this.#last === NEWLINE ? [CTRL_D] : [CTRL_D, CTRL_D]);
    if (this.#waiting === null) this.#type(end);
    else this.#waiting = Buffer.concat([this.#waiting, end]);
  };
}
