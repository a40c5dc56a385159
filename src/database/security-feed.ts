import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import type { ClientConfig } from 'pg';
import { CONFIG, type Config } from '../config/load.js';
import { DomainError } from '../kernel/errors.js';
import { FeedConnection, type Read } from './feed-connection.js';

/** Injection token of how the database is reached, for the feed's own connection. */
export const DATABASE_CONNECTION = Symbol('DATABASE_CONNECTION');

/** What a change is about; `key` is the id of the revocation, binding, session or key, or the subject as JSON. */
export type SecurityTopic = 'revocation' | 'binding' | 'share' | 'api_key' | 'subject';

export interface SecurityChange {
  readonly tenant: string;
  readonly key: string;
}

/**
 * Takes changes in; what it needs of the database it reads with `read`. Rejecting, or taking longer than five seconds,
 * leaves them unseen: they, and those of other topics with them, come again with the next look.
 */
export type ChangeListener = (changes: readonly SecurityChange[], read: Read) => Promise<void>;

/** Takes everything in anew; may take longer. */
export type ResetListener = (read: Read) => Promise<void>;

/** What the triggers notify. */
const CHANNEL = 'gatehouse_security';
/** A change is told by NOTIFY at once; this is for the one that is not. */
const LOOK_EVERY_MS = 500;
/** How long a listener may take for changes, and for everything. */
const CHANGES_MS = 5000;
const RESET_MS = 30_000;
const MAX_CHANGES = 1000;
const PRUNE_EVERY_MS = 600_000;
/** A gateway that was away for longer loads everything anew. */
const KEPT = '1 hour';

/** From the last change that was taken in, which has to be there still, the same as it was. */
const LOOK = `
  SELECT clock.seq AS now, newest.id AS newest, change.seq, change.id, change.topic, change.tenant, change.key
  FROM security_clock AS clock
  LEFT JOIN security_changes AS newest ON newest.seq = clock.seq
  LEFT JOIN LATERAL (
    SELECT * FROM security_changes WHERE seq >= $1 ORDER BY seq LIMIT ${MAX_CHANGES + 1}) AS change ON true
  ORDER BY change.seq`;

/** The newest stays, however old: it is what the next one is known to follow on. */
const PRUNE = `
  DELETE FROM security_changes
  WHERE at < now() - interval '${KEPT}' AND seq < (SELECT seq FROM security_clock)`;

interface Row {
  /** bigint, as text. */
  readonly now: string;
  readonly newest: string | null;
  readonly seq: string | null;
  readonly id: string;
  readonly topic: SecurityTopic;
  readonly tenant: string;
  readonly key: string;
}

type Change = Row & { readonly seq: string };

/** The last change taken in: its number, and which change had it. */
interface Seen {
  readonly seq: string;
  readonly id: string | null;
}

/**
 * What took or gave rights, on this gateway or another, heard within a second: revocations, bindings, shares, keys. It
 * has a connection of its own, so that a busy pool delays nothing, and it knows how old its knowledge is.
 */
