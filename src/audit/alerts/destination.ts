import { setTimeout as pause } from 'node:timers/promises';
import type { Log } from '../../kernel/log.js';
import type { Message } from './alert-message.js';
import { NoAddress, type WebhookSource } from './webhook-source.js';
import { post, type Refusal } from './webhook.js';

/** Alerts that wait for one destination. */
export const MAX_QUEUED = 100;
/** Attempts of one message: with the pauses between them some two minutes. */
const MAX_TRIES = 8;
const FIRST_PAUSE_MS = 1000;
const MAX_PAUSE_MS = 60_000;

/** How a message is made when its turn comes. @param lost messages before it that could not be sent */
type Compose = (lost: number) => Message;

/** One webhook: its messages go one after the other, each until it is taken or was tried often enough. */
export class Destination {
  readonly figures = { sent: 0, lost: 0 };
  #queue: Compose[] = [];
  #busy = false;
  #failing = false;
  /** Lost, and not told there yet. */
  #untold = 0;
  readonly #closed = new AbortController();

  /** @param name for the log; the address is never told */
  constructor(
    readonly name: string,
    readonly source: WebhookSource,
    private readonly log: Log,
  ) {}

  /** Sends a message as soon as can be; past the bound it is lost, and counted. */
  send(compose: Compose): void {
    if (this.#closed.signal.aborted || this.#queue.length >= MAX_QUEUED) {
      this.#lose('too many wait');
      return;
    }
    this.#queue.push(compose);
    if (!this.#busy) void this.#work();
  }

  /** Waits until everything is sent or was given up. */
  async idle(ms: number): Promise<void> {
    const deadline = performance.now() + ms;
    while (this.#busy && performance.now() < deadline) await pause(20);
  }

  /** Gives up what waits. */
  close(): void {
    this.#closed.abort();
  }

  async #work(): Promise<void> {
    this.#busy = true;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      const told = this.#untold;
      const refusal = await this.#deliver(next(told));
      if (refusal === null) this.#sent(told);
      else this.#lose(refusal.fault);
    }
    this.#busy = false;
  }

  async #deliver(message: Message): Promise<Refusal | null> {
    const { signal } = this.#closed;
    for (let tries = 1; ; tries += 1) {
      if (signal.aborted) return { fault: 'stopped', again: false, afterMs: 0 };
      const refusal = await this.#try(message);
      if (refusal === null || !refusal.again || tries === MAX_TRIES) return refusal;
      this.#tellFailure(refusal.fault);
      await pause(pauseMs(tries, refusal), undefined, { signal, ref: false }).catch(() => undefined);
    }
  }

  async #try(message: Message): Promise<Refusal | null> {
    try {
      return await post(await this.source.address(), message, this.#closed.signal);
    } catch (error) {
      if (error instanceof NoAddress) return { fault: error.fault, again: error.again, afterMs: 0 };
      throw error;
    }
  }

  #sent(told: number): void {
    this.figures.sent += 1;
    this.#untold -= told;
    if (this.#failing) this.log.info({ destination: this.name }, 'alerts can be sent again');
    this.#failing = false;
  }

  #lose(fault: string): void {
    this.figures.lost += 1;
    this.#untold += 1;
    this.#tellFailure(fault);
  }

  /** Once, until it works again. */
  #tellFailure(fault: string): void {
    if (!this.#failing) this.log.error({ destination: this.name, fault }, 'alerts cannot be sent now');
    this.#failing = true;
  }
}

/** Twice as long each time, never all gateways at once, and never sooner than was asked for. */
function pauseMs(tries: number, { afterMs }: Refusal): number {
  const grown = Math.min(FIRST_PAUSE_MS * 2 ** (tries - 1), MAX_PAUSE_MS) * (0.5 + Math.random());
  return Math.max(grown, afterMs * (1 + Math.random() / 10));
}
