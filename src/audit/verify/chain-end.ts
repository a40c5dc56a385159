import type { KnownChain } from './chain-spans.js';
import type { ChainWalk } from './chain-walk.js';
import { altered, inserted } from './diagnosis.js';
import type { EventRow } from './event-rows.js';
import type { Problem } from './verification.js';

/** An event behind the end of its chain, of which no checkpoint says that the chain went so far; null when it is none. */
export function insertedBehindHead({ node, head, checkpointed }: KnownChain, row: EventRow): Problem | null {
  if (row.seq <= (head?.seq ?? 0) || row.seq <= checkpointed) return null;
  // Without a known end a chain that a checkpoint speaks of is told as such, when it was walked.
  if (head === null && checkpointed > 0) return null;
  return inserted(node, row, `by audit_chains the chain ends with event ${head?.seq ?? 0}`);
}

/** What is wrong with the end of a chain that was walked, by `audit_chains`; null when it is right. */
export function endProblem({ node, head }: KnownChain, walk: ChainWalk): Problem | null {
  const last = walk.next - 1;
  if (head === null || last > head.seq) return headProblem(node, head, last);
  if (last < head.seq) {
    const detail = `the chain ends with event ${last}, and audit_chains says with ${head.seq}`;
    return { kind: 'tail_cut', node, seq: last + 1, detail };
  }
  if (last === 0 || walk.hash === head.hash) return null;
  const row = walk.last;
  if (row !== null) return altered(node, row, 'it is the last event, and audit_chains has the hash of another');
  return headProblem(node, head, last);
}

function headProblem(node: string, head: KnownChain['head'], last: number): Problem {
  const said = head === null ? 'nothing of it' : `that it ends with event ${head.seq}`;
  const detail = `the chain ends with event ${last}, and audit_chains says ${said}`;
  return { kind: 'head_altered', node, seq: last, detail };
}
