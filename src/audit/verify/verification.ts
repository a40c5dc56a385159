/** What can be wrong with the trail. */
export const PROBLEM_KINDS = [
  /** An event, or its text or hash, is not what was written. */
  'altered',
  /** There is a gap. */
  'missing',
  /** An event that was not written by a gateway. */
  'inserted',
  /** An event that stands in another's place. */
  'reordered',
  /** The end of a chain is gone. */
  'tail_cut',
  /** What `audit_chains` says of a chain's end is not so. */
  'head_altered',
  /** A checkpoint that no key vouches for, or that speaks of something else. */
  'checkpoint_invalid',
  /** A tombstone that no key vouches for, or that does not fit what is left. */
  'tombstone_invalid',
] as const;
export type ProblemKind = (typeof PROBLEM_KINDS)[number];

/** The first thing that is wrong. */
export interface Problem {
  readonly kind: ProblemKind;
  /** Whose chain; null for a tombstone, which is about all of them. */
  readonly node: string | null;
  /** Number of the first event that is wrong or not there; null where there is none. */
  readonly seq: number | null;
  /** The event's id, where it is there. */
  readonly id?: string;
  /** A sentence without anything of the event's content. */
  readonly detail: string;
}

/** What was looked at. */
export interface VerificationCounts {
  /** Events whose text, columns, hash and place were checked. */
  readonly events: number;
  readonly nodes: number;
  /** Checkpoints of the database whose signature and event were checked. */
  readonly checkpoints: number;
  /** The same of AUDIT_CHECKPOINT_FILE; null when it is not set. */
  readonly checkpoints_elsewhere: number | null;
  /** Events behind the last checkpoint of their chain: no signature vouches for them yet. */
  readonly unsigned: number;
  /** Events of dropped months that signed tombstones stand for. */
  readonly pruned: number;
  /** Events of before there were chains: nothing vouches for them. */
  readonly unchained: number;
}

/** The outcome of a verification. */
export interface Verification {
  readonly ok: boolean;
  /** null when everything is as it was written. */
  readonly problem: Problem | null;
  readonly counts: VerificationCounts;
}

/** What to look at, in RFC 3339; null: no bound. */
export interface Period {
  readonly from: string | null;
  /** The first moment that is not in it. */
  readonly to: string | null;
}
