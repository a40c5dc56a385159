import { connect, type Socket } from 'node:net';
import type { TestGateway } from './gateway.js';

/** A text frame as a client sends it; the mask is zero, so that the bytes stay readable. */
export function textFrame(text: string): Buffer {
  const payload = Buffer.from(text);
  const length = payload.length < 126 ? [0x80 | payload.length] : [0xfe, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Buffer.from([0x81, ...length, 0, 0, 0, 0]), payload]);
}

/** The bytes of a WebSocket upgrade. */
export const upgrade = (credential: string): string =>
  'GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
  `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer ${credential}\r\n\r\n`;

/** Writes the same bytes over and over on one TCP connection, as fast as the gateway takes them. */
export class Flood {
  /** How often the bytes were taken. */
  rounds = 0;
  /** Bytes of the answers that were read. */
  heard = 0;
  closed = false;
  #on = true;

  private constructor(private readonly socket: Socket) {}

  /**
   * @param opening written once, before the flood
   * @param reading whether the answers are read
   */
  static start(gateway: TestGateway, opening: string, bytes: Buffer, { reading }: { reading: boolean }): Flood {
    const socket = connect(gateway.httpPort, '127.0.0.1');
    const flood = new Flood(socket);
    const write = (): void => {
      if (!flood.#on) return;
      socket.write(bytes, () => {
        flood.rounds += 1;
        // In a macrotask: the test in this process must go on beside it.
        setImmediate(write);
      });
    };
    socket.on('connect', () => {
      socket.write(opening);
      setTimeout(write, 100);
    });
    if (reading) socket.on('data', ({ length }: Buffer) => (flood.heard += length));
    else socket.pause();
    socket.on('error', () => undefined);
    socket.on('close', () => {
      flood.closed = true;
      flood.#on = false;
    });
    return flood;
  }

  stop(): void {
    this.#on = false;
    this.socket.destroy();
  }
}
