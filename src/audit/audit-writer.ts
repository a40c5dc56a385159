import { type BeforeApplicationShutdown, Inject, Injectable } from '@nestjs/common';
import { isRowRefused } from '../database/errors.js';
import { TenantScope } from '../database/tenant-scope.js';
import { type Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import type { Log } from '../kernel/log.js';
import { CLOCK } from '../kernel/tokens.js';
import type { AuditEvent } from './audit-event.js';
import { AUDIT_LOG } from './audit-log.js';

/** Events that may wait for their commit; past it the trail is unavailable rather than the memory. */
export const MAX_WAITING = 20_000;
/** Room that only those have who wait for their commit: what is merely noted cannot keep anybody from working. */
export const RESERVED = 1000;
const MAX_BATCH = 500;
const RETRY_MS = 500;
/** How long a stop waits for the last rows. */
const FLUSH_ON_STOP_MS = 5000;

const COLUMNS = [
  ['id', 'uuid'],
  ['timestamp', 'timestamptz'],
  ['tenant', 'text'],
  ['user_id', 'text'],
  ['principal_kind', 'text'],
  ['auth_method', 'text'],
  ['credential_id', 'text'],
  ['action', 'text'],
  ['resource', 'text'],
  ['success', 'boolean'],
  ['reason', 'text'],
  ['level', 'text'],
  ['transport', 'text'],
  ['remote_addr', 'text'],
  ['user_agent', 'text'],
  ['request_id', 'text'],
  ['trace_id', 'text'],
  ['metadata', 'jsonb'],
  ['node', 'text'],
] as const satisfies readonly (readonly [keyof AuditEvent, string])[];

const NAMES = COLUMNS.map(([name]) => `"${name}"`).join(', ');
/** One round trip and one commit for a whole batch. The id is the key, so a repeated write adds nothing. */
const INSERT =
  `INSERT INTO audit_events (${NAMES}) SELECT * FROM unnest(` +
  `${COLUMNS.map(([, type], index) => `$${index + 1}::${type}[]`).join(', ')}) ON CONFLICT (id) DO NOTHING`;

interface Waiting {
  readonly event: AuditEvent;
  /** Absent when nobody waits: such an event is retried until it is written. */
  readonly settle?: { resolve: () => void; reject: (error: Error) => void };
}

/**
 * Writes audit rows by group commit: what arrives while one batch commits is the next batch, so concurrent requests
 * share a commit and each waits for its own.
 */
@Injectable()
export class AuditWriter implements BeforeApplicationShutdown {
  #waiting: Waiting[] = [];
  #writing: Promise<void> | null = null;
  #failing = false;

  constructor(
    private readonly scope: TenantScope,
    @Inject(AUDIT_LOG) private readonly log: Log,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Whether the last write reached the database. */
  get healthy(): boolean {
    return !this.#failing;
  }

  /** Resolves when the row is committed. @throws DomainError AUDIT_UNAVAILABLE */
  commit(event: AuditEvent): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.#enqueue({ event, settle: { resolve, reject } })) reject(unavailable());
    });
  }

  /** Writes the row as soon as can be; it waits in memory while the database is away. */
  enqueue(event: AuditEvent): void {
    // The log line was written already, so the fact is not lost; the row is, and loudly.
    if (!this.#enqueue({ event }, MAX_WAITING - RESERVED))
      this.log.error({ auditEventId: event.id }, 'audit queue full, row not written');
  }

  /** The data source closes later, in onApplicationShutdown. */
  async beforeApplicationShutdown(): Promise<void> {
    await this.flush();
  }

  /** Waits until everything is written, for a bounded time. */
  async flush(): Promise<void> {
    const deadline = this.clock.now() + FLUSH_ON_STOP_MS;
    while (this.#writing !== null && this.clock.now() < deadline) {
      await Promise.race([this.#writing, new Promise((resolve) => setTimeout(resolve, 100))]);
    }
    if (this.#waiting.length > 0) this.log.error({ rows: this.#waiting.length }, 'audit rows not written at stop');
  }

  #enqueue(item: Waiting, room = MAX_WAITING): boolean {
    if (this.#waiting.length >= room) return false;
    this.#waiting.push(item);
    this.#writing ??= this.#run();
    return true;
  }

  async #run(): Promise<void> {
    // One turn of the event loop lets requests that arrived together share the first batch too.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, MAX_BATCH);
      const unwritten = await this.#write(batch);
      if (unwritten.length === 0) continue;
      this.#waiting = [...unwritten, ...this.#waiting];
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    // In the same step as the last look at the queue: what comes later starts a run of its own.
    this.#writing = null;
  }

  /** Writes a batch; returns what must be tried again. Those who wait are told at once. */
  async #write(batch: readonly Waiting[]): Promise<Waiting[]> {
    try {
      const columns = COLUMNS.map(([name]) => batch.map(({ event }) => columnValue(event, name)));
      await this.scope.system((manager) => manager.query(INSERT, columns));
    } catch (error) {
      return isRowRefused(error) ? this.#isolate(batch, error) : this.#postpone(batch, error);
    }
    this.#failing = false;
    for (const { settle } of batch) settle?.resolve();
    return [];
  }

  /** Nothing can be written now: whoever waits is told, in this batch and behind it, and the rest is kept. */
  #postpone(batch: readonly Waiting[], error: unknown): Waiting[] {
    this.#failing = true;
    const waiting = [...batch, ...this.#waiting];
    this.log.error({ err: error, rows: waiting.length }, 'audit rows cannot be written now');
    for (const { settle } of waiting) settle?.reject(unavailable(error));
    this.#waiting = this.#waiting.filter(({ settle }) => settle === undefined);
    return batch.filter(({ settle }) => settle === undefined);
  }

  /** A row that PostgreSQL refuses is dropped, loudly, since it would be refused for ever; it is found by halving. */
  async #isolate(batch: readonly Waiting[], error: unknown): Promise<Waiting[]> {
    const [only] = batch;
    if (only !== undefined && batch.length === 1) {
      this.log.error({ err: error, auditEventId: only.event.id }, 'audit row refused by PostgreSQL and dropped');
      only.settle?.reject(unavailable(error));
      return [];
    }
    const half = batch.length >> 1;
    return [...(await this.#write(batch.slice(0, half))), ...(await this.#write(batch.slice(half)))];
  }
}

function columnValue(event: AuditEvent, name: keyof AuditEvent): unknown {
  return name === 'metadata' ? JSON.stringify(event.metadata) : event[name];
}

const unavailable = (cause?: unknown): DomainError =>
  new DomainError('AUDIT_UNAVAILABLE', 'The audit record cannot be written now, so nothing was confirmed.', { cause });
