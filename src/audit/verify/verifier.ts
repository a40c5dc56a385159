import type { EntityManager } from 'typeorm';
import type { TenantScope } from '../../database/tenant-scope.js';
import { DomainError } from '../../kernel/errors.js';
import type { SigningKey } from '../chain/signing-key.js';
import { type KnownChain, knownChains, spanOf } from './chain-spans.js';
import { ChainWalk, type Fault } from './chain-walk.js';
import { CheckpointCheck, CHECKPOINTS_IN_PAGE, type WalkedChain } from './checkpoint-check.js';
import { checkpointsOfFile, fileSize } from './checkpoint-file.js';
import { Diagnosis } from './diagnosis.js';
import { endProblem, insertedBehindHead } from './chain-end.js';
import { type EventRow, eventsOf } from './event-rows.js';
import { PrunedRanges } from './pruned-ranges.js';
import type { TenantShare } from './tenant-share.js';
import { Unchained } from './unchained.js';
import type { Period, Problem, Verification, VerificationCounts } from './verification.js';

/** What a verification needs beside the events. */
export interface VerifierParts {
  readonly scope: TenantScope;
  readonly key: SigningKey;
  /** AUDIT_CHECKPOINT_FILE; null when it is not set. */
  readonly checkpointFile: string | null;
  /** Asked for between pages: true ends the verification. */
  readonly isStopping: () => boolean;
  /** Told of what is one tenant's. */
  readonly share?: TenantShare;
}

/**
 * Walks the trail once and says what is wrong with it first: every event of every chain, every signed checkpoint, every
 * tombstone. Reads page by page from one moment's state of the database, so that nobody's writing is held up and memory
 * stays the same however many events there are.
 */
export class Verifier {
  readonly #walked = new Map<string, WalkedChain>();
  readonly #unchained = new Unchained();
  readonly #counts = { events: 0, checkpoints: 0, unsigned: 0, pruned: 0 };
  #elsewhere: number | null = null;

  /** For one verification. */
  constructor(private readonly parts: VerifierParts) {}

  /**
   * @param period to narrow it to, see {@link spanOf}; everything without bounds
   * @throws DomainError GOING_AWAY when the gateway stops meanwhile; the driver's or file system's error
   */
  async verify(period: Period): Promise<Verification> {
    const { scope, checkpointFile } = this.parts;
    // Before the moment that the database is seen at: what a line of it speaks of was committed by then.
    const size = checkpointFile === null ? 0 : await fileSize(checkpointFile);
    const problem = await scope.snapshot('audit_events', async (manager) => {
      const found = await this.#problem(manager, period, size);
      if (found !== null) await this.parts.share?.look(manager, found);
      return found;
    });
    return { ok: problem === null, problem, counts: this.#result() };
  }

  async #problem(manager: EntityManager, period: Period, size: number): Promise<Problem | null> {
    const { key, checkpointFile } = this.parts;
    const pruned = await PrunedRanges.load(manager, key);
    if (pruned.problem !== null) return pruned.problem;
    for (const chain of await chainsOf(manager, pruned)) {
      const problem = await this.#walk(manager, chain, pruned, period);
      if (problem !== null) return problem;
    }
    const unchained = this.#unchained.problem(pruned.firstMonth);
    if (unchained !== null) return unchained;
    const check = new CheckpointCheck(manager, key, pruned, this.#walked);
    const { good, problem } = await check.ofDatabase();
    this.#counts.checkpoints = good;
    const signed =
      problem ?? (checkpointFile === null ? null : await this.#elsewhereProblem(check, checkpointFile, size));
    for (const [node, { last }] of this.#walked) this.#counts.unsigned += Math.max(0, last - check.signedTo(node));
    return signed;
  }

  /** One chain, to its end or that of the period. */
  async #walk(
    manager: EntityManager,
    chain: KnownChain,
    pruned: PrunedRanges,
    period: Period,
  ): Promise<Problem | null> {
    const { node } = chain;
    const span = await spanOf(manager, node, period);
    const walk = new ChainWalk(pruned.of(node), span.begin);
    const problem = await this.#walkPages(manager, chain, walk, span);
    this.#counts.events += walk.events;
    this.#counts.pruned += walk.pruned;
    this.#walked.set(node, { span, last: walk.next - 1 });
    if (problem !== null) return problem;
    await this.#unchained.look(manager, node);
    return span.end === null ? endProblem(chain, walk) : null;
  }

  async #walkPages(
    manager: EntityManager,
    chain: KnownChain,
    walk: ChainWalk,
    span: WalkedChain['span'],
  ): Promise<Problem | null> {
    const fault = (found: Fault): Promise<Problem> =>
      new Diagnosis(manager, this.parts.key).of(chain.node, found, walk.nextPruned);
    for await (const page of eventsOf(manager, chain.node, span)) {
      if (this.parts.isStopping()) throw new DomainError('GOING_AWAY', 'This gateway stops.');
      for (const row of page) {
        const problem = await problemOf(chain, walk, row, fault);
        if (problem !== null) return problem;
        this.parts.share?.take(row);
      }
    }
    const atEnd = walk.end();
    return atEnd === null ? null : fault(atEnd);
  }

  async #elsewhereProblem(check: CheckpointCheck, path: string, size: number): Promise<Problem | null> {
    this.#elsewhere = 0;
    for await (const page of checkpointsOfFile(path, size, CHECKPOINTS_IN_PAGE)) {
      if (this.parts.isStopping()) throw new DomainError('GOING_AWAY', 'This gateway stops.');
      const { good, problem } = await check.check(page);
      this.#elsewhere += good;
      if (problem !== null) return problem;
    }
    return null;
  }

  #result(): VerificationCounts {
    return {
      ...this.#counts,
      nodes: this.#walked.size,
      checkpoints_elsewhere: this.#elsewhere,
      unchained: this.#unchained.count,
    };
  }
}

/** Chains of which only tombstones are left are chains, too. */
async function chainsOf(manager: EntityManager, pruned: PrunedRanges): Promise<KnownChain[]> {
  const known = await knownChains(manager);
  const names = new Set(known.map(({ node }) => node));
  const gone = [...pruned.nodes].filter((node) => !names.has(node));
  return [...known, ...gone.map((node) => ({ node, head: null, checkpointed: 0 }))];
}

async function problemOf(
  chain: KnownChain,
  walk: ChainWalk,
  row: EventRow,
  diagnosed: (fault: Fault) => Promise<Problem>,
): Promise<Problem | null> {
  const behind = insertedBehindHead(chain, row);
  if (behind !== null) return behind;
  const fault = walk.take(row);
  return fault === null ? null : diagnosed(fault);
}
