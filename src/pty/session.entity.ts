import { Column, Entity, PrimaryColumn } from 'typeorm';

export const SESSION_STATES = ['starting', 'running', 'exited', 'killed', 'lost'] as const;
export type SessionState = (typeof SESSION_STATES)[number];

/** A session as the gateway remembers it. The runner holds the truth of live ones; no byte of output is here. */
@Entity({ name: 'sessions' })
export class SessionEntity {
  /** UUIDv7: order by id is order by time. */
  @PrimaryColumn({ type: 'uuid' })
  id!: string;

  /** The runner that holds it. */
  @Column({ type: 'uuid' })
  runner!: string;

  @Column({ type: 'text' })
  tenant!: string;

  @Column({ type: 'text' })
  name!: string;

  @Column({ type: 'text', name: 'owner_provider' })
  ownerProvider!: string;

  @Column({ type: 'text', name: 'owner_subject' })
  ownerSubject!: string;

  @Column({ type: 'text' })
  state!: SessionState;

  @Column({ type: 'text', array: true })
  command!: string[];

  @Column({ type: 'text' })
  cwd!: string;

  @Column({ type: 'integer' })
  cols!: number;

  @Column({ type: 'integer' })
  rows!: number;

  /** Ended after so long without input, output or attachment; null: never. */
  @Column({ type: 'integer', name: 'idle_timeout_seconds', nullable: true })
  idleTimeoutSeconds!: number | null;

  /** Ended so long after its start; null: never. */
  @Column({ type: 'integer', name: 'max_duration_seconds', nullable: true })
  maxDurationSeconds!: number | null;

  /** What its owner calls the request that started it, so that it can be repeated. */
  @Column({ type: 'text', name: 'request_id', nullable: true })
  requestId!: string | null;

  /** Tells whether a repetition is the same request; request-hash.ts says how. */
  @Column({ type: 'text', name: 'request_hash', nullable: true })
  requestHash!: string | null;

  /** The worktree that it was started in. */
  @Column({ type: 'uuid', name: 'worktree_id', nullable: true })
  worktreeId!: string | null;

  @Column({ type: 'integer', nullable: true })
  pid!: number | null;

  @Column({ type: 'integer', name: 'exit_code', nullable: true })
  exitCode!: number | null;

  @Column({ type: 'text', nullable: true })
  signal!: string | null;

  @Column({ type: 'text', nullable: true })
  reason!: string | null;

  @Column({ type: 'timestamptz', name: 'created_at' })
  createdAt!: Date;

  @Column({ type: 'timestamptz', name: 'ended_at', nullable: true })
  endedAt!: Date | null;

  /** Id of the audit event of its end, until that is known to be safe in the trail. */
  @Column({ type: 'uuid', name: 'end_event', nullable: true })
  endEvent!: string | null;

  /** The time of that event, in microseconds since 1970. */
  @Column({ type: 'bigint', name: 'end_event_at', nullable: true })
  endEventAt!: string | null;
}
