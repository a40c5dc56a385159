import type { Timing } from './timing.js';

/** So much rendered output is told at once. */
const AT_ONCE_BYTES = 128 * 1024;
/** Less is told after this time, or a program that waits for it would wait for ever. */
const SOON_MS = 100;
/** Too little for any program to be waiting for it: a person's typing is not answered with acknowledgements. */
const NEVER_BYTES = 1024;

/** Tells the server how far output is rendered, one message for much of it. */
export class Acknowledgements {
  #rendered = 0;
  #told = 0;
  /** The server counts what is not rendered only after a first word, on each connection. */
  #begun = false;
  #cancel: (() => void) | null = null;
  #stopped = false;

  /** @param tell sends it; what cannot be sent now is told with the next */
  constructor(
    private readonly tell: (offset: number) => boolean,
    private readonly timing: Timing,
  ) {}

  /** A connection begins; the next word is said at once. */
  attached(): void {
    this.#begun = false;
  }

  /** Everything before `offset` is rendered. */
  rendered(offset: number): void {
    if (this.#stopped) return;
    this.#rendered = Math.max(this.#rendered, offset);
    const untold = this.#rendered - this.#told;
    if (!this.#begun || untold >= AT_ONCE_BYTES) this.#tell();
    else if (untold >= NEVER_BYTES) this.#cancel ??= this.timing.after(SOON_MS, this.#tell);
  }

  /** Nothing more is told. */
  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  readonly #tell = (): void => {
    this.#cancel?.();
    this.#cancel = null;
    const offset = this.#rendered;
    if (!this.tell(offset)) return;
    this.#told = offset;
    this.#begun = true;
  };
}
