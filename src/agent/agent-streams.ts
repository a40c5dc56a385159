import { EventEmitter } from 'node:events';
import { Metadata, type ServerWritableStream } from '@grpc/grpc-js';
import { Injectable } from '@nestjs/common';
import { LiveStreams } from '../authorization/live-streams.js';
import type { WatchAgentResponse } from '../generated/gatehouse/agent/v1/WatchAgentResponse.js';
import { callAt } from '../kernel/deadline.js';
import { DomainError } from '../kernel/errors.js';
import type { CallerContext } from '../kernel/request-context.js';
import { toDomainError } from '../transport/error-mapping.js';
import { toGrpcStatus } from '../transport/grpc-status.js';
import type { WatchCommand } from './agent.schema.js';
import { toProto } from './agent-proto.js';
import type { AgentView } from './agent-view.js';
import { type AgentChanged, AgentWatches } from './agent-watches.js';
import { AgentsService } from './agents.service.js';

export type WatchCall = ServerWritableStream<unknown, WatchAgentResponse>;

/** Streams of one gateway at once, and of one principal among them. */
const MAX_STREAMS = 500;
const MAX_STREAMS_EACH = 20;

/** Serves `WatchAgent`. */
@Injectable()
export class AgentStreams {
  readonly #open = new Set<AgentStream>();
  /** Whose streams are open or about to be: a place is taken before anything is waited for. */
  readonly #places = new Map<object, string>();
  #draining = false;

  constructor(
    private readonly agents: AgentsService,
    private readonly watches: AgentWatches,
    private readonly streams: LiveStreams,
  ) {}

  /**
   * Streams agents as they are and as they change. @returns when the stream is over, however it ended
   * @throws DomainError STREAM_LIMIT, GOING_AWAY; NOT_FOUND for one agent that the caller may not see
   */
  async serve(call: WatchCall, caller: CallerContext, command: WatchCommand): Promise<void> {
    const leave = this.#takePlace(caller);
    try {
      if (command.id !== undefined) await this.agents.visible(caller, command.id);
      if (this.#draining) throw stopping();
      await this.#stream(call, caller, command);
    } finally {
      leave();
    }
  }

  async #stream(call: WatchCall, caller: CallerContext, command: WatchCommand): Promise<void> {
    const stream = new AgentStream(call, caller, command, this.agents);
    this.#open.add(stream);
    const forget = this.streams.add(stream);
    stream.expireWith(this.streams);
    this.watches.watch(stream);
    stream.begin();
    await stream.over;
    this.watches.unwatch(stream);
    this.#open.delete(stream);
    forget();
  }

  /** Before a stop: every stream ends with UNAVAILABLE, and its client comes back elsewhere. */
  drain(): void {
    this.#draining = true;
    for (const stream of this.#open) stream.end(stopping());
  }

  /** @returns gives the place back @throws DomainError STREAM_LIMIT, GOING_AWAY */
  #takePlace({ principal: { tenant, provider, subject } }: CallerContext): () => void {
    if (this.#draining) throw stopping();
    const principal = JSON.stringify([tenant, provider, subject]);
    const own = [...this.#places.values()].filter((each) => each === principal).length;
    if (own >= MAX_STREAMS_EACH)
      throw new DomainError('STREAM_LIMIT', `${MAX_STREAMS_EACH} of your streams are open already.`);
    if (this.#places.size >= MAX_STREAMS) throw new DomainError('STREAM_LIMIT', 'Too many streams are open already.');
    const place = {};
    this.#places.set(place, principal);
    return () => this.#places.delete(place);
  }
}

/** One `WatchAgent` call, as one who watches. */
class AgentStream {
  /** Tells `close`. */
  readonly socket = new EventEmitter();
  readonly #over = Promise.withResolvers<undefined>();
  #drained: Promise<void> | null = null;
  #cancelExpiry: (() => void) | undefined;
  #ended = false;
  /** Listing now, and whether more was missed meanwhile. */
  #listing = false;
  #again = false;

  constructor(
    private readonly call: WatchCall,
    readonly context: CallerContext,
    private readonly command: WatchCommand,
    private readonly agents: AgentsService,
  ) {
    call.on('cancelled', () => {
      this.#finish();
    });
    call.on('error', () => {
      this.#finish();
    });
    if (call.cancelled) this.#finish();
  }

  get over(): Promise<undefined> {
    return this.#over.promise;
  }

  get open(): boolean {
    return !this.#ended;
  }

  /** The client is told at once that it watches, and then what there is. */
  begin(): void {
    if (this.#ended) return;
    this.call.sendMetadata(new Metadata());
    void this.#list();
  }

  /** Ends the stream when the credential ends. */
  expireWith(streams: LiveStreams): void {
    const { expiresAt } = this.context.principal;
    if (expiresAt === null || this.#ended) return;
    this.#cancelExpiry = callAt(expiresAt, () => {
      streams.expire(this, new DomainError('SESSION_EXPIRED', 'The credential of this stream has expired.'));
    });
  }

  /** Each change is decided on when it is told. */
  recheck(): void {
    // nothing to take back
  }

  end(error: DomainError): void {
    if (this.#ended) return;
    this.#finish();
    this.call.emit('error', toGrpcStatus(error, this.context.requestId));
  }

  room(): Promise<void> | null {
    return this.#drained;
  }

  send(message: object): void {
    if ('agent' in message) this.#write((message as AgentChanged).agent);
    else void this.#list();
  }

  #write(agent: AgentView): void {
    if (this.#ended || (this.command.id !== undefined && agent.id !== this.command.id)) return;
    if (this.call.write({ agent: toProto(agent) })) return;
    this.#drained ??= new Promise((resolve) => {
      const on = (): void => {
        this.#drained = null;
        resolve();
      };
      this.call.once('drain', on);
      this.socket.once('close', on);
    });
  }

  /** Everything there is, page by page; what changes meanwhile is told as well, and one thing twice is no harm. */
  async #list(): Promise<void> {
    this.#again = true;
    if (this.#listing) return;
    this.#listing = true;
    try {
      while (this.#again && !this.#ended) {
        this.#again = false;
        await this.#listOnce();
      }
    } catch (thrown) {
      this.end(toDomainError(thrown));
    } finally {
      this.#listing = false;
    }
  }

  async #listOnce(): Promise<void> {
    const { id } = this.command;
    if (id !== undefined) {
      await this.agents.visible(this.context, id);
      this.#write(await this.agents.get(this.context, { id }));
      return;
    }
    for (let cursor: string | null | undefined; cursor !== null && !this.#ended;) {
      const page = await this.agents.list(this.context, { limit: 100, ...(cursor === undefined ? {} : { cursor }) });
      for (const agent of page.items) {
        this.#write(agent);
        await this.#drained;
      }
      cursor = page.next_cursor;
    }
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cancelExpiry?.();
    this.socket.emit('close');
    this.#over.resolve(undefined);
    // An error that is emitted after this has the status; without one this is the end.
    setImmediate(() => this.call.end());
  }
}

const stopping = (): DomainError => new DomainError('GOING_AWAY', 'The server is stopping.');
