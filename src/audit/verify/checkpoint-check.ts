import type { EntityManager } from 'typeorm';
import { type Checkpoint, readCheckpoint } from '../chain/checkpoint.js';
import type { Signed, SigningKey } from '../chain/signing-key.js';
import type { EventRow, Span } from './event-rows.js';
import { altered, missing } from './diagnosis.js';
import { pages } from './pages.js';
import type { PrunedRanges } from './pruned-ranges.js';
import type { Problem } from './verification.js';

/** A signature takes some 0.1 ms to check. */
export const CHECKPOINTS_IN_PAGE = 100;

/** What of a chain was walked, without a fault. */
export interface WalkedChain {
  readonly span: Span;
  /** Number of its last event. */
  readonly last: number;
}

/** A checkpoint and where it was found. */
export interface FoundCheckpoint {
  readonly signed: Signed;
  /** For a person: a place in the database or a file. */
  readonly place: string;
  /** What its row says that it is about. */
  readonly row?: { readonly node: string; readonly seq: number };
}

interface CheckpointRow extends Signed {
  readonly node: string;
  readonly seq: number;
}

type Place = Pick<EventRow, 'id' | 'hash'>;

/** Holds signed checkpoints against the events that they speak of. */
export class CheckpointCheck {
  /** Number of the last event that a signature vouches for, by node. */
  readonly #signedTo = new Map<string, number>();

  constructor(
    private readonly manager: EntityManager,
    private readonly key: SigningKey,
    private readonly pruned: PrunedRanges,
    private readonly walked: ReadonlyMap<string, WalkedChain>,
  ) {}

  /** Number of the last event that a good checkpoint vouches for; 0: none. */
  signedTo(node: string): number {
    return this.#signedTo.get(node) ?? 0;
  }

  /** Those of the database, chain by chain. @returns how many are good, and what is wrong with the first that is not */
  async ofDatabase(): Promise<{ readonly good: number; readonly problem: Problem | null }> {
    const query = 'SELECT node, seq::float8 AS seq, document, key_id, signature FROM audit_checkpoints';
    let good = 0;
    const cursor = pages<CheckpointRow>(
      this.manager,
      'audit_signed',
      CHECKPOINTS_IN_PAGE,
      `${query} ORDER BY audit_checkpoints.node, audit_checkpoints.seq`,
    );
    for await (const page of cursor) {
      const found = page.map(({ node, seq, ...signed }) => {
        return { signed, row: { node, seq }, place: 'in the database' };
      });
      const checked = await this.check(found.filter(({ row }) => this.#isWalked(row)));
      good += checked.good;
      if (checked.problem !== null) return { good, problem: checked.problem };
    }
    return { good, problem: null };
  }

  /** Some of them, {@link CHECKPOINTS_IN_PAGE} at most. */
  async check(found: readonly FoundCheckpoint[]): Promise<{ readonly good: number; readonly problem: Problem | null }> {
    const read = found.map((each) => ({ ...each, checkpoint: readCheckpoint(this.key, each.signed) }));
    const events = await this.#eventsOf(read.flatMap(({ checkpoint }) => checkpoint ?? []));
    let good = 0;
    for (const { checkpoint, row, place } of read) {
      if (checkpoint === null) return { good, problem: invalid(row, `${place} is not signed by a key that counts`) };
      if (row !== undefined && (row.node !== checkpoint.node || row.seq !== checkpoint.seq))
        return { good, problem: invalid(row, `${place} is about event ${checkpoint.seq} of ${checkpoint.node}`) };
      if (!this.#isWalked(checkpoint)) continue;
      const problem = this.#against(checkpoint, events.get(keyOf(checkpoint)), place);
      if (problem !== null) return { good, problem };
      good += 1;
      this.#signedTo.set(checkpoint.node, Math.max(this.signedTo(checkpoint.node), checkpoint.seq));
    }
    return { good, problem: null };
  }

  /** A chain that only a checkpoint speaks of was not walked, and its end is not where it says. */
  #isWalked({ node, seq }: { readonly node: string; readonly seq: number }): boolean {
    const span = this.walked.get(node)?.span;
    return span === undefined || (seq >= span.begin && seq <= (span.end ?? Infinity));
  }

  #against({ node, seq, hash }: Checkpoint, event: Place | undefined, place: string): Problem | null {
    if (event !== undefined) {
      if (event.hash === hash) return null;
      const since = this.signedTo(node) + 1;
      const what = `it is not the one that a checkpoint ${place} vouches for; what is altered stands between ${since} and ${seq}`;
      return altered(node, { seq, id: event.id }, what);
    }
    const range = this.pruned.around(node, seq);
    if (range !== null) {
      if (range.last !== seq || range.hash === hash) return null;
      const detail = `a tombstone has another event ${seq} than a checkpoint ${place}`;
      return { kind: 'tombstone_invalid', node, seq, detail };
    }
    const last = this.walked.get(node)?.last ?? 0;
    if (seq <= last) return missing(node, seq, seq);
    const detail = `the chain ends with event ${last}, and a checkpoint ${place} vouches for ${seq}`;
    return { kind: 'tail_cut', node, seq: last + 1, detail };
  }

  async #eventsOf(checkpoints: readonly Checkpoint[]): Promise<Map<string, Place>> {
    const rows: unknown = await this.manager.query(
      `SELECT e.node, e.seq::float8 AS seq, e.id, e.hash FROM audit_events e
       JOIN unnest($1::text[], $2::bigint[]) AS w (node, seq) ON e.node = w.node AND e.seq = w.seq`,
      [checkpoints.map(({ node }) => node), checkpoints.map(({ seq }) => seq)],
    );
    return new Map((rows as EventRow[]).map((row) => [keyOf(row), row]));
  }
}

const keyOf = ({ node, seq }: { readonly node: string; readonly seq: number }): string => `${seq} ${node}`;

const invalid = (row: FoundCheckpoint['row'], what: string): Problem => ({
  kind: 'checkpoint_invalid',
  node: row?.node ?? null,
  seq: row?.seq ?? null,
  detail: `a checkpoint ${what}`,
});