@Injectable()
export class SecurityFeed implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #listeners = new Map<SecurityTopic, ChangeListener[]>();
  readonly #resets: ResetListener[] = [];
  readonly #applied: (() => void)[] = [];
  readonly #maxAge: number;
  #connection: FeedConnection | null = null;
  /** Null until everything was loaded, once on each connection: another database may answer on the next. */
  #seen: Seen | null = null;
  /** Monotonic, milliseconds: when the last look began that was completed. */
  #freshAt = -Infinity;
  #looking: Promise<void> | null = null;
  #again = false;
  #closed = false;
  #failing = false;
  #timers: NodeJS.Timeout[] = [];

  constructor(
    @Inject(DATABASE_CONNECTION) private readonly config: ClientConfig,
    @Inject(CONFIG) { AUTH_STATE_MAX_AGE_SECONDS }: Config,
    private readonly logger: PinoLogger,
  ) {
    this.#maxAge = AUTH_STATE_MAX_AGE_SECONDS * 1000;
  }

  /** Hears the changes of one topic, in their order. */
  on(topic: SecurityTopic, listener: ChangeListener): void {
    this.#listeners.set(topic, [...(this.#listeners.get(topic) ?? []), listener]);
  }

  /** Loads everything: at the start, on each new connection, and when changes were missed. */
  onReset(load: ResetListener): void {
    this.#resets.push(load);
  }

  /** Called after changes were taken in. */
  onApplied(listener: () => void): void {
    this.#applied.push(listener);
  }

  /** Is what is known young enough to decide by? */
  get fresh(): boolean {
    return performance.now() - this.#freshAt <= this.#maxAge;
  }

  /** @throws DomainError AUTH_STATE_UNAVAILABLE when the store has been away for too long: fail closed */
  requireFresh(): void {
    if (!this.fresh) {
      throw new DomainError('AUTH_STATE_UNAVAILABLE', 'What was revoked cannot be known now.', {
        reason: 'state_stale',
      });
    }
  }

  /**
   * Takes in what was committed before this call, so that the answer to a change is given when it is in force here. Also
   * resolves when that failed, after seconds: the change is committed and is not to be told as refused. Then it is in
   * force with the next look that succeeds, and until then this gateway's knowledge grows old.
   */
  async catchUp(): Promise<void> {
    await this.#looking;
    await this.#look();
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.#look();
    if (this.#seen === null) throw new Error('The state of keys, bindings and revocations cannot be loaded.');
    this.#every(LOOK_EVERY_MS, () => this.#look());
    this.#every(PRUNE_EVERY_MS, () => this.#prune());
  }

  onModuleDestroy(): Promise<void> {
    this.#closed = true;
    this.#timers.forEach((timer) => {
      clearInterval(timer);
    });
    this.#dropConnection();
    return Promise.resolve();
  }

  #every(milliseconds: number, work: () => Promise<void>): void {
    this.#timers.push(setInterval(() => void work(), milliseconds).unref());
  }

  /** One look at a time; what is asked for meanwhile is one more look. Never rejects. */
  #look(): Promise<void> {
    if (this.#looking !== null) {
      this.#again = true;
      return this.#looking;
    }
    this.#looking = this.#lookOnce().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async #lookOnce(): Promise<void> {
    do {
      this.#again = false;
      const began = performance.now();
      try {
        if (await this.#takeIn()) this.#again = true;
        this.#freshAt = began;
        if (this.#failing) this.logger.info('the state of keys, bindings and revocations is known again');
        this.#failing = false;
      } catch (error) {
        if (this.#closed) return;
        if (!this.#failing) this.logger.error({ err: error }, 'the state of keys, bindings and revocations grows old');
        this.#failing = true;
        this.#dropConnection();
        return;
      }
    } while (this.#again);
  }

  /** @returns whether there may be more */
  async #takeIn(): Promise<boolean> {
    const { read } = (this.#connection ??= await this.#connect());
    const rows = await read<Row>(LOOK, [this.#seen?.seq ?? '0']);
    const [first] = rows;
    if (!first) throw new Error('security_clock has no row');
    const [last, ...changes] = rows.filter((row): row is Change => row.seq !== null);
    if (this.#seen === null || last?.seq !== this.#seen.seq || last.id !== this.#seen.id) {
      await this.#tell(this.#resets.map((load) => () => before(RESET_MS, load(read))));
      this.#seen = { seq: first.now, id: first.newest };
      return false;
    }
    const newest = changes.at(-1);
    if (newest === undefined) return false;
    const told = [...grouped(changes)].flatMap(([topic, group]) =>
      (this.#listeners.get(topic) ?? []).map((listen) => () => before(CHANGES_MS, listen(group, read))),
    );
    await this.#tell(told);
    this.#seen = { seq: newest.seq, id: newest.id };
    return changes.length === MAX_CHANGES;
  }

  /**
   * Tells all of them, one after the other: one that fails keeps nothing from the others.
   * @throws what the first one that failed threw
   */
  async #tell(listeners: readonly (() => Promise<void>)[]): Promise<void> {
    const failures: unknown[] = [];
    for (const listen of listeners) await listen().catch((error: unknown) => failures.push(error));
    this.#applied.forEach((applied) => {
      applied();
    });
    if (failures.length > 0) throw failures[0];
  }

  async #connect(): Promise<FeedConnection> {
    this.#seen = null;
    const connection = await FeedConnection.open(this.config, CHANNEL, {
      notified: () => void this.#look(),
      lost: (lost) => {
        if (this.#connection === lost) this.#dropConnection();
      },
    });
    if (!this.#closed) return connection;
    connection.end();
    throw new Error('closed');
  }

  #dropConnection(): void {
    this.#connection?.end();
    this.#connection = null;
  }

  async #prune(): Promise<void> {
    try {
      await this.#connection?.read(PRUNE);
    } catch (error) {
      this.logger.warn({ err: error }, 'old security changes not removed');
    }
  }
}

/** @throws Error when the work takes longer than so many milliseconds */
async function before(milliseconds: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_done, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`not taken in within ${milliseconds} ms`));
    }, milliseconds);
  });
  await Promise.race([work, late]).finally(() => {
    clearTimeout(timer);
  });
}

function grouped(changes: readonly Row[]): Map<SecurityTopic, SecurityChange[]> {
  const groups = new Map<SecurityTopic, SecurityChange[]>();
  for (const { topic, tenant, key } of changes) {
    const group = groups.get(topic) ?? [];
    group.push({ tenant, key });
    groups.set(topic, group);
  }
  return groups;
}
