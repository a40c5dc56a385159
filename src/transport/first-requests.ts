import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Connections that have made no request yet, together. With more, the oldest goes: a client asks at once, so that
 * strangers who only wait, or send a byte now and then, are in nobody's way and do not use up the descriptors.
 */
export const MAX_WAITING = 1024;

/**
 * Bounds the connections of an HTTP server that have not asked anything.
 * @param begins the server's event for one that may: `connection`, with TLS `secureConnection`
 * @param max so many
 */
export function boundFirstRequests(server: Server, begins: 'connection' | 'secureConnection', max = MAX_WAITING): void {
  const waiting = new Set<Socket>();
  server.on(begins, (socket: Socket) => {
    const [oldest] = waiting;
    if (oldest !== undefined && waiting.size >= max) {
      waiting.delete(oldest);
      oldest.destroy();
    }
    waiting.add(socket);
    socket.once('close', () => waiting.delete(socket));
  });
  const asked = ({ socket }: IncomingMessage): void => void waiting.delete(socket);
  server.on('request', asked).on('upgrade', asked);
}
