import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { InjectDataSource } from '@nestjs/typeorm';
import { PinoLogger } from 'nestjs-pino';
import type { ClientConfig } from 'pg';
import type { DataSource, EntityManager } from 'typeorm';
import { isId } from '../kernel/ids.js';
import { FeedConnection } from './feed-connection.js';
import { DATABASE_CONNECTION } from './security-feed.js';

const CHANNEL = 'gatehouse_changes';
/** How soon a connection that was lost is made again. */
const RETRY_MS = 1000;
/** How soon it is noticed that the other end is gone without a word. */
const PROBE_MS = 10_000;

/** What a change is about. */
const TOPICS = ['worktree', 'agent'] as const;
export type ChangeTopic = (typeof TOPICS)[number];

/** Hears of changes. */
export interface ChangeHearer {
  /** The thing of this id is not what it was, by this gateway's doing or another's. */
  changed(id: string): void;
  /** Nobody listened for a while: anything may have changed. */
  missed(): void;
}

/**
 * What clients may want to know at once, on whichever gateway it happened: that a thing changed, by its id. Nothing is
 * kept: who hears of it looks the thing up. What takes or gives rights is the security feed's, which forgets nothing.
 */
@Injectable()
export class ChangeFeed implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #hearers = new Map<ChangeTopic, ChangeHearer[]>();
  #connection: FeedConnection | null = null;
  #timers: NodeJS.Timeout[] = [];
  #connecting = false;
  #closed = false;
  #failing = false;

  constructor(
    @Inject(DATABASE_CONNECTION) private readonly config: ClientConfig,
    @InjectDataSource() private readonly dataSource: DataSource,
    private readonly logger: PinoLogger,
  ) {}

  /** Hears the changes of one topic. */
  on(topic: ChangeTopic, hearer: ChangeHearer): void {
    this.#hearers.set(topic, [...(this.#hearers.get(topic) ?? []), hearer]);
  }

  /**
   * Tells every gateway, this one too, that a thing changed.
   * @param manager of the transaction that changes it: it is told when that commits
   */
  async tell(topic: ChangeTopic, id: string, manager: EntityManager = this.dataSource.manager): Promise<void> {
    await manager.query('SELECT pg_notify($1, $2)', [CHANNEL, `${topic}:${id}`]);
  }

  async onApplicationBootstrap(): Promise<void> {
    await this.#connect();
    this.#every(RETRY_MS, () => this.#connect());
    this.#every(PROBE_MS, () => this.#probe());
  }

  onModuleDestroy(): void {
    this.#closed = true;
    this.#timers.forEach((timer) => {
      clearInterval(timer);
    });
    this.#connection?.end();
  }

  #every(milliseconds: number, work: () => Promise<void>): void {
    this.#timers.push(setInterval(() => void work(), milliseconds).unref());
  }

  /** Never rejects: it is tried again. */
  async #connect(): Promise<void> {
    if (this.#connection !== null || this.#connecting || this.#closed) return;
    this.#connecting = true;
    try {
      this.#keep(
        await FeedConnection.open({ ...this.config, application_name: 'gatehouse changes' }, CHANNEL, {
          notified: (payload) => {
            this.#hear(payload);
          },
          lost: (lost) => {
            this.#drop(lost);
          },
        }),
      );
    } catch (error) {
      if (!this.#failing) this.logger.warn({ err: error }, 'changes cannot be followed now');
      this.#failing = true;
    } finally {
      this.#connecting = false;
    }
  }

  #keep(connection: FeedConnection): void {
    if (this.#closed) {
      connection.end();
      return;
    }
    this.#connection = connection;
    this.#failing = false;
    for (const hearer of [...this.#hearers.values()].flat()) hearer.missed();
  }

  async #probe(): Promise<void> {
    const connection = this.#connection;
    await connection?.read('SELECT 1').catch(() => {
      this.#drop(connection);
    });
  }

  #drop(connection: FeedConnection): void {
    connection.end();
    if (this.#connection === connection) this.#connection = null;
  }

  /** Whoever may connect to the database may notify: what is not in our words is nothing. */
  #hear(payload: string): void {
    const at = payload.indexOf(':');
    const [topic, id] = [TOPICS.find((each) => each === payload.slice(0, at)), payload.slice(at + 1)];
    if (topic === undefined || !isId(id)) return;
    for (const hearer of this.#hearers.get(topic) ?? []) hearer.changed(id);
  }
}
