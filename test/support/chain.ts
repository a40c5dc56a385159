import { createHash } from 'node:crypto';
import type { TestGateway } from './gateway.js';

const GENESIS = '0'.repeat(64);

/**
 * Walks through the chains of the audit trail with nothing but what is stored.
 * @returns how many events each node's chain has
 * @throws Error naming the first event that is not where it should be, or not as it was written
 */
export async function wholeChains(gateway: TestGateway): Promise<Map<string, number>> {
  const rows = await gateway.query(
    'SELECT id, node, seq::int, prev_hash, hash, canonical FROM audit_events ORDER BY node, seq',
  );
  const heads = new Map<string, { seq: number; hash: string }>();
  const ids = new Set<unknown>();
  for (const { id, node, seq, prev_hash: before, hash, canonical } of rows) {
    const head = heads.get(String(node)) ?? { seq: 0, hash: GENESIS };
    const made = createHash('sha256').update(String(canonical)).digest('hex');
    if (seq !== head.seq + 1 || before !== head.hash || made !== hash || ids.has(id))
      throw new Error(`the chain of ${String(node)} is broken at ${String(seq)}`);
    ids.add(id);
    heads.set(String(node), { seq, hash: made });
  }
  return new Map([...heads].map(([node, { seq }]) => [node, seq]));
}
