import type { Socket } from 'node:net';
import { WebSocket } from 'ws';

const PING_EVERY_MS = 5000;
const DEAD_AFTER_MS = 20_000;

/** How far a connection has got. */
interface Progress {
  /** Bytes received. */
  readonly read: number;
  /** Bytes that wait in this process for the kernel to take them. */
  readonly waiting: number;
  /** Bytes whose write is done. */
  readonly written: number;
  /** Bytes left of the write under way. */
  readonly left: number;
}

interface Watched {
  readonly wire: Socket;
  progress: Progress;
  /** Monotonic, milliseconds. */
  seenAt: number;
}

/**
 * Ends connections whose other side is gone: pings them, and takes anything received as life. On a slow link the ping
 * stands in line behind output, so output that goes on being taken counts as life too.
 */
export class Heartbeat {
  readonly #clients = new Map<WebSocket, Watched>();
  readonly #timer: NodeJS.Timeout;

  /** @param now a monotonic clock, milliseconds: the system's clock may be stepped under open connections */
  constructor(private readonly now: () => number = () => performance.now()) {
    this.#timer = setInterval(() => {
      this.beat();
    }, PING_EVERY_MS);
    this.#timer.unref();
  }

  /** Watches a connection until it closes. @param wire the TCP connection under it */
  watch(client: WebSocket, wire: Socket): void {
    this.#clients.set(client, { wire, progress: progressOf(wire), seenAt: this.now() });
    client.once('close', () => this.#clients.delete(client));
  }

  /** Ends who has shown no life for 20 s and pings the others. Called every 5 s. */
  beat(): void {
    for (const [client, watched] of this.#clients) {
      const progress = progressOf(watched.wire);
      // While we do not read, silence says nothing.
      if (client.isPaused || showsLife(watched.progress, progress)) watched.seenAt = this.now();
      watched.progress = progress;
      if (this.now() - watched.seenAt > DEAD_AFTER_MS) client.terminate();
      else if (client.readyState === WebSocket.OPEN) client.ping();
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** Of what was sent only that which had to wait says something: the kernel takes a ping for a dead peer too. */
function showsLife(before: Progress, now: Progress): boolean {
  if (now.read > before.read) return true;
  return before.waiting > 0 && (now.written > before.written || now.left < before.left);
}

function progressOf(wire: Socket): Progress {
  const waiting = wire.writableLength;
  return { read: wire.bytesRead, waiting, written: wire.bytesWritten - waiting, left: unsent(wire) };
}

/**
 * Node joins all that waits into one write and tells only when it is done, which on a slow link is too late. How much of
 * it is left only libuv's handle knows; Node's own socket timeout looks there too. Without it, whole writes count.
 */
function unsent(wire: Socket & { readonly _handle?: { readonly writeQueueSize?: number } | null }): number {
  return wire._handle?.writeQueueSize ?? 0;
}
