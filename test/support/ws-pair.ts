import { createServer } from 'node:http';
import { connect, type Socket } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

const HANDSHAKE =
  'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';

/** The server's side of one real WebSocket connection, and the bare TCP socket at its other end. */
export interface WsPair {
  readonly client: WebSocket;
  readonly wire: Socket;
  /** Paused: it reads nothing, and so answers no ping by itself. */
  readonly peer: Socket;
  end(): void;
}

export function wsPair(): Promise<WsPair> {
  const http = createServer();
  const sockets = new WebSocketServer({ noServer: true });
  return new Promise((resolve) => {
    http.on('upgrade', (request, socket, head) => {
      sockets.handleUpgrade(request, socket, head, (client) => {
        const end = (): void => {
          client.terminate();
          peer.destroy();
          http.close();
        };
        resolve({ client, wire: request.socket, peer, end });
      });
    });
    let peer: Socket;
    http.listen(0, '127.0.0.1', () => {
      const address = http.address();
      peer = connect(typeof address === 'object' && address !== null ? address.port : 0, '127.0.0.1', () => {
        peer.write(HANDSHAKE);
      });
      peer.pause();
      peer.on('error', () => undefined);
    });
  });
}
