import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { INestApplicationContext, WebSocketAdapter, WsMessageHandler } from '@nestjs/common';
import { lastValueFrom, type Observable } from 'rxjs';
import { WebSocket, WebSocketServer } from 'ws';
import { within } from '../kernel/current-context.js';
import type { Log } from '../kernel/log.js';
import { CONFIG, type Config } from '../config/load.js';
import { AuditTrail } from '../kernel/audit.js';
import { Authenticator } from '../kernel/authenticator.js';
import { Connections } from '../kernel/connections.js';
import { DomainError } from '../kernel/errors.js';
import { InFlight } from '../kernel/in-flight.js';
import { RateLimits } from '../kernel/rate-limits.js';
import { rateHeaders } from '../kernel/rate-report.js';
import type { RequestContext } from '../kernel/request-context.js';
import { ClientAddresses } from './client-address.js';
import { carriesCredential, credentialOf } from './credential.js';
import { toDomainError } from './error-mapping.js';
import { attachContext, contextOfCarrier } from './execution-context.js';
import { Heartbeat } from './heartbeat.js';
import { endSocket, httpRefusal } from './raw-http.js';
import { type StreamLimits, streamLimitsOf } from './stream-pace.js';
import type { Site } from './site/site.js';
import { WsTraffic } from './traffic-metrics.js';
import { addressOf, contextOfUpgrade } from './upgrade.js';
import { WaitingRoom } from './waiting-room.js';
import { BINARY_SUBPROTOCOL, WsConnection } from './ws-connection.js';
import type { WsMessage } from './ws-message.js';

const MAX_MESSAGE_BYTES = 1024 * 1024;
/** Clients come back over this time, not all at once. */
const GOAWAY_SPREAD_MS = 2000;
const DRAIN_MS = 1500;
/** Each gateway and each account that is kept of connections hears of a socket's end: some dozen. More would be a leak. */
const MAX_LISTENERS = 16;
/** Messages about the attachment on a channel, 0 when they name none. */
const ON_CHANNEL = new Set(['input', 'resize', 'signal', 'kill', 'take_control', 'ack', 'detach']);
/** Names of older protocols. */
const ALIASES: ReadonlyMap<string, string> = new Map([['command', 'input']]);
/** What a client that is not known yet may say. */
const AUTHENTICATE = 'authenticate';

const connections = new WeakMap<object, WsConnection>();

/** The connection behind a WebSocket. @throws Error when it went around the adapter */
export function connectionOf(client: object): WsConnection {
  const connection = connections.get(client);
  if (!connection) throw new Error('A WebSocket went around the adapter');
  return connection;
}

/** What a gateway passes as its options. */
export interface GatewayPaths {
  readonly path: string;
  readonly paths?: readonly string[];
}

/**
 * Nest's WebSocket adapter, with the gate in front: the upgrade itself is authenticated (401 before the 101), nothing
 * is handled before the caller is known, and messages reach Nest's guards one after the other, in order.
 * Compression stays off: it halves the throughput of live output.
 */
export class GatehouseWsAdapter implements WebSocketAdapter<WebSocketServer, WebSocket, GatewayPaths> {
  readonly #servers = new Map<string, WebSocketServer>();
  readonly #clients = new Set<WebSocket>();
  /** By the type of message, of all gateways on the client's path. */
  readonly #handlers = new WeakMap<WebSocket, Map<unknown, WsMessageHandler>>();
  readonly #heartbeat = new Heartbeat();
  readonly traffic = new WsTraffic();
  readonly #waiting: WaitingRoom;
  readonly #limits: RateLimits;
  readonly #connections: Connections;
  readonly #pace: StreamLimits;
  readonly #authenticator: Authenticator;
  readonly #audit: AuditTrail;
  readonly #inFlight: InFlight;

