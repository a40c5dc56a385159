import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { CONTROL_SOCKET } from '../kernel/link.js';
import type { Log } from '../kernel/log.js';

const LOOK_EVERY_MS = 500;
/** A runner that is being started again listens sooner, in the embedded mode at least. */
const GONE_MS = 5000;
/** What the system says when no process listens there; anything else, slowness above all, is no death. */
const NOBODY = new Set(['ENOENT', 'ECONNREFUSED']);

/** Notices that a runner is dead, while it is not followed: nobody has listened on its control socket for a while. */
export class RunnerAbsence {
  #looking: AbortController | null = null;

  /**
   * @param directory the folder of the runner's sockets
   * @param onGone called when it is gone, and every few seconds for as long as it is
   */
  constructor(
    private readonly directory: string,
    private readonly onGone: () => Promise<void>,
    private readonly logger: Log,
  ) {}

  /** Begins to look; the runner is not followed now. */
  start(): void {
    if (this.#looking !== null) return;
    this.#looking = new AbortController();
    void this.#look(this.#looking.signal);
  }

  /** The runner is followed, or nobody wants to know any more. */
  stop(): void {
    this.#looking?.abort();
    this.#looking = null;
  }

  /** Does nobody listen there just now? */
  isDeserted(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = createConnection(join(this.directory, CONTROL_SOCKET), () => {
        socket.destroy();
        resolve(false);
      });
      socket.on('error', ({ code }: NodeJS.ErrnoException) => {
        resolve(code !== undefined && NOBODY.has(code));
      });
    });
  }

  async #look(stopped: AbortSignal): Promise<void> {
    let since: number | null = null;
    const isStopped = (): boolean => stopped.aborted;
    while (!isStopped()) {
      const now = performance.now();
      since = (await this.isDeserted()) ? (since ?? now) : null;
      if (since !== null && now - since >= GONE_MS && !isStopped()) {
        since = null;
        await this.onGone().catch((error: unknown) => {
          this.logger.warn({ err: error }, 'the end of the runner cannot be recorded now');
        });
      }
      await setTimeout(LOOK_EVERY_MS, undefined, { signal: stopped, ref: false }).catch(() => undefined);
    }
  }
}
