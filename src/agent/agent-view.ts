import type { AgentEntity, AgentPrompt, AgentState, StateSource } from './agent.entity.js';

/** An agent as every transport shows it: JSON as it is, gRPC by `toProto`. */
export interface AgentView {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly provider: string;
  readonly model: string | null;
  readonly approve: 'ask' | 'auto';
  readonly worktree_id: string | null;
  readonly session_id: string;
  readonly state: AgentState;
  readonly source: StateSource;
  readonly confidence: 'low' | 'high';
  readonly prompt: AgentPrompt | null;
  readonly exit_code: number | null;
  readonly signal: string | null;
  /** `AGENT_CRASHED` or `AGENT_LOGIN_REQUIRED`. */
  readonly failure: string | null;
  /** The last output of one that failed, where a single agent is shown; 4 KiB at most. */
  readonly output_tail: string | null;
  readonly resumable: boolean;
  readonly resumes: number;
  readonly not_applied: readonly string[];
  /** RFC 3339, UTC. */
  readonly created_at: string;
  readonly changed_at: string;
  readonly ended_at: string | null;
}

/** @param resumable whether its provider can take it up again, once it has ended */
export function toView(row: AgentEntity, resumable: boolean, outputTail: string | null = null): AgentView {
  return {
    id: row.id,
    name: row.name,
    owner: row.ownerSubject,
    provider: row.provider,
    model: row.model,
    approve: row.approve,
    worktree_id: row.worktreeId,
    session_id: row.sessionId,
    state: row.state,
    source: row.source,
    confidence: row.confidence,
    prompt: row.prompt,
    exit_code: row.exitCode,
    signal: row.signal,
    failure: row.failure,
    output_tail: outputTail,
    resumable: resumable && row.endedAt !== null,
    resumes: row.resumes,
    not_applied: row.notApplied,
    created_at: row.createdAt.toISOString(),
    changed_at: row.changedAt.toISOString(),
    ended_at: row.endedAt?.toISOString() ?? null,
  };
}
