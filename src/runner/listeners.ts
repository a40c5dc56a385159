import type { Socket } from 'node:net';
import type { ChannelOptions, Server } from '@grpc/grpc-js';

/** A way into the runner. */
export interface Listener {
  /**
   * Listens; whoever comes in afterwards is served.
   * @throws Error when it cannot
   */
  open(): Promise<void>;
  /** Lets nobody in any more; resolves when all who are in have gone. */
  close(): Promise<void>;
  /** Cuts off who is still in, and leaves nothing behind. */
  destroy(): void;
}

/** What gateways are served with, whichever way they come in. */
export interface Services {
  /** A server of the control service, bound to nothing yet. */
  control(options?: ChannelOptions): Server;
  /** Serves one connection for bytes. */
  link(socket: Socket): void;
}

/** Connections for bytes at a time, on each way in. */
export const MAX_LINKS = 20_000;
