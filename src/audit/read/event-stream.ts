import { Readable } from 'node:stream';
import { DomainError } from '../../kernel/errors.js';
import type { EventView } from './event-view.js';

/** What may wait for a reader; one that is further behind is sent away. */
export const MAX_BEHIND_BYTES = 1024 * 1024;
/** How long a reader that is sent away has to take what it was sent. */
const LAST_WORDS_MS = 5000;
const HEARTBEAT_MS = 15_000;

/** Events as server-sent events (WHATWG HTML, section 9.2). */
export class EventStream {
  readonly text = new Readable({ read: () => undefined });
  readonly #heartbeat: NodeJS.Timeout;
  #ended = false;
  /** What was sent. */
  readonly sent = { events: 0, bytes: 0 };

  constructor(private readonly matches: (event: EventView) => boolean) {
    // It says that the stream is open, though nothing may happen for long.
    this.text.push(': the audit trail, from now on\n\n');
    this.#heartbeat = setInterval(() => {
      this.#push(': still here\n\n');
    }, HEARTBEAT_MS).unref();
    this.text.once('close', () => {
      clearInterval(this.#heartbeat);
    });
  }

  /** Sends those that match. */
  take(events: readonly EventView[]): void {
    for (const event of events) {
      if (this.matches(event) && this.#push(`id: ${event.id}\nevent: audit\ndata: ${JSON.stringify(event)}\n\n`))
        this.sent.events += 1;
    }
  }

  /** Tells why, as the last event, and ends. */
  end({ code, message }: DomainError): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#heartbeat);
    this.text.push(`event: end\ndata: ${JSON.stringify({ code, message })}\n\n`);
    this.text.push(null);
    const cut = setTimeout(() => this.text.destroy(), LAST_WORDS_MS).unref();
    this.text.once('close', () => {
      clearTimeout(cut);
    });
  }

  #push(text: string): boolean {
    if (this.#ended || this.text.destroyed) return false;
    if (this.text.readableLength + text.length > MAX_BEHIND_BYTES) {
      this.end(new DomainError('LAGGING', 'Too many events wait to be read; search for those that came since.'));
      return false;
    }
    this.text.push(text);
    this.sent.bytes += Buffer.byteLength(text);
    return true;
  }
}
