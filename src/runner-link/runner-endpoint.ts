import type { Socket } from 'node:net';
import type { ChannelCredentials, ChannelOptions } from '@grpc/grpc-js';

/** How grpc-js reaches the runner's control service. */
export interface ControlChannel {
  readonly address: string;
  readonly credentials: ChannelCredentials;
  readonly options: ChannelOptions;
}

/** Where the runner is, and how it is reached. */
export interface RunnerEndpoint {
  /** For the operator, behind “No runner answers”. */
  readonly place: string;
  /** The folder of the sockets of a runner that this gateway starts and ends; null: somebody else does. */
  readonly own: string | null;
  readonly control: ControlChannel;
  /** False when nobody can be there, so that it is not worth waiting for an answer. */
  isThere(): boolean;
  /** Is it certain that no process is there just now? Of another machine that is never known: it may be out of reach. */
  isDeserted(): Promise<boolean>;
  /**
   * Opens a connection for bytes, which may be written to at once.
   * @param receive gets what arrives; the chunk is good until it returns
   */
  connect(receive: (chunk: Buffer) => void): Socket;
  /** The runner does not answer any more. */
  lost(): void;
  /** Why it does not answer, in words for the operator, as far as can be found out. */
  diagnose(): Promise<string>;
}

/**
 * All connections for bytes read into this: a read and its callback happen in one turn, and a `FrameReader` copies.
 * @returns the option `onread` of a socket
 */
export function readInto(receive: (chunk: Buffer) => void) {
  return {
    buffer: slab,
    callback: (length: number): boolean => {
      receive(slab.subarray(0, length));
      return true;
    },
  };
}

const slab = Buffer.allocUnsafeSlow(128 * 1024);
