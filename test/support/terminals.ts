import { once } from 'node:events';
import type { ServiceError } from '@grpc/grpc-js';
import type { TestGateway } from './gateway.js';
import { type AttachStream, endOf, GrpcClient, reasonOf } from './grpc-client.js';
import { WsClient } from './ws-client.js';

/** How an open terminal ended: the code on its transport and the stable code. */
export interface TerminalEnd {
  readonly code: number;
  readonly reason: string;
}

/** One principal's live terminals on one session: by WebSocket and gRPC, on each gateway. */
export class Terminals {
  private constructor(
    readonly sockets: readonly WsClient[],
    readonly streams: readonly AttachStream[],
    private readonly ends: readonly Promise<ServiceError | null>[],
    private readonly clients: readonly GrpcClient[],
  ) {}

  /** Attaches everywhere; resolves when all are attached. */
  static async open(gateways: readonly TestGateway[], session: string, credential: string): Promise<Terminals> {
    const sockets: WsClient[] = [];
    const streams: AttachStream[] = [];
    const ends: Promise<ServiceError | null>[] = [];
    const clients: GrpcClient[] = [];
    for (const gateway of gateways) {
      const socket = await WsClient.open(gateway, `/ws/pty?id=${session}&mode=viewer`, { credential });
      await socket.next('attached');
      sockets.push(socket);
      const client = new GrpcClient(gateway, credential);
      const stream = client.attach();
      const end = endOf(stream);
      stream.write({ attach: { session, mode: 'ATTACH_MODE_VIEWER' } });
      await once(stream, 'data');
      [streams, ends, clients].forEach((list, index) => (list as unknown[]).push([stream, end, client][index]));
    }
    return new Terminals(sockets, streams, ends, clients);
  }

  /** How all of them end: first the sockets, then the streams. */
  async closed(): Promise<TerminalEnd[]> {
    const sockets = await Promise.all(this.sockets.map((socket) => socket.closes()));
    const streams = await Promise.all(this.ends);
    this.close();
    return [
      ...sockets,
      ...streams.map((error) => ({ code: error?.code ?? 0, reason: error === null ? 'OK' : reasonOf(error) })),
    ];
  }

  /** Whether the sockets are all still open and attached. */
  get open(): boolean {
    return this.sockets.every(({ closed }) => closed === null) && this.streams.every(({ destroyed }) => !destroyed);
  }

  close(): void {
    for (const socket of this.sockets) socket.close();
    for (const stream of this.streams) stream.on('error', () => undefined).cancel();
    for (const client of this.clients) client.close();
  }
}
