import { Column, Entity, PrimaryColumn } from 'typeorm';

export const AGENT_STATES = [
  'starting',
  'working',
  'waiting_for_input',
  'exited',
  'failed',
  'stopped',
  'lost',
] as const;
export type AgentState = (typeof AGENT_STATES)[number];

export const STATE_SOURCES = ['process', 'hook', 'acp', 'screen'] as const;
export type StateSource = (typeof STATE_SOURCES)[number];

export const PROMPT_KINDS = ['permission', 'question', 'input', 'login'] as const;
export type PromptKind = (typeof PROMPT_KINDS)[number];

/** One answer that a prompt takes. */
export interface PromptOption {
  readonly id: string;
  readonly label: string;
  readonly kind: 'allow' | 'deny' | 'other';
}

/** What an agent waits for. */
export interface AgentPrompt {
  readonly id: string;
  readonly kind: PromptKind;
  readonly text: string;
  readonly options: readonly PromptOption[];
}

/**
 * A coding agent as the gateway remembers it; the runner holds the truth of those that run. Neither what it was told nor its
 * environment is here.
 */
@Entity({ name: 'agents' })
export class AgentEntity {
  /** UUIDv7: order by id is order by time. */
  @PrimaryColumn({ type: 'uuid' })
  id!: string;

  /** The runner that holds it. */
  @Column({ type: 'uuid' })
  runner!: string;

  @Column({ type: 'text' })
  tenant!: string;

  @Column({ type: 'text', name: 'owner_provider' })
  ownerProvider!: string;

  @Column({ type: 'text', name: 'owner_subject' })
  ownerSubject!: string;

  @Column({ type: 'text' })
  name!: string;

  /** Id in the registry. */
  @Column({ type: 'text' })
  provider!: string;

  /** The program: the provider's, or one of those permitted to `custom`. */
  @Column({ type: 'text', name: 'binary_name' })
  binary!: string;

  @Column({ type: 'text', nullable: true })
  model!: string | null;

  @Column({ type: 'text' })
  approve!: 'ask' | 'auto';

  /** The caller's own arguments. */
  @Column({ type: 'text', array: true })
  args!: string[];

  @Column({ type: 'text', nullable: true })
  cwd!: string | null;

  @Column({ type: 'uuid', name: 'worktree_id', nullable: true })
  worktreeId!: string | null;

  /** Its terminal; another one after every resume. */
  @Column({ type: 'uuid', name: 'session_id' })
  sessionId!: string;

  @Column({ type: 'text' })
  state!: AgentState;

  @Column({ type: 'text' })
  source!: StateSource;

  @Column({ type: 'text' })
  confidence!: 'low' | 'high';

  /** The runner's count of changes within the session, so that an older one never replaces a newer one. */
  @Column({ type: 'bigint', transformer: { from: Number, to: (value: number) => value } })
  revision!: number;

  @Column({ type: 'jsonb', nullable: true })
  prompt!: AgentPrompt | null;

  @Column({ type: 'integer', name: 'exit_code', nullable: true })
  exitCode!: number | null;

  @Column({ type: 'text', nullable: true })
  signal!: string | null;

  @Column({ type: 'text', nullable: true })
  failure!: string | null;

  /** The provider's own id of the conversation. */
  @Column({ type: 'text', name: 'resume_id', nullable: true })
  resumeId!: string | null;

  @Column({ type: 'integer' })
  resumes!: number;

  @Column({ type: 'text', array: true, name: 'not_applied' })
  notApplied!: string[];

  @Column({ type: 'integer', name: 'max_run_seconds' })
  maxRunSeconds!: number;

  @Column({ type: 'integer' })
  cols!: number;

  @Column({ type: 'integer' })
  rows!: number;

  @Column({ type: 'text', name: 'request_id', nullable: true })
  requestId!: string | null;

  @Column({ type: 'text', name: 'request_hash', nullable: true })
  requestHash!: string | null;

  @Column({ type: 'timestamptz', name: 'created_at' })
  createdAt!: Date;

  @Column({ type: 'timestamptz', name: 'changed_at' })
  changedAt!: Date;

  @Column({ type: 'timestamptz', name: 'ended_at', nullable: true })
  endedAt!: Date | null;
}
