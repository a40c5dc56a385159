import { Injectable } from '@nestjs/common';
import type { Readable } from 'node:stream';
import { AuditTrail } from '../../kernel/audit.js';
import { DomainError } from '../../kernel/errors.js';
import type { Principal } from '../../kernel/principal.js';
import type { CallerContext } from '../../kernel/request-context.js';
import { EventFeed } from './event-feed.js';
import { type EventFilter, filterNames } from './event-filter.js';
import { matcher } from './event-matcher.js';
import { EventStream } from './event-stream.js';
import { ReadingWatch } from './reading-watch.js';

/** Live streams of one gateway at once, and of one principal among them. */
export const MAX_STREAMS = 100;
export const MAX_STREAMS_EACH = 10;

/** Who reads the trail as it is written. */
@Injectable()
export class EventStreams {
  readonly #open = new Map<EventStream, string>();
  #draining = false;

  constructor(
    private readonly feed: EventFeed,
    private readonly watch: ReadingWatch,
    private readonly audit: AuditTrail,
  ) {}

  /**
   * Events of the caller's tenant from now on, of every gateway. It ends with an event that says why: the caller's
   * credential or permission is gone, too much was not read, or the server stops.
   * @param gone aborted when nobody reads any more
   * @throws DomainError STREAM_LIMIT, GOING_AWAY
   */
  async open(context: CallerContext, filter: EventFilter, gone: AbortSignal): Promise<Readable> {
    const stream = this.#enter(context.principal, filter);
    const began = performance.now();
    const { text } = stream;
    try {
      const { tenant } = context.principal;
      const take = (events: Parameters<EventStream['take']>[0]): void => {
        stream.take(events);
      };
      const unlisten = await this.feed.listen({ tenant, take });
      const unwatch = this.watch.begin(context, 'audit:read', (error) => {
        unlisten();
        stream.end(error);
      });
      text.once('close', () => {
        unlisten();
        unwatch();
        this.#open.delete(stream);
        this.#closed(context, stream, began);
      });
    } catch (error) {
      this.#open.delete(stream);
      text.destroy();
      throw error;
    }
    const metadata = { filters: filterNames(filter), stream: true };
    this.audit.note(context, { action: 'audit.read', resource: null, success: true, metadata });
    const leave = (): void => {
      text.destroy();
    };
    gone.addEventListener('abort', leave, { once: true });
    if (gone.aborted) leave();
    return text;
  }

  /** Before a stop: every stream ends, and its reader comes back elsewhere. */
  drain(): void {
    this.#draining = true;
    for (const stream of this.#open.keys()) stream.end(stopping());
  }

  #closed(context: CallerContext, { sent }: EventStream, began: number): void {
    const duration_seconds = Math.round((performance.now() - began) / 1000);
    const metadata = { stream: true, ended: true, events: sent.events, bytes_out: sent.bytes, duration_seconds };
    this.audit.note(context, { action: 'audit.read', resource: null, success: true, metadata });
  }

  #enter({ tenant, provider, subject }: Principal, filter: EventFilter): EventStream {
    if (this.#draining) throw stopping();
    const principal = JSON.stringify([tenant, provider, subject]);
    const own = [...this.#open.values()].filter((each) => each === principal).length;
    if (own >= MAX_STREAMS_EACH) {
      throw new DomainError('STREAM_LIMIT', `${String(MAX_STREAMS_EACH)} of your streams are open already.`);
    }
    if (this.#open.size >= MAX_STREAMS) throw new DomainError('STREAM_LIMIT', 'Too many streams are open already.');
    const stream = new EventStream(matcher(filter));
    this.#open.set(stream, principal);
    return stream;
  }
}

const stopping = (): DomainError => new DomainError('GOING_AWAY', 'The server is stopping.');
