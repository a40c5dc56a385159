import type { Log } from '../kernel/log.js';
import type { RunnerSession__Output } from '../generated/gatehouse/runner/v1/RunnerSession.js';
import type { WatchResponse__Output } from '../generated/gatehouse/runner/v1/WatchResponse.js';
import type { RunnerClient } from './runner-client.js';

const RETRY_MS = 500;

export interface RunnerWatcher {
  /** The runner answers, and what changes from here on is told. Called again after every interruption. */
  onConnected(): Promise<void>;
  /** A session ended, or has another size. */
  onChanged(session: RunnerSession__Output): Promise<void>;
  /** The runner stopped answering. */
  onLost(): Promise<void>;
}

/** Follows the runner for as long as the gateway lives: who ended, and whether the runner itself is there. */
export class RunnerWatch {
  #stopped = false;
  #cancel: (() => void) | null = null;
  #running: Promise<void> = Promise.resolve();

  /** @param ensure brings a runner back where this gateway may (embedded), else just checks */
  constructor(
    private readonly client: RunnerClient,
    private readonly watcher: RunnerWatcher,
    private readonly ensure: () => Promise<unknown>,
    private readonly logger: Log,
  ) {}

  start(): void {
    this.#running = this.#run();
  }

  /** The runner is about to be ended: what it still tells is taken in, and no other one is looked for. */
  expectEnd(): void {
    this.#stopped = true;
  }

  /** Stops following; resolves when what was told until now is taken in. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped()) {
      try {
        await this.ensure();
        if (!this.#isStopped()) await this.#follow();
      } catch (error) {
        if (!this.#isStopped()) this.logger.warn({ err: error }, 'runner not reachable');
      }
      if (this.#isStopped()) return;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  /** Until the stream ends. Listing comes after the watch began, so that no end falls between the two. */
  #follow(): Promise<void> {
    return new Promise((resolve, reject) => {
      const stream = this.client.watch();
      let connected = false;
      // One thing at a time and in order: an end must not overtake the list.
      let work: Promise<void> = Promise.resolve();
      const then = (next: () => Promise<void>): void => {
        work = work.then(next).catch((error: unknown) => {
          this.logger.error({ err: error }, 'runner event could not be recorded');
          stream.cancel();
        });
      };
      this.#cancel = () => {
        stream.cancel();
      };
      stream.on('data', ({ changed }: WatchResponse__Output) => {
        if (changed) then(() => this.watcher.onChanged(changed));
        else {
          connected = true;
          then(() => this.watcher.onConnected());
        }
      });
      const finish = (error?: Error): void => {
        stream.removeAllListeners();
        stream.on('error', () => undefined);
        if (connected && !this.#isStopped()) then(() => this.watcher.onLost());
        void work.then(() => {
          if (connected || error === undefined) resolve();
          else reject(error);
        });
      };
      stream.on('error', finish);
      stream.on('end', () => {
        finish();
      });
    });
  }

  /** A method, because others change it while `#run` awaits. */
  #isStopped(): boolean {
    return this.#stopped;
  }
}
