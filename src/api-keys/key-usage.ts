import {
  type BeforeApplicationShutdown,
  Injectable,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
} from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { TenantScope } from '../database/tenant-scope.js';
import type { Verifier } from './keyed-verifier.js';

const WRITE_EVERY_MS = 3000;
/** Keys whose use waits to be written; while the database is away, the use of further keys is not counted. */
export const MAX_PENDING = 10_000;
/** Rows of one statement. */
const BATCH = 1000;

interface Use {
  readonly count: number;
  /** Of the last use; null when there is only a verifier to write. */
  readonly at: Date | null;
  readonly address: string | null;
  readonly verifier: Verifier | null;
}

const NOTHING: Use = { count: 0, at: null, address: null, verifier: null };

/** In the order of their ids, so that two gateways never wait for each other. */
const LOCK = 'SELECT 1 FROM api_keys WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE';
const WRITE = `
  UPDATE api_keys AS key SET
    use_count = key.use_count + used.count,
    last_used_at = greatest(key.last_used_at, used.at),
    last_used_ip = CASE WHEN used.at >= coalesce(key.last_used_at, used.at) THEN used.address ELSE key.last_used_ip END,
    verifier = coalesce(used.verifier, key.verifier),
    verifier_key = coalesce(used.verifier_key, key.verifier_key)
  FROM unnest($1::text[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[])
    AS used (id, count, at, address, verifier, verifier_key)
  WHERE key.id = used.id`;

/** When, from where and how often keys were used: written in batches every few seconds, never while a call waits. */
@Injectable()
export class KeyUsage implements OnApplicationBootstrap, OnModuleDestroy, BeforeApplicationShutdown {
  #pending = new Map<string, Use>();
  #writing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #failing = false;

  constructor(
    private readonly scope: TenantScope,
    private readonly logger: PinoLogger,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => void this.flush(), WRITE_EVERY_MS).unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
  }

  /** Before the data source is closed. */
  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.#timer);
    await this.flush();
  }

  /** @param now milliseconds since 1970 */
  note(id: string, address: string, now: number): void {
    this.#add(id, { ...NOTHING, count: 1, at: new Date(now), address });
  }

  /** Has the verifier of a key that bcrypt accepted written with the next batch. */
  keep(id: string, verifier: Verifier): void {
    this.#add(id, { ...NOTHING, verifier });
  }

  /** Writes what waits. Never rejects: what cannot be written waits on. */
  flush(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#flush());
    return this.#writing;
  }

  async #flush(): Promise<void> {
    const batches = [...this.#pending].sort(([a], [b]) => (a < b ? -1 : 1));
    this.#pending = new Map();
    while (batches.length > 0) {
      const batch = batches.splice(0, BATCH);
      try {
        await this.#write(batch);
        this.#failing = false;
      } catch (error) {
        if (!this.#failing) this.logger.warn({ err: error }, 'the use of API keys is not written');
        this.#failing = true;
        for (const [id, use] of [...batch, ...batches.splice(0)]) this.#add(id, use);
      }
    }
  }

  #write(batch: readonly (readonly [string, Use])[]): Promise<unknown> {
    const uses = batch.map(([, use]) => use);
    const ids = batch.map(([id]) => id);
    return this.scope.system(async (manager) => {
      await manager.query(LOCK, [ids]);
      await manager.query(WRITE, [
        ids,
        uses.map(({ count }) => count),
        uses.map(({ at }) => at),
        uses.map(({ address }) => address),
        uses.map(({ verifier }) => verifier?.verifier ?? null),
        uses.map(({ verifier }) => verifier?.verifierKey ?? null),
      ]);
    });
  }

  #add(id: string, use: Use): void {
    const before = this.#pending.get(id);
    if (before === undefined && this.#pending.size >= MAX_PENDING) return;
    this.#pending.set(id, before === undefined ? use : together(before, use));
  }
}

/** Two uses of one key as one; the later one says when and where. */
function together(a: Use, b: Use): Use {
  const later = (b.at?.getTime() ?? 0) >= (a.at?.getTime() ?? 0) ? b : a;
  const { at, address } = later;
  return { count: a.count + b.count, at, address, verifier: b.verifier ?? a.verifier };
}
