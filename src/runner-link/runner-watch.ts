import type { Log } from '../kernel/log.js';
import type { RunnerSession__Output } from '../generated/gatehouse/runner/v1/RunnerSession.js';
import type { WatchResponse__Output } from '../generated/gatehouse/runner/v1/WatchResponse.js';
import type { RunnerClient } from './runner-client.js';
import { UnrecordedChanges } from './unrecorded-changes.js';

const RETRY_MS = 500;

export interface RunnerWatcher {
  /**
   * The runner answers, and what changes from here on is told. Called again after every interruption, and until it
   * succeeds.
   */
  onConnected(): Promise<void>;
  /** A session ended, or has another size. Called again until it succeeds, unless more is told of the session. */
  onChanged(session: RunnerSession__Output): Promise<void>;
  /** The runner stopped answering. */
  onLost(): Promise<void>;
}

/** One watch of the runner. */
interface Feed {
  /** The runner answers. */
  connected: boolean;
  over: boolean;
  error: Error | undefined;
  /** Resolves when there is something to do. */
  news: PromiseWithResolvers<void>;
}

/** Follows the runner for as long as the gateway lives: who ended, and whether the runner itself is there. */
export class RunnerWatch {
  readonly #changes = new UnrecordedChanges();
  #stopped = false;
  #failing = false;
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

  /**
   * Until the stream ends, and what it told is taken in. Listing comes after the watch began, so that no end falls between
   * the two; one thing is done at a time. That something cannot be recorded says nothing of the runner: it is tried again.
   */
  async #follow(): Promise<void> {
    const feed = this.#listen();
    const isOver = (): boolean => feed.over;
    let listed = false;
    while (!isOver()) {
      await feed.news.promise;
      feed.news = Promise.withResolvers();
      let list: boolean = feed.connected && !listed;
      while (!(await this.#takeIn(list)) && !isOver()) {
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        list = feed.connected && !listed;
      }
      listed ||= list;
    }
    // What still cannot be recorded is taken in when the runner is followed again.
    if (!this.#changes.empty) await this.#takeIn(false);
    if (feed.connected && !this.#isStopped()) {
      this.client.endpoint.lost();
      await this.watcher.onLost();
    }
    if (!feed.connected && feed.error) throw feed.error;
  }

  /** Begins the watch; what it tells goes into `#changes` at once, so that it is never left unread. */
  #listen(): Feed {
    const stream = this.client.watch();
    this.#cancel = () => {
      stream.cancel();
    };
    const feed: Feed = { connected: false, over: false, error: undefined, news: Promise.withResolvers() };
    stream.on('data', ({ changed }: WatchResponse__Output) => {
      if (changed) this.#changes.add(changed);
      else feed.connected = true;
      feed.news.resolve();
    });
    const finish = (error?: Error): void => {
      feed.over = true;
      feed.error ??= error;
      feed.news.resolve();
    };
    stream.on('error', finish).on('end', () => {
      finish();
    });
    return feed;
  }

  /** @returns whether everything that was told is on record */
  async #takeIn(list: boolean): Promise<boolean> {
    try {
      await this.#changes.record((session) => this.watcher.onChanged(session));
      if (list) await this.watcher.onConnected();
      if (this.#failing) this.logger.info({}, 'runner events are recorded again');
      this.#failing = false;
      return true;
    } catch (error) {
      if (!this.#failing) this.logger.error({ err: error }, 'runner events cannot be recorded now');
      this.#failing = true;
      return false;
    }
  }

  /** A method, because others change it while `#run` awaits. */
  #isStopped(): boolean {
    return this.#stopped;
  }
}
