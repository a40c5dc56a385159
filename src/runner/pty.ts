import { closeSync, constants as fsConstants, openSync, readSync } from 'node:fs';
import { constants } from 'node:os';
import { ReadStream } from 'node:tty';
import { forgetMaster } from './descriptors.js';
import { errnoOf } from './errno.js';
import { InputQueue } from './input-queue.js';
import { type ForkOptions, forkPty, resizePty } from './native-pty.js';
import { readProcess } from './processes.js';

export interface ExitStatus {
  /** null when a signal ended the process. */
  readonly exitCode: number | null;
  /** As in `SIGKILL`. */
  readonly signal: string | null;
}

export interface PtyHandlers {
  /** Output; the buffer is valid only during the call. */
  readonly onData: (bytes: Buffer) => void;
  /** The exit status is known and the last output was given to `onData`. Called once. */
  readonly onExit: (status: ExitStatus) => void;
}

/** How long background processes may go on writing to the terminal once the session's own process has exited. */
const EXIT_GRACE_MS = 200;
/** How long to wait for the exit status of a process that the process table no longer shows. */
const STATUS_WAIT_MS = 1000;
/** More than the kernel can hold for one PTY: whatever comes after is written by a process that lives on. */
const MAX_DRAIN_BYTES = 1024 * 1024;

/** All PTYs read into this: a read and its callback happen in one turn, and the callback copies what it keeps. */
const slab = Buffer.allocUnsafeSlow(128 * 1024);

/** A number with two names (SIGABRT, SIGIOT) has the usual one, which comes first. */
const SIGNAL_NAMES = new Map<number, string>(
  Object.entries(constants.signals)
    .map(([name, value]): [number, string] => [value, name])
    .reverse(),
);

/** A process on a PTY. */
export class Pty {
  readonly pid: number;
  /** See processes.ts; undefined when the process was gone too fast to tell. */
  readonly startTime: number | undefined;
  readonly #fd: number;
  readonly #stream: ReadStream;
  readonly #input: InputQueue;
  /**
   * The slave side, held open while the process runs. Without it the kernel reports a hang-up as soon as nobody has
   * the slave open, libuv then says end of file with output still unread, and that output is lost. With it there is no
   * hang-up to race with: the end is the exit status, then reading until nothing is left.
   */
  #slave: number | undefined;
  #status: ExitStatus | undefined;
  #grace: NodeJS.Timeout | undefined;
  #hungUp = false;
  #held = false;
  #finished = false;

  /** Starts the process. Throws when there is no PTY or no process to be had. */
  constructor(
    options: ForkOptions,
    private readonly handlers: PtyHandlers,
  ) {
    const child = forkPty(options, this.#onStatus);
    this.pid = child.pid;
    this.#fd = child.fd;
    this.#input = new InputQueue(child.fd);
    this.#stream = new ReadStream(child.fd, {
      allowHalfOpen: true, // or Node would close the descriptor by itself at a hang-up
      onread: {
        buffer: slab,
        callback: (length) => {
          handlers.onData(slab.subarray(0, length));
          return true;
        },
      },
    });
    this.#stream.on('end', this.#onHangUp).on('error', this.#onHangUp);
    try {
      // Without O_NOCTTY it could become the runner's own terminal.
      this.#slave = openSync(child.pty, fsConstants.O_RDWR | fsConstants.O_NOCTTY);
      this.startTime = readProcess(child.pid)?.startTime;
    } catch (error) {
      this.#abandon();
      throw error;
    }
    this.#stream.resume();
  }

  /** Types `data`. Throws DomainError INPUT_FULL when the program does not read. */
  write(data: Buffer): void {
    if (!this.#stream.destroyed) this.#input.write(data);
  }

  /** Changes the window size. */
  resize(cols: number, rows: number): void {
    if (!this.#stream.destroyed) resizePty(this.#fd, cols, rows);
  }

  /** Stops reading; a program that goes on writing soon waits. */
  pause(): void {
    this.#stream.pause();
  }

  /** Goes on reading. */
  resume(): void {
    this.#stream.resume();
  }

  /** The processes are being killed: their last words count, so the end waits for {@link releaseEnd}. */
  holdEnd(): void {
    this.#held = true;
    clearTimeout(this.#grace);
  }

  /** Nothing is left to write: the end may come. */
  releaseEnd(): void {
    this.#held = false;
    if (this.#status) this.#finish();
    else this.#grace = setTimeout(this.#finish, STATUS_WAIT_MS);
  }

  readonly #onStatus = (exitCode: number, signal: number): void => {
    if (this.#finished) return;
    this.#status =
      signal === 0
        ? { exitCode, signal: null }
        : { exitCode: null, signal: SIGNAL_NAMES.get(signal) ?? `SIG${String(signal)}` };
    this.#drain();
    this.#closeSlave();
    this.#drain(); // learns whether anybody else has the terminal open
    this.#settle();
  };

  /** The start failed half-way: closing the terminal hangs up on the process. */
  #abandon(): void {
    this.#finished = true;
    this.#close();
  }

  readonly #onHangUp = (): void => {
    this.#drain();
    this.#hungUp = true;
    this.#settle();
  };

  #settle(): void {
    if (this.#held) return;
    if (!this.#status) return;
    if (this.#hungUp) this.#finish();
    else this.#grace ??= setTimeout(this.#finish, EXIT_GRACE_MS);
  }

  readonly #finish = (): void => {
    if (this.#finished) return;
    this.#finished = true;
    clearTimeout(this.#grace);
    this.#drain();
    this.#input.close();
    this.#close();
    this.handlers.onExit(this.#status ?? { exitCode: null, signal: null });
  };

  /** Reads what the kernel holds. It moves all pending output to the reader before it says EAGAIN or EIO. */
  #drain(): void {
    for (let total = 0; total < MAX_DRAIN_BYTES && !this.#stream.destroyed;) {
      try {
        const length = readSync(this.#fd, slab);
        if (length === 0) break;
        total += length;
        this.handlers.onData(slab.subarray(0, length));
      } catch (error) {
        this.#hungUp ||= errnoOf(error) !== 'EAGAIN';
        return;
      }
    }
  }

  #close(): void {
    this.#closeSlave();
    this.#stream.destroy();
    forgetMaster(this.#fd);
  }

  #closeSlave(): void {
    if (this.#slave !== undefined) closeSync(this.#slave);
    this.#slave = undefined;
  }
}
