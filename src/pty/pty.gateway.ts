import { UseFilters } from '@nestjs/common';
import { ConnectedSocket, MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import type { WebSocket } from 'ws';
import { z } from 'zod';
import { Audited } from '../audit/audited.decorator.js';
import { Authenticated, Public, RequirePermission } from '../authorization/decorators.js';
import { LiveStreams } from '../authorization/live-streams.js';
import { AuditTrail } from '../kernel/audit.js';
import { Authenticator } from '../kernel/authenticator.js';
import { DomainError } from '../kernel/errors.js';
import type { CallerContext } from '../kernel/request-context.js';
import { VERSION } from '../kernel/package.js';
import { Caller } from '../transport/caller.js';
import { ErrorFilter } from '../transport/error-filter.js';
import { connectionOf, type GatewayPaths } from '../transport/ws-adapter.js';
import { BINARY_SUBPROTOCOL, type WsConnection } from '../transport/ws-connection.js';
import { AttachmentsService } from './attachments.service.js';
import { type AttachCommand, attachSchema, frameSchemas, MAX_INPUT_BYTES } from './pty.schema.js';
import { PtyService } from './pty.service.js';
import { authenticateOpen } from './renewal.js';
import { MAX_CHANNELS, SocketAttachments } from './socket-attachments.js';

/** What the adapter adds to every message about an attachment. */
const addressed = { session: z.string(), channel: z.int().min(0).max(65_535) };
const onAttachment = { resource: 'session', field: 'session' } as const;

const authenticateSchema = z.strictObject({ token: z.string().min(1) });
const inputSchema = z.strictObject({ ...addressed, data: z.string().min(1).max(MAX_INPUT_BYTES) });
const resizeSchema = frameSchemas.resize.extend(addressed);
const signalSchema = frameSchemas.signal.extend(addressed);
const ackSchema = frameSchemas.ack.extend(addressed);
const bareSchema = z.strictObject(addressed);
const pingSchema = z.strictObject({ timestamp: z.number().optional() });

/** Sessions over WebSocket: `/ws` for several on one socket, `/ws/pty?id=` for one. docs/protocol.md. */
@UseFilters(ErrorFilter)
@WebSocketGateway<GatewayPaths>({ path: '/ws', paths: ['/ws', '/ws/pty'] })
export class PtyGateway {
  readonly #sockets = new WeakMap<WebSocket, SocketAttachments>();

  constructor(
    private readonly sessions: PtyService,
    private readonly attachments: AttachmentsService,
    private readonly authenticator: Authenticator,
    private readonly streams: LiveStreams,
    private readonly audit: AuditTrail,
  ) {}

  /** Called by Nest once the upgrade was admitted; messages wait until this returns. */
  handleConnection(client: WebSocket): void {
    const connection = connectionOf(client);
    const socket = new SocketAttachments(connection, this.attachments);
    this.#sockets.set(client, socket);
    connection.mayType = (channel) => socket.mayType(channel);
    connection.onBinary = (payload) => socket.binaryInput(payload);
    connection.send({
      type: 'connection_status',
      status: 'connected',
      version: VERSION,
      protocol: connection.binary ? BINARY_SUBPROTOCOL : 'json',
      limits: { input_bytes: MAX_INPUT_BYTES, channels: MAX_CHANNELS },
    });
    if (connection.context.principal !== null) this.#welcome(client, connection, connection.context as CallerContext);
  }

  @Public()
  @SubscribeMessage('authenticate')
  async authenticate(
    @ConnectedSocket() client: WebSocket,
    @MessageBody({ schema: authenticateSchema }) { token }: z.output<typeof authenticateSchema>,
  ): Promise<void> {
    const connection = connectionOf(client);
    const { authenticator, audit } = this;
    const { context } = connection;
    const before = context.principal;
    await authenticateOpen(context, token, { authenticator, audit }, () => connection.open);
    if (!connection.open) return;
    if (before === null) this.#welcome(client, connection, context as CallerContext);
    else {
      this.#tellPrincipal(connection, context as CallerContext);
      this.#socket(client).recheck();
    }
  }

  @RequirePermission('pty:view', onAttachment)
  @SubscribeMessage('attach')
  async attach(
    @ConnectedSocket() client: WebSocket,
    @MessageBody({ schema: attachSchema }) command: AttachCommand,
    @Caller() caller: CallerContext,
  ): Promise<void> {
    const socket = this.#socket(client);
    if (socket.byAddress) throw new DomainError('INVALID_MESSAGE', 'This socket is attached by its address.');
    await socket.attach(caller, command);
  }

  @RequirePermission('pty:input', onAttachment)
  @SubscribeMessage('input')
  async input(
    @ConnectedSocket() client: WebSocket,
    @MessageBody({ schema: inputSchema }) { channel, data }: z.output<typeof inputSchema>,
  ): Promise<void> {
    const bytes = Buffer.from(data, 'utf8');
    if (bytes.length > MAX_INPUT_BYTES)
      throw new DomainError('INVALID_MESSAGE', `data: more than ${MAX_INPUT_BYTES} bytes.`);
    const attachment = this.#socket(client).on(channel);
    if (!attachment.input(bytes, null)) await attachment.drained();
  }

  @RequirePermission('pty:resize', onAttachment)
  @SubscribeMessage('resize')
  async resize(
    @ConnectedSocket() client: WebSocket,
    @MessageBody({ schema: resizeSchema }) { channel, cols, rows }: z.output<typeof resizeSchema>,
  ): Promise<void> {
    await this.#socket(client).on(channel).resize(cols, rows);
  }

  @RequirePermission('pty:signal', onAttachment)
  @Audited('pty.signal', 'session', 'session')
  @SubscribeMessage('signal')
  async signal(
    @MessageBody({ schema: signalSchema }) { session, signal }: z.output<typeof signalSchema>,
    @Caller() caller: CallerContext,
  ): Promise<void> {
    await this.sessions.signal(caller, { id: session, signal });
  }

  @RequirePermission('pty:kill', onAttachment)
  @Audited('pty.kill', 'session', 'session')
  @SubscribeMessage('kill')
  async kill(
    @MessageBody({ schema: bareSchema }) { session }: z.output<typeof bareSchema>,
    @Caller() caller: CallerContext,
  ): Promise<void> {
    await this.sessions.kill(caller, { id: session });
  }

  @RequirePermission('pty:input', onAttachment)
  @SubscribeMessage('take_control')
  async takeControl(
    @ConnectedSocket() client: WebSocket,
    @MessageBody({ schema: bareSchema }) { channel }: z.output<typeof bareSchema>,
  ): Promise<void> {
    await this.#socket(client).on(channel).takeControl();
  }

  @Authenticated()
  @SubscribeMessage('ack')
  async ack(
    @ConnectedSocket() client: WebSocket,
    @MessageBody({ schema: ackSchema }) { channel, offset }: z.output<typeof ackSchema>,
  ): Promise<void> {
    await this.#socket(client).on(channel).ack(offset);
  }

  @Authenticated()
  @SubscribeMessage('detach')
  detach(
    @ConnectedSocket() client: WebSocket,
    @MessageBody({ schema: bareSchema }) { channel }: z.output<typeof bareSchema>,
  ): void {
    this.#socket(client).detach(channel);
  }

  @Authenticated()
  @SubscribeMessage('ping')
  ping(@MessageBody({ schema: pingSchema }) { timestamp }: z.output<typeof pingSchema>): object {
    const latency = timestamp === undefined ? {} : { timestamp, latency_ms: Math.max(0, Date.now() - timestamp) };
    return { type: 'pong', ...latency };
  }

  /** The caller is known now. On `/ws/pty` the address itself says what to attach to. */
  #welcome(client: WebSocket, connection: WsConnection, caller: CallerContext): void {
    connection.authenticated();
    this.#tellPrincipal(connection, caller);
    const socket = this.#socket(client);
    const stream = {
      context: caller,
      recheck: () => {
        socket.recheck();
      },
      end: (error: DomainError) => {
        connection.closeWith(error);
      },
    };
    const ended = this.streams.add(stream);
    connection.onExpired = (error) => {
      this.streams.expire(stream, error);
    };
    client.once('close', ended);
    // Before what waits in the queue: a client may type right after its token.
    if (socket.byAddress) connection.enqueueNext(() => socket.attachByAddress(caller));
  }

  #tellPrincipal(connection: WsConnection, { principal, credential }: CallerContext): void {
    const { subject, email, groups, expiresAt } = principal;
    const expires_at = expiresAt?.toISOString() ?? null;
    const grace = credential?.graceUntil ?? null;
    connection.answer({
      ...{ type: 'authenticated', user_id: subject, email: email ?? null, groups, expires_at },
      // A key that was rotated: until then it works.
      ...(grace === null ? {} : { key_rotated_until: grace.toISOString() }),
    });
    connection.expireAt(expiresAt);
  }

  #socket(client: WebSocket): SocketAttachments {
    const socket = this.#sockets.get(client);
    if (!socket) throw new Error('A message came before its connection');
    return socket;
  }
}
