import { type Rate, rateOf, take } from '../kernel/gcra.js';

/** How fast one connection or stream may send. */
export interface StreamLimits {
  /** Messages that are no input. */
  readonly messages: Rate;
  /** Bytes of input. */
  readonly input: Rate;
}

/** What configuration says of it. */
interface Configured {
  readonly RATE_LIMIT_MESSAGES_PER_SECOND: number;
  readonly RATE_LIMIT_MESSAGES_BURST: number;
  readonly RATE_LIMIT_INPUT_BYTES_PER_SECOND: number;
}

const SECOND_MS = 1000;
/** How long a client may go on sending faster than it may before it is cut off. */
const PATIENCE_MS = 5000;
/** How often it is looked whether one that sent too fast has caught up. */
const LOOK_MS = 250;
/** Less is not waited for: it would be the timer that is slow. */
const WORTH_A_TIMER_MS = 1;
/** What an input message costs at least: its handling is not free either. */
const MIN_INPUT_BYTES = 64;
/** An acknowledgement lets output go on, and there are many in a flood of that: fifty are one message. */
const ACK_COST = 0.02;

/** Types of messages that do not count as one. */
const COSTS: ReadonlyMap<string, number> = new Map([['ack', ACK_COST]]);

/** How much input may come at once: more would fill the queue of a program that hesitates. */
const INPUT_BURST_SECONDS = 0.25;

/** The limits of each connection, as configured. */
export const streamLimitsOf = (config: Configured): StreamLimits => ({
  messages: rateOf(config.RATE_LIMIT_MESSAGES_PER_SECOND, SECOND_MS, config.RATE_LIMIT_MESSAGES_BURST),
  input: rateOf(config.RATE_LIMIT_INPUT_BYTES_PER_SECOND, SECOND_MS, inputBurst(config)),
});

const inputBurst = ({ RATE_LIMIT_INPUT_BYTES_PER_SECOND: rate }: Configured): number => rate * INPUT_BURST_SECONDS;

/** The connection or stream, as its pace sees it. */
export interface PacedStream {
  /** Tells the sender that it sends too fast and is handled more slowly, or that it does not any more. */
  tellPace(action: 'pause' | 'resume'): void;
  /** Whether anything of it waits to be handled. */
  readonly waiting: boolean;
}

/**
 * The pace of one sender. Whoever sends faster is read more slowly; who goes on doing so with messages is cut off, with
 * input not: a paste takes its time. Costs an addition while all is well.
 */
export class StreamPace {
  #messagesFullAt = 0;
  #inputFullAt = 0;
  /** When it began to send too fast; null while it does not. */
  #overSince: number | null = null;
  #timer: NodeJS.Timeout | undefined;

  /** @param now monotonic, milliseconds */
  constructor(
    private readonly limits: StreamLimits,
    private readonly stream: PacedStream,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /**
   * Counts input.
   * @returns milliseconds to wait before it is handled, mostly 0
   */
  input(bytes: number): number {
    const { everyMs, burst } = this.limits.input;
    const now = this.now();
    this.#inputFullAt = Math.max(this.#inputFullAt, now) + Math.max(bytes, MIN_INPUT_BYTES) * everyMs;
    return worthWaiting(this.#inputFullAt - now - burst * everyMs);
  }

  /**
   * Counts a message of another kind.
   * @returns milliseconds to wait before it is handled, mostly 0; null when the sender has gone on for too long
   */
  message(type: string): number | null {
    const { everyMs, burst } = this.limits.messages;
    const now = this.now();
    this.#messagesFullAt = Math.max(this.#messagesFullAt, now) + (COSTS.get(type) ?? 1) * everyMs;
    const wait = worthWaiting(this.#messagesFullAt - now - burst * everyMs);
    if (wait === 0) return 0;
    if (this.#overSince === null) this.#begin(now);
    else if (now - this.#overSince > PATIENCE_MS) return null;
    return wait;
  }

  /** The stream is over. */
  end(): void {
    clearInterval(this.#timer);
  }

  #begin(now: number): void {
    this.#overSince = now;
    this.#timer = setInterval(() => {
      this.look();
    }, LOOK_MS).unref();
    this.stream.tellPace('pause');
  }

  /** Has it caught up? Nothing waits, and half of what may come at once is free again. Called every so often. */
  look(): void {
    const { messages } = this.limits;
    if (this.#overSince === null || this.stream.waiting) return;
    if (take(messages, this.#messagesFullAt, this.now(), 0).remaining < messages.burst / 2) return;
    this.#overSince = null;
    this.end();
    this.stream.tellPace('resume');
  }
}

const worthWaiting = (ms: number): number => (ms < WORTH_A_TIMER_MS ? 0 : Math.ceil(ms));
