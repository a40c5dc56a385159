import { setTimeout } from 'node:timers/promises';
import type { Log } from '../kernel/log.js';
import type { RunnerEndpoint } from './runner-endpoint.js';

const LOOK_EVERY_MS = 500;
/** A runner that is being started again listens sooner, in the embedded mode at least. */
const GONE_MS = 5000;
/** Notices that a runner is dead, while it is not followed: nobody has listened on its control socket for a while. */
export class RunnerAbsence {
  #looking: AbortController | null = null;

  /**
   * @param endpoint where the runner was
   * @param onGone called when it is gone, and every few seconds for as long as it is
   */
  constructor(
    private readonly endpoint: RunnerEndpoint,
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

  async #look(stopped: AbortSignal): Promise<void> {
    let since: number | null = null;
    const isStopped = (): boolean => stopped.aborted;
    while (!isStopped()) {
      const now = performance.now();
      since = (await this.endpoint.isDeserted()) ? (since ?? now) : null;
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
