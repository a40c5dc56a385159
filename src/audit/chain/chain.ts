import { hash } from 'node:crypto';
import { canonicalJson } from '../../kernel/canonical-json.js';
import type { AuditEvent } from '../record/audit-event.js';

/** What stands before the first event of a chain. */
export const GENESIS = '0'.repeat(64);

/** The end of a node's chain. */
export interface ChainHead {
  /** Number of its last event, 0 before the first. */
  readonly seq: number;
  /** Hash of its last event, {@link GENESIS} before the first. */
  readonly hash: string;
}

/** An event at its place in a chain. */
export interface ChainedEvent extends AuditEvent {
  readonly node: string;
  /** Counts from 1 without a gap. */
  readonly seq: number;
  readonly prev_hash: string;
  /** SHA-256 of {@link canonical}, lower-case hex. */
  readonly hash: string;
  /** RFC 8785 JSON of all the other fields. It has `prev_hash` in it, and is stored beside the row. */
  readonly canonical: string;
}

/** SHA-256 of a text, lower-case hex. */
export const hashOf = (text: string): string => hash('sha256', text);

/**
 * Puts events at the end of a chain, in their order.
 * @param events with tokens for what is personal
 * @throws RangeError for an event that has no canonical form
 */
export function chained(node: string, head: ChainHead, events: readonly AuditEvent[]): ChainedEvent[] {
  let { seq, hash: end } = head;
  return events.map((event) => {
    const placed = { ...event, node, seq: seq + 1, prev_hash: end };
    const canonical = canonicalJson(placed);
    [seq, end] = [placed.seq, hashOf(canonical)];
    return { ...placed, hash: end, canonical };
  });
}
