import type { EntityManager } from 'typeorm';
import { canonicalJson } from '../../kernel/canonical-json.js';
import { hashOf } from '../chain/chain.js';
import { readCheckpoint } from '../chain/checkpoint.js';
import type { Signed, SigningKey } from '../chain/signing-key.js';
import type { Fault } from './chain-walk.js';
import { type EventRow, eventsAt, fits } from './event-rows.js';
import type { Problem } from './verification.js';

/** How far from its place an event that was moved is looked for. */
const MOVED_WITHIN = 100_000;

/** Where a walk did not go on, and what stands beside it. */
interface Scene extends Fault {
  readonly node: string;
  readonly row: EventRow;
}

/** Says what was done to a chain, once a walk of it found an event that does not fit. */
export class Diagnosis {
  constructor(
    private readonly manager: EntityManager,
    private readonly key: SigningKey,
  ) {}

  /** @param prunedNext number of the next event that was dropped with its month */
  async of(node: string, fault: Fault, prunedNext: number): Promise<Problem> {
    const { kind, next, row } = fault;
    if (row === null || kind === 'unbridged') {
      const detail = `a tombstone of events from ${next} on does not follow the event before them`;
      return { kind: 'tombstone_invalid', node, seq: next, detail };
    }
    const scene = { ...fault, node, row };
    if (kind === 'gap') return missing(node, next, Math.min(row.seq, prunedNext) - 1);
    if (kind === 'again') return this.#again(scene);
    if (kind === 'unlike') return (await this.#double(scene)) ?? this.#unlike(scene);
    return (await this.#double(scene)) ?? this.#unlinked(scene);
  }

  /** The number is behind the walk. */
  async #again(scene: Scene): Promise<Problem> {
    const { node, row } = scene;
    return (
      (await this.#double(scene)) ??
      inserted(node, row, 'its number belongs to an event that was dropped with its month')
    );
  }

  /** Of two with one number the one that nothing follows was put in. @returns null when there is only one */
  async #double({ node, row }: Scene): Promise<Problem | null> {
    const both = await eventsAt(this.manager, node, row.seq);
    if (both.length < 2) return null;
    const [follower] = await eventsAt(this.manager, node, row.seq + 1);
    const head: unknown = await this.manager.query('SELECT hash FROM audit_chains WHERE node = $1 AND seq = $2', [
      node,
      row.seq,
    ]);
    const known = follower?.prev_hash ?? (head as { hash: string }[])[0]?.hash;
    const genuine = both.find((each) => each.hash === known && fits(each)) ?? both.find(fits);
    const put = both.find((each) => each !== genuine) ?? row;
    return inserted(node, put, 'there is another with its number');
  }

  async #unlike(scene: Scene): Promise<Problem> {
    const { node, row } = scene;
    const written = row.hash === hashOf(row.canonical) ? fieldsOf(row.canonical) : null;
    if (written === null) return altered(node, row, 'its hash is not that of its text');
    if (written['node'] === node && written['seq'] !== row.seq) return this.#moved(scene, written);
    const columns = Object.keys(written).filter((name) => !isSame(written[name], row[name]));
    return altered(
      node,
      row,
      `its text and its hash do not belong to these columns: ${columns.join(', ') || 'its text'}`,
    );
  }

  /** An event that was not changed, under another number than its own. */
  async #moved(scene: Scene, written: Readonly<Record<string, unknown>>): Promise<Problem> {
    const { node, row, last, next } = scene;
    if (last !== null && written['prev_hash'] === last.prev_hash) {
      return inserted(node, last, 'the event behind it follows the one before it');
    }
    if (await this.#follows(scene)) return reordered(node, row);
    return {
      ...missing(node, next, next),
      detail: `the event ${next} is not there, and those behind it have its number`,
    };
  }

  /** The event fits itself, but follows another one than stands before it: one of the two was written anew. */
  async #unlinked(scene: Scene): Promise<Problem> {
    const { node, row, last, hash } = scene;
    if (await this.#follows(scene)) return reordered(node, row);
    if (last === null || (await this.#isSigned(node, last.seq, hash))) {
      return altered(node, row, 'it does not follow the event before it');
    }
    return altered(node, last, 'the event behind it follows another one');
  }

  /** Is there an event elsewhere that follows the place where the walk stands? */
  async #follows({ node, row, hash, next }: Scene): Promise<boolean> {
    const rows: unknown = await this.manager.query(
      'SELECT 1 FROM audit_events WHERE node = $1 AND seq BETWEEN $2 AND $3 AND prev_hash = $4 AND id <> $5 LIMIT 1',
      [node, next, next + MOVED_WITHIN, hash, row.id],
    );
    return (rows as unknown[]).length > 0;
  }

  async #isSigned(node: string, seq: number, hash: string | null): Promise<boolean> {
    const rows: unknown = await this.manager.query(
      'SELECT document, key_id, signature FROM audit_checkpoints WHERE node = $1 AND seq = $2',
      [node, seq],
    );
    const [signed] = rows as Signed[];
    return signed !== undefined && readCheckpoint(this.key, signed)?.hash === hash;
  }
}

/** Events that are not there, from `first` to `last`. */
export const missing = (node: string, first: number, last: number): Problem => ({
  ...{ kind: 'missing', node, seq: first },
  detail: first === last ? `the event ${first} is not there` : `the events from ${first} to ${last} are not there`,
});

/** An event that is not what was written. */
export const altered = (node: string, { seq, id }: Pick<EventRow, 'seq' | 'id'>, detail: string): Problem => ({
  ...{ kind: 'altered', node, seq, id, detail },
});

/** An event that no gateway wrote. */
export const inserted = (node: string, { seq, id }: Pick<EventRow, 'seq' | 'id'>, detail: string): Problem => ({
  ...{ kind: 'inserted', node, seq, id, detail },
});

const reordered = (node: string, { seq, id }: EventRow): Problem => ({
  ...{ kind: 'reordered', node, seq, id, detail: 'it stands in the place of another event' },
});

function fieldsOf(canonical: string): Readonly<Record<string, unknown>> | null {
  try {
    const fields: unknown = JSON.parse(canonical);
    return typeof fields === 'object' && fields !== null ? (fields as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function isSame(written: unknown, column: EventRow[string] | undefined): boolean {
  try {
    return column !== undefined && JSON.stringify(written) === canonicalJson(column);
  } catch {
    return false;
  }
}
