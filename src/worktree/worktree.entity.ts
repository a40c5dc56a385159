import { Column, Entity, PrimaryColumn } from 'typeorm';

export const WORKTREE_STATES = ['creating', 'ready', 'failed', 'removing', 'removed', 'lost'] as const;
export type WorktreeState = (typeof WORKTREE_STATES)[number];

/** A worktree as the gateway remembers it; the runner holds the files. */
@Entity({ name: 'worktrees' })
export class WorktreeEntity {
  /** UUIDv7: order by id is order by time. */
  @PrimaryColumn({ type: 'uuid' })
  id!: string;

  /** The runner that holds it. */
  @Column({ type: 'uuid' })
  runner!: string;

  @Column({ type: 'text' })
  tenant!: string;

  /** As its owner calls it. */
  @Column({ type: 'text' })
  name!: string;

  @Column({ type: 'text', name: 'owner_provider' })
  ownerProvider!: string;

  @Column({ type: 'text', name: 'owner_subject' })
  ownerSubject!: string;

  @Column({ type: 'text' })
  state!: WorktreeState;

  /** Since when it is in that state. */
  @Column({ type: 'timestamptz', name: 'state_at' })
  stateAt!: Date;

  /** As the caller named it until it is ready, then its real path. */
  @Column({ type: 'text' })
  repository!: string;

  /** Empty until it is ready, as the following three. */
  @Column({ type: 'text' })
  path!: string;

  @Column({ type: 'text' })
  branch!: string;

  @Column({ type: 'text', name: 'base_ref' })
  baseRef!: string;

  @Column({ type: 'text', name: 'base_commit' })
  baseCommit!: string;

  /** The branch was there before. */
  @Column({ type: 'boolean', name: 'adopted_branch' })
  adoptedBranch!: boolean;

  /** What is run in it once it is there; empty: nothing. */
  @Column({ type: 'text', array: true })
  setup!: string[];

  /** What is run in it before it is removed; empty: nothing. */
  @Column({ type: 'text', array: true })
  teardown!: string[];

  @Column({ type: 'uuid', name: 'setup_session_id', nullable: true })
  setupSessionId!: string | null;

  /** Code of why there is no such session though there is a command. */
  @Column({ type: 'text', name: 'setup_failure', nullable: true })
  setupFailure!: string | null;

  /** Code of why it was not made. */
  @Column({ type: 'text', nullable: true })
  failure!: string | null;

  /** What its owner calls the request that made it, so that it can be repeated. */
  @Column({ type: 'text', name: 'request_id', nullable: true })
  requestId!: string | null;

  /** Tells whether a repetition is the same request. */
  @Column({ type: 'text', name: 'request_hash', nullable: true })
  requestHash!: string | null;

  /** What a forced removal has put aside. */
  @Column({ type: 'text', name: 'rescue_id', nullable: true })
  rescueId!: string | null;

  @Column({ type: 'text', name: 'rescue_ref', nullable: true })
  rescueRef!: string | null;

  @Column({ type: 'timestamptz', name: 'rescue_until', nullable: true })
  rescueUntil!: Date | null;

  @Column({ type: 'timestamptz', name: 'created_at' })
  createdAt!: Date;

  /** Since when it is removed, lost, or known not to have been made. */
  @Column({ type: 'timestamptz', name: 'removed_at', nullable: true })
  removedAt!: Date | null;
}
