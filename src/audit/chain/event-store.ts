import type { EntityManager } from 'typeorm';
import { isAlreadyThere, isPartMissing } from '../../database/errors.js';
import type { TenantScope } from '../../database/tenant-scope.js';
import type { AuditDraft } from '../record/audit-event.js';
import { chained, type ChainedEvent, type ChainHead, GENESIS } from './chain.js';
import { appendRows, type EventPlace, placesOf, type Runs } from './event-rows.js';
import { type Concealed, type NameRow, Names } from './names.js';

/** A draft whose event is stored: as the log tells it, with its place in the chain. */
export interface StoredEvent {
  readonly draft: AuditDraft;
  readonly place: EventPlace;
}

/** Appends events to this node's chain. Not for concurrent use: the writer appends one batch after the other. */
export class EventStore {
  readonly #names: Names;
  /** Where the chain ends; null when that has to be looked up, because a write failed or another may have written. */
  #head: ChainHead | null = null;
  #end: ChainHead | null = null;
  readonly #listeners: ((end: ChainHead) => void)[] = [];

  /** @param node the name of the chain */
  constructor(
    private readonly scope: TenantScope,
    private readonly dataSource: Runs,
    private readonly node: string,
  ) {
    this.#names = new Names(scope);
  }

  /**
   * Writes events at the end of the chain, in their order and each once: those that are stored already, since the answer to
   * an earlier try was lost, are left as they are.
   * @returns all of them with their places, in the given order
   * @throws the driver's error; then none of this call is stored, or all of it and nobody was told
   */
  async append(drafts: readonly AuditDraft[]): Promise<StoredEvent[]> {
    const stored = await this.#append(drafts);
    this.#end = this.#head;
    if (this.#end !== null) for (const listener of this.#listeners) listener(this.#end);
    return stored;
  }

  /** Where the chain ends, as far as this process has written it; null before its first event. */
  get end(): ChainHead | null {
    return this.#end;
  }

  /** Calls back with the chain's end, after every append that was committed. */
  onAppended(listener: (end: ChainHead) => void): void {
    this.#listeners.push(listener);
  }

  async #append(drafts: readonly AuditDraft[]): Promise<StoredEvent[]> {
    // Before there is a transaction: it may need a connection of its own.
    const concealed = await this.#names.conceal(drafts);
    try {
      return (await this.#appendAtHead(concealed)) ?? (await this.#appendAnew(concealed));
    } catch (error) {
      // Whether anything of it was committed is not known.
      this.#head = null;
      if (isPartMissing(error)) await this.#makeMonths(drafts);
      // Some of it was stored before, and its writer never heard of that.
      else if (!isAlreadyThere(error)) throw error;
      return await this.#appendAnew(concealed);
    }
  }

  /** Somebody was erased: names are looked up again. */
  forgetNames(): void {
    this.#names.forget();
  }

  /** As long as nothing went wrong, the head is known. @returns null when it is not */
  async #appendAtHead(concealed: Concealed): Promise<StoredEvent[] | null> {
    const head = this.#head;
    if (head === null) return null;
    // An event may be written for every tenant: it needs no scope, and no transaction around the one statement.
    const written = await this.#write(this.dataSource, concealed, head);
    this.#head = written === null ? null : endOf(written, head);
    if (written !== null) this.#names.remember(concealed.fresh);
    return written;
  }

  /** Looks up where the chain ends, and which of the events are in it. */
  async #appendAnew({ pairs, fresh }: Concealed): Promise<StoredEvent[]> {
    const { stored, head, used } = await this.scope.system(async (manager) => {
      const found = await this.#lockedHead(manager);
      const places = await placesOf(
        manager,
        pairs.map(({ draft }) => draft),
      );
      const missing = pairs.filter(({ draft }) => !places.has(draft.event.id));
      // A name of an event that is stored already may have been erased since: it is not brought back.
      const used = usedBy(missing, fresh);
      const written = missing.length === 0 ? [] : await this.#write(manager, { pairs: missing, fresh: used }, found);
      if (written === null) throw new Error('the end of a chain moved while it was locked');
      for (const { draft, place } of written) places.set(draft.event.id, place);
      const all = pairs.map(({ draft }) => ({ draft, place: places.get(draft.event.id) as EventPlace }));
      return { stored: all, head: endOf(written, found), used };
    });
    // Only what is committed counts.
    this.#head = head;
    this.#names.remember(used);
    return stored;
  }

  async #write(manager: Runs, { pairs, fresh }: Concealed, head: ChainHead): Promise<StoredEvent[] | null> {
    const events = chained(
      this.node,
      head,
      pairs.map(({ event }) => event),
    );
    if (!(await appendRows(manager, this.node, head, events, fresh))) return null;
    return pairs.map(({ draft }, index) => ({ draft, place: placeOf(events[index] as ChainedEvent) }));
  }

  async #lockedHead(manager: EntityManager): Promise<ChainHead> {
    await manager.query('INSERT INTO audit_chains (node, seq, hash) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING', [
      this.node,
      GENESIS,
    ]);
    const rows: unknown = await manager.query('SELECT seq, hash FROM audit_chains WHERE node = $1 FOR UPDATE', [
      this.node,
    ]);
    const [head] = rows as { seq: string; hash: string }[];
    return { seq: Number(head?.seq), hash: head?.hash ?? GENESIS };
  }

  async #makeMonths(drafts: readonly AuditDraft[]): Promise<void> {
    const months = new Set(drafts.map(({ event }) => `${event.timestamp.slice(0, 7)}-01T00:00:00Z`));
    for (const month of months)
      await this.scope.system((manager) => manager.query('SELECT audit_make_month($1)', [month]));
  }
}

/** The names whose tokens these events have. */
function usedBy(pairs: Concealed['pairs'], fresh: readonly NameRow[]): NameRow[] {
  const tokens = new Set<unknown>(
    pairs.flatMap(({ event }) => [
      event.user_id,
      event.remote_addr,
      event.user_agent,
      ...Object.values(event.metadata),
    ]),
  );
  return fresh.filter(({ token }) => tokens.has(token));
}

const placeOf = ({ node, seq, prev_hash, hash }: ChainedEvent): EventPlace => ({ node, seq, prev_hash, hash });

/** Where the chain ends once these are written. */
function endOf(written: readonly StoredEvent[], before: ChainHead): ChainHead {
  const last = written.at(-1)?.place ?? before;
  return { seq: last.seq, hash: last.hash };
}