  constructor(
    app: INestApplicationContext,
    http: Server,
    private readonly logger: Log,
    private readonly site: Site,
  ) {
    this.#authenticator = app.get(Authenticator);
    this.#audit = app.get(AuditTrail);
    this.#inFlight = app.get(InFlight);
    this.#limits = app.get(RateLimits);
    this.#connections = app.get(Connections);
    const config = app.get<Config>(CONFIG);
    this.#waiting = new WaitingRoom(config.CONNECTIONS_UNAUTHENTICATED, config.HANDSHAKE_TIMEOUT_SECONDS * 1000);
    this.#pace = streamLimitsOf(config);
    const addresses = app.get(ClientAddresses);
    http.on('upgrade', (request, socket, head) => {
      const context = contextOfUpgrade(request, addresses);
      void within(context, () => this.#upgrade(request, socket, head, context));
    });
  }

  create(_port: number, options: GatewayPaths): WebSocketServer {
    const server = new WebSocketServer({
      noServer: true,
      perMessageDeflate: false,
      maxPayload: MAX_MESSAGE_BYTES,
      handleProtocols: (offered) => (offered.has(BINARY_SUBPROTOCOL) ? BINARY_SUBPROTOCOL : false),
    });
    server.on('headers', (lines: string[], request: IncomingMessage) => {
      const all = this.#headersFor(contextOfCarrier(request));
      lines.push(...Object.entries(all).map(([name, value]) => `${name}: ${value}`));
    });
    // The library would answer in its own way an upgrade that is none.
    server.on('wsClientError', ({ message }, socket: Duplex, request) => {
      const context = contextOfCarrier(request);
      const error = new DomainError('MALFORMED_REQUEST', `${message}.`);
      endSocket(socket, httpRefusal(error, context.requestId, this.#headersFor(context)));
    });
    for (const path of options.paths ?? [options.path]) this.#servers.set(path, server);
    return server;
  }

  bindClientConnect(server: WebSocketServer, callback: (client: WebSocket) => void): void {
    server.on('connection', callback);
  }

  bindClientDisconnect(client: WebSocket, callback: () => void): void {
    client.once('close', callback);
  }

  bindMessageHandlers(
    client: WebSocket,
    handlers: WsMessageHandler[],
    transform: (result: unknown) => Observable<unknown>,
  ): void {
    const known = this.#handlers.get(client);
    const byType = known ?? new Map<unknown, WsMessageHandler>();
    for (const handler of handlers) byType.set(handler.message, handler);
    if (known) return;
    this.#handlers.set(client, byType);
    const connection = connectionOf(client);
    const handle = async (message: WsMessage): Promise<void> => {
      const handler = byType.get(ALIASES.get(message.type) ?? message.type);
      if (!handler) throw new DomainError('INVALID_MESSAGE', 'type: there is no such message.');
      // The guard would say so too, but behind what is looked up for the message.
      if (connection.context.principal === null && handler.message !== AUTHENTICATE)
        throw new DomainError('AUTH_TOKEN_MISSING', 'A credential is needed.');
      this.traffic.came(handler.message);
      const callback = handler.callback as (data: unknown) => unknown;
      const answer = await lastValueFrom(transform(callback(this.#addressed(connection, message))), {
        defaultValue: undefined,
      });
      if (typeof answer === 'object' && answer !== null) connection.answer(answer);
    };
    // Nest binds the handlers of one gateway after the other, in this turn: no message is handled before the last one's.
    queueMicrotask(() => {
      connection.listen(handle);
    });
  }

  close(server: WebSocketServer): void {
    for (const client of server.clients) client.terminate();
    server.close();
  }

  /** Nest calls it last; everything was closed by {@link close}. */
  dispose(): void {
    this.#heartbeat.stop();
  }

  /** Before a stop: clients are told to come back, then closed with 1001. */
  async drain(): Promise<void> {
    const goaway = { type: 'goaway', reason: 'shutdown' };
    for (const client of this.#clients) {
      connectionOf(client).send({ ...goaway, resume_after_ms: Math.round(Math.random() * GOAWAY_SPREAD_MS) });
      client.close(1001, 'GOING_AWAY');
    }
    const deadline = Date.now() + DRAIN_MS;
    while (this.#clients.size > 0 && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 20));
    for (const client of this.#clients) client.terminate();
  }

  /** The message without its envelope, with the session that its channel stands for. */
  #addressed(connection: WsConnection, message: WsMessage): Record<string, unknown> {
    const { type, ...data } = message;
    delete data['id'];
    if (!ON_CHANNEL.has(ALIASES.get(type) ?? type)) return data;
    const channel = data['channel'] ?? 0;
    if (typeof channel === 'number') connection.about(channel);
    const session = typeof channel === 'number' ? connection.channels.get(channel) : undefined;
    if (session === undefined) throw new DomainError('NOT_ATTACHED', 'Nothing is attached on this channel.');
    return { ...data, channel, session };
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, context: RequestContext): Promise<void> {
    // Node leaves an upgraded socket without listeners; an unhandled error would end the process.
    socket.on('error', () => undefined);
    const ended = this.#inFlight.begin();
    try {
      attachContext(request, context);
      await this.#requireOwnSite(request, context);
      this.#inFlight.requireOpen();
      if (carriesCredential(request)) await this.#authenticator.authenticate(() => credentialOf(request), context);
      else await this.#limits.arrive(context, 'stranger');
      const url = addressOf(request);
      const server = this.#servers.get(url.pathname);
      if (!server) throw new DomainError('NOT_FOUND', 'There is no such resource.');
      if (socket.destroyed) return;
      // The stop may have begun meanwhile, and this client would not be told.
      this.#inFlight.requireOpen();
      socket.once('close', this.#enter(context));
      server.handleUpgrade(request, socket, head, (client) => {
        this.#accept(server, client, request.socket, context, url);
      });
    } catch (thrown) {
      const error = toDomainError(thrown);
      if (error.code === 'INTERNAL_ERROR') this.logger.error({ err: thrown }, 'websocket upgrade failed');
      this.#rejected(context, error);
      endSocket(socket, httpRefusal(error, context.requestId, this.#headersFor(context)));
    } finally {
      ended();
    }
  }

  /** A stranger's call, when it is refused. @throws DomainError */
  async #requireOwnSite(request: IncomingMessage, context: RequestContext): Promise<void> {
    try {
      this.site.requireHost(request);
      this.site.requireOrigin(request);
    } catch (refusal) {
      await this.#limits.arrive(context, 'stranger');
      throw refusal;
    }
  }

  /** What a refusal has beside itself. */
  #headersFor({ rate, remoteAddress }: RequestContext): Record<string, string> {
    return { ...this.site.headers, ...rateHeaders(rate ?? this.#limits.left(remoteAddress)) };
  }

  /** Of a known caller the connections are counted, else those that wait. @throws DomainError CONNECTION_LIMIT */
  #enter({ principal }: RequestContext): () => void {
    if (principal !== null) return this.#connections.enter(principal);
    this.#waiting.requireRoom();
    return () => undefined;
  }

  #accept(server: WebSocketServer, client: WebSocket, wire: Socket, context: RequestContext, url: URL): void {
    wire.setNoDelay(true);
    const connection = new WsConnection(client, wire, context, url, this.logger, this.traffic, this.#pace);
    connections.set(client, connection);
    attachContext(client, context);
    this.#clients.add(client);
    client.setMaxListeners(MAX_LISTENERS);
    this.#heartbeat.watch(client, wire);
    client.once('close', () => this.#clients.delete(client));
    const unknown = context.principal === null;
    connection.onTooFast = (error) => {
      this.#limits.tooFast(context, error);
    };
    connection.onRejected = (error) => {
      this.#rejected(context, error);
    };
    this.#waiting.admit(connection, () => {
      if (unknown) this.#enterKnown(connection);
      if (connection.open) this.#onRecord(connection);
    });
    server.emit('connection', client, connection);
  }

  /** Whoever said who they are by a message: one connection too many is closed. */
  #enterKnown(connection: WsConnection): void {
    this.#limits.identified(connection.context);
    try {
      connection.socket.once('close', this.#enter(connection.context));
    } catch (thrown) {
      const error = toDomainError(thrown);
      this.#rejected(connection.context, error);
      connection.closeWith(error);
    }
  }

  #rejected(context: RequestContext, { code }: DomainError): void {
    const fact = { action: 'websocket.rejected', resource: null, success: false, reason: code } as const;
    this.#audit.noteStranger(context, fact);
  }

  /** From here on the connection is on record. */
  #onRecord({ context, socket, wire, url }: WsConnection): void {
    const since = performance.now();
    const fact = { resource: url.pathname, success: true };
    this.#audit.note(context, { ...fact, action: 'websocket.connected' });
    socket.once('close', (code: number) => {
      const duration_seconds = Math.round((performance.now() - since) / 1000);
      const metadata = { code, duration_seconds, bytes_in: wire.bytesRead, bytes_out: wire.bytesWritten };
      this.#audit.note(context, { ...fact, action: 'websocket.disconnected', metadata });
    });
  }
}
