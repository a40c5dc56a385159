import { createHash } from 'node:crypto';
import { createClient } from '@redis/client';
import type { Log } from '../kernel/log.js';
import type { Rate } from '../kernel/gcra.js';

/** How long an answer may take: a call waits for it. */
const ANSWER_MS = 150;
const CONNECT_MS = 2000;
/** How often a Redis that did not answer is asked whether it does again. */
const PROBE_MS = 500;
const RECONNECT_MS = 500;
/** Questions that wait for their answers; with more Redis is too slow. */
const MAX_WAITING = 1000;
/** The version of what is kept under a name; one that means something else gets another number. */
const PREFIX = 'gatehouse:bucket:1:';

/**
 * GCRA as in kernel/gcra.ts, on Redis' own clock, which is the same for all gateways. What is kept is when the bucket is full,
 * in milliseconds, and it is gone once it is. Answers whether it was allowed, and microseconds until the bucket is full.
 */
const SCRIPT = `
local t = redis.call('TIME')
local now = t[1] * 1000 + t[2] / 1000
local every, burst, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local holds = every * burst
local debt = math.min(math.max((tonumber(redis.call('GET', KEYS[1]) or '0') or 0) - now, 0), holds)
local after = math.max(debt + every * cost, 0)
if after > holds + 0.001 then return {0, math.floor(debt * 1000)} end
redis.call('SET', KEYS[1], string.format('%.3f', now + after), 'PX', math.max(1, math.ceil(after)))
return {1, math.floor(after * 1000)}`;
const SCRIPT_SHA = createHash('sha1').update(SCRIPT).digest('hex');

/** What Redis said: whether it was allowed, and how long until the bucket is full. */
export interface SharedTaken {
  readonly allowed: boolean;
  readonly resetMs: number;
}

type Client = ReturnType<typeof connection>;

const connection = (url: string) =>
  createClient({
    url,
    RESP: 2,
    socket: { connectTimeout: CONNECT_MS, reconnectStrategy: () => RECONNECT_MS },
    disableOfflineQueue: true,
    commandsQueueMaxLength: MAX_WAITING,
  });

/** Buckets that several gateways share. One that cannot say in time is away until it answers again. */
export class RedisBuckets {
  readonly #client: Client;
  #usable = false;
  /** What was told last; nothing yet. */
  #told: boolean | null = null;
  #waiting = 0;
  #probing: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param url `redis://` or `rediss://`, a secret */
  constructor(
    url: string,
    private readonly logger: Log,
  ) {
    this.#client = connection(url);
    this.#client.on('ready', () => void this.#probe());
    this.#client.on('error', (error: unknown) => {
      this.#away(error);
    });
    this.#client.connect().catch((error: unknown) => {
      this.#away(error);
    });
  }

  /** Whether it is there. While it is not nothing is asked. */
  get usable(): boolean {
    return this.#usable;
  }

  /**
   * Takes one from the bucket of this name, or with a cost of -1 gives it back.
   * @throws Error when Redis does not say in time, and is away from then on
   */
  async take(name: string, { everyMs, burst }: Rate, cost: 1 | -1 = 1): Promise<SharedTaken> {
    try {
      if (this.#waiting >= MAX_WAITING) throw new Error('Too many questions wait for their answers.');
      const key = PREFIX + createHash('sha256').update(name).digest('base64url');
      const answer = await this.#inTime(() => this.#run(key, [String(everyMs), String(burst), String(cost)]));
      return readAnswer(answer);
    } catch (error) {
      this.#away(error);
      throw error;
    }
  }

  close(): void {
    this.#closed = true;
    this.#usable = false;
    clearTimeout(this.#probing);
    if (this.#client.isOpen) this.#client.destroy();
  }

  async #run(key: string, values: string[]): Promise<unknown> {
    const options = { keys: [key], arguments: values };
    try {
      return await this.#client.evalSha(SCRIPT_SHA, options);
    } catch (error) {
      // A Redis that was started anew does not know it yet.
      if (error instanceof Error && error.message.startsWith('NOSCRIPT')) return this.#client.eval(SCRIPT, options);
      throw error;
    }
  }

  async #inTime<T>(ask: () => Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        // If it was this process that was late, the answer is there and is read first.
        setImmediate(() => {
          reject(new Error(`No answer within ${ANSWER_MS} ms.`));
        });
      }, ANSWER_MS);
    });
    this.#waiting += 1;
    const answer = ask().finally(() => (this.#waiting -= 1));
    return Promise.race([answer, late]).finally(() => {
      clearTimeout(timer);
    });
  }

  #away(error: unknown): void {
    if (this.#closed) return;
    this.#usable = false;
    if (this.#told !== false) {
      this.#told = false;
      this.logger.warn({ err: error }, 'Redis is away: limits count on this gateway alone');
    }
    this.#probeSoon();
  }

  #probeSoon(): void {
    this.#probing ??= setTimeout(() => {
      this.#probing = undefined;
      void this.#probe();
    }, PROBE_MS).unref();
  }

  /** It is back when it can do what it is there for. */
  async #probe(): Promise<void> {
    if (this.#closed || this.#usable) return;
    try {
      if (!this.#client.isReady) throw new Error('There is no connection.');
      readAnswer(await this.#inTime(() => this.#run(`${PREFIX}probe`, ['1', '1000', '0'])));
    } catch (error) {
      this.#away(error);
      return;
    }
    this.#usable = true;
    const before = this.#told;
    this.#told = true;
    if (before !== true) this.logger.info({}, 'Redis answers: limits are shared among the gateways');
  }
}

function readAnswer(answer: unknown): SharedTaken {
  const [allowed, microseconds] = Array.isArray(answer) ? (answer as unknown[]) : [];
  if (typeof allowed !== 'number' || typeof microseconds !== 'number')
    throw new Error('Redis answered something else.');
  return { allowed: allowed === 1, resetMs: microseconds / 1000 };
}
