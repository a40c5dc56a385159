import { type BeforeApplicationShutdown, Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../../config/load.js';
import { isRowRefused } from '../../database/errors.js';
import { type Clock } from '../../kernel/clock.js';
import { DomainError } from '../../kernel/errors.js';
import { newId } from '../../kernel/ids.js';
import type { Log } from '../../kernel/log.js';
import { systemContext } from '../../kernel/request-context.js';
import { CLOCK } from '../../kernel/tokens.js';
import { EventStore } from '../chain/event-store.js';
import { type AuditDraft, toDraft } from './audit-event.js';
import { AUDIT_LOG } from './audit-log.js';
import { EventTeller } from './event-teller.js';
import { Spool } from './spool.js';

/** Events that may wait for their commit; past it the trail is unavailable rather than the memory. */
export const MAX_WAITING = 20_000;
/** Room that only those have who wait for their commit: what is merely noted cannot keep anybody from working. */
export const RESERVED = 1000;
const MAX_BATCH = 500;
/** How often PostgreSQL is tried while it is away. */
const RETRY_MS = 500;
/** With less in the spool, who comes while it is put into the table can wait for that. */
const SOON_BYTES = 4 * 1024 * 1024;
/** How long a stop waits for the last rows. */
const FLUSH_ON_STOP_MS = 5000;

interface Settle {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Waiting {
  readonly draft: AuditDraft;
  /** Absent when nobody waits. */
  readonly settle?: Settle;
  /** It is in the table, or will never be. */
  done?: boolean;
}

/** What the writer has done since it was started. */
export interface WriterFigures {
  written: number;
  spooled: number;
  failures: number;
  refused: number;
  dropped: number;
}

/**
 * Writes audit events by group commit: what arrives while one batch commits is the next batch, so concurrent requests
 * share a commit and each waits for its own. While PostgreSQL is away events go to the spool, and from there to the table,
 * in order, when it is back. An event is told in the log once it is safe.
 */
@Injectable()
export class AuditWriter implements BeforeApplicationShutdown {
  readonly figures: WriterFigures = { written: 0, spooled: 0, failures: 0, refused: 0, dropped: 0 };
  readonly #teller: EventTeller;
  readonly #commitListeners: ((seconds: number) => void)[] = [];
  #waiting: Waiting[] = [];
  #running = false;
  #busy = false;
  #stopped = false;
  #wake: (() => void) | null = null;
  /** When PostgreSQL is tried again; null while it takes events directly. */
  #awayUntil: number | null = null;
  /** PostgreSQL takes what is in the spool: what comes meanwhile goes behind it, and is safe soon. */
  #replaying = false;
  /** Who waits for events that went behind the spool, by the event's id. */
  readonly #behind = new Map<string, Settle>();
  #spoolBroken = false;
  /** Dropped and not told in the trail yet. */
  #untold = 0;

  constructor(
    private readonly store: EventStore,
    private readonly spool: Spool,
    @Inject(CONFIG) private readonly config: Pick<Config, 'AUDIT_FAIL_MODE'>,
    @Inject(AUDIT_LOG) private readonly log: Log,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#teller = new EventTeller(log);
    // What an earlier process left behind comes first.
    if (spool.bytes > 0) {
      [this.#awayUntil, this.#replaying] = [0, true];
      void this.#run();
    }
  }

  /** Whether what is done now can be put on record before it is confirmed. */
  get healthy(): boolean {
    if (this.#awayUntil === null) return true;
    return this.spoolUsable && (this.#spools || (this.#replaying && this.spool.bytes < SOON_BYTES));
  }

  /** Whether events would be safe without PostgreSQL. */
  get spoolUsable(): boolean {
    return !this.#spoolBroken && this.spool.hasRoom;
  }

  /** Calls back for every event that is safe, in order. */
  onEvent(listener: (draft: AuditDraft) => void): void {
    this.#teller.onSafe(listener);
  }

  /** Calls back with the time that PostgreSQL took for each batch that it took. */
  onCommit(listener: (seconds: number) => void): void {
    this.#commitListeners.push(listener);
  }

  /** Resolves when the event is safe. @throws DomainError AUDIT_UNAVAILABLE; it may be on record all the same */
  commit(draft: AuditDraft): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.#enqueue({ draft, settle: { resolve, reject } }, MAX_WAITING)) reject(unavailable());
    });
  }

  /** Writes the event as soon as can be. */
  enqueue(draft: AuditDraft): void {
    if (!this.#enqueue({ draft }, MAX_WAITING - RESERVED)) this.#drop(draft);
  }

  /**
   * The same for what its teller keeps, who tells it again: nothing is lost when there is no room for it.
   * @returns true when it is safe; false when that is not known
   */
  keep(draft: AuditDraft): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = {
        resolve: (): void => {
          resolve(true);
        },
        reject: (): void => {
          resolve(false);
        },
      };
      if (!this.#enqueue({ draft, settle }, MAX_WAITING - RESERVED)) resolve(false);
    });
  }

  /** The data source closes later, in onApplicationShutdown. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.flush();
    this.#stopped = true;
    this.#wake?.();
    for (const { draft, settle } of this.#waiting) {
      this.#teller.unwritten(draft);
      settle?.reject(unavailable());
    }
    this.#rejectBehind();
    await this.spool.close();
  }

  /** Waits until everything is safe, for a bounded time. */
  async flush(): Promise<void> {
    const deadline = this.clock.now() + FLUSH_ON_STOP_MS;
    while ((this.#waiting.length > 0 || this.#busy) && this.clock.now() < deadline) await pause(10);
  }

  get #spools(): boolean {
    return this.config.AUDIT_FAIL_MODE === 'spool';
  }

  #enqueue(item: Waiting, room: number): boolean {
    if (this.#stopped || this.#waiting.length >= room) return false;
    this.#waiting.push(item);
    if (!this.#running) void this.#run();
    this.#wake?.();
    return true;
  }

  /** One batch after the other, until there is nothing to write and nothing to replay. */
  async #run(): Promise<void> {
    this.#running = true;
    // One turn of the event loop lets requests that arrived together share the first batch too.
    await new Promise((resolve) => setImmediate(resolve));
    while (!this.#stopped && (this.#waiting.length > 0 || this.#awayUntil !== null)) {
      this.#busy = true;
      await (this.#awayUntil === null ? this.#writeNext() : this.#getBy(this.#awayUntil));
      this.#busy = false;
      if (this.#awayUntil !== null && (this.#waiting.length === 0 || this.#spoolBroken)) await this.#retryTime();
    }
    // In the same step as the last look at the queue: what comes later starts a run of its own.
    this.#running = false;
  }

  /** Until PostgreSQL is tried again, or there is something to put into the spool. */
  async #retryTime(): Promise<void> {
    const left = (this.#awayUntil ?? 0) - performance.now();
    if (left <= 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, left);
      this.#wake = () => {
        // An unusable spool is not tried for each event.
        if (this.#spoolBroken && !this.#stopped) return;
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }

  async #writeNext(): Promise<void> {
    const batch = this.#waiting.splice(0, MAX_BATCH);
    try {
      await this.#write(batch);
      this.#tellDropped();
    } catch (error) {
      this.#postpone(error);
      await this.#spoolBatch(batch.filter(({ done }) => done !== true));
    }
  }

  /** PostgreSQL is away: what came meanwhile goes to the spool, and when it is time what is in it to the table. */
  async #getBy(until: number): Promise<void> {
    if (this.#waiting.length > 0) await this.#spoolBatch(this.#waiting.splice(0, MAX_BATCH));
    if (performance.now() < until) return;
    try {
      await this.#replay();
    } catch (error) {
      this.#postpone(error);
    }
  }

  /** @throws the driver's error when PostgreSQL is still away */
  async #replay(): Promise<void> {
    let replayed = 0;
    for (;;) {
      const page = await this.spool.next();
      if (page === null) break;
      await this.#write(
        page.drafts.map((draft) => ({ draft, ...this.#settleOf(draft) })),
        { told: true },
      );
      for (const { event } of page.drafts) this.#behind.delete(event.id);
      for (const line of page.broken) this.#dropBroken(line);
      await this.spool.advance();
      this.#replaying = true;
      replayed += page.drafts.length;
      if (this.#waiting.length > 0) await this.#spoolBatch(this.#waiting.splice(0, MAX_BATCH));
      // Without a place for them they stay in memory, behind what is in the spool.
      if (this.#spoolBroken || this.#stopped) break;
    }
    if (this.spool.bytes > 0) return;
    // Where nothing could be spooled, this is what shows whether PostgreSQL is back.
    await this.#writeKept();
    this.#awayUntil = null;
    this.#replaying = false;
    this.#spoolBroken = false;
    if (replayed > 0) this.log.info({ events: replayed }, 'audit events of the spool are in the table');
  }

  /**
   * Writes events, and leaves out those that PostgreSQL refuses: they would be refused for ever. They are found by halving.
   * @throws the driver's error when nothing can be written now; nobody was told then
   */
  async #write(batch: readonly Waiting[], { told = false } = {}): Promise<void> {
    if (batch.length === 0) return;
    try {
      const began = performance.now();
      const stored = await this.store.append(batch.map(({ draft }) => draft));
      for (const listener of this.#commitListeners) listener((performance.now() - began) / 1000);
      this.figures.written += stored.length;
      stored.forEach(({ draft, place }, index) => {
        if (!told) this.#teller.safe(draft, place);
        const waiting = batch[index];
        if (waiting) waiting.done = true;
        waiting?.settle?.resolve();
      });
    } catch (error) {
      if (!isRowRefused(error) && !(error instanceof RangeError || error instanceof TypeError)) throw error;
      const [only] = batch;
      if (only !== undefined && batch.length === 1) {
        only.done = true;
        this.#refuse(only, error);
        return;
      }
      const half = batch.length >> 1;
      await this.#write(batch.slice(0, half), { told });
      await this.#write(batch.slice(half), { told });
    }
  }

  async #spoolBatch(batch: readonly Waiting[]): Promise<void> {
    try {
      await this.spool.append(batch.map(({ draft }) => draft));
      if (this.#spoolBroken) this.log.info({}, 'the spool of the audit trail can be written again');
      this.#spoolBroken = false;
      this.figures.spooled += batch.length;
      for (const { draft, settle } of batch) {
        this.#teller.safe(draft, null);
        if (settle === undefined) continue;
        if (this.#spools) settle.resolve();
        else if (this.#replaying) this.#behind.set(draft.event.id, settle);
        else settle.reject(unavailable());
      }
    } catch (error) {
      this.figures.failures += 1;
      if (!this.#spoolBroken) this.log.error({ err: error }, 'audit events cannot be spooled, they wait in memory');
      this.#spoolBroken = true;
      for (const { settle } of batch) settle?.reject(unavailable(error));
      // It happened, whoever was told what: it is written when it can be.
      this.#waiting = [...batch.map(({ draft }) => ({ draft })), ...this.#waiting];
    }
  }

  /** The first of what waits in memory. @throws the driver's error; then it waits on */
  async #writeKept(): Promise<void> {
    const batch = this.#waiting.splice(0, MAX_BATCH);
    try {
      await this.#write(batch);
    } catch (error) {
      this.#waiting = [...batch.filter(({ done }) => done !== true), ...this.#waiting];
      throw error;
    }
  }

  #settleOf({ event: { id } }: AuditDraft): { settle?: Settle } {
    const settle = this.#behind.get(id);
    return settle === undefined ? {} : { settle };
  }

  /** What they wait for is safe in the spool, and not in the table in time. */
  #rejectBehind(cause?: unknown): void {
    for (const { reject } of this.#behind.values()) reject(unavailable(cause));
    this.#behind.clear();
  }

  #postpone(error: unknown): void {
    this.figures.failures += 1;
    this.#replaying = false;
    this.#rejectBehind(error);
    if (this.#awayUntil === null || this.#awayUntil === 0)
      this.log.error({ err: error, rows: this.#waiting.length }, 'audit rows cannot be written now');
    this.#awayUntil = performance.now() + RETRY_MS;
  }

  /** An event that cannot be in the table; the trail says that there was one. */
  #refuse({ draft, settle }: Waiting, cause: unknown): void {
    this.figures.refused += 1;
    this.#teller.refused(draft, cause);
    settle?.reject(unavailable(cause));
    const { id, action } = draft.event;
    // A gap that is refused as well would go on for ever.
    if (action !== 'audit.gap') this.#noteGap({ events: 1, refused: id, refused_action: action });
  }

  #dropBroken(line: string): void {
    this.figures.refused += 1;
    this.#teller.broken(line);
    this.#noteGap({ events: 1, refused: null, refused_action: null });
  }

  #drop(draft: AuditDraft): void {
    this.figures.dropped += 1;
    this.#untold += 1;
    this.#teller.dropped(draft);
  }

  #tellDropped(): void {
    if (this.#untold === 0) return;
    const events = this.#untold;
    this.#untold = 0;
    this.#noteGap({ events, refused: null, refused_action: null });
  }

  #noteGap(metadata: { events: number; refused: string | null; refused_action: string | null }): void {
    const fact = { action: 'audit.gap', resource: null, success: false, metadata } as const;
    const draft = toDraft(newId(), this.clock.microseconds(), systemContext(), fact);
    // The queue may be full of what could not be written until now.
    if (!this.#enqueue({ draft }, MAX_WAITING)) this.#drop(draft);
  }
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const unavailable = (cause?: unknown): DomainError =>
  new DomainError('AUDIT_UNAVAILABLE', 'The audit record cannot be written now, so nothing was confirmed.', { cause });
