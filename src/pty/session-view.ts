import type { SessionEntity, SessionState } from './session.entity.js';

/** A session as every transport shows it: JSON as it is, gRPC by {@link toProto}. */
export interface SessionView {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly state: SessionState;
  readonly command: readonly string[];
  readonly cwd: string;
  readonly cols: number;
  readonly rows: number;
  /** Ended after so long without input, output or attachment; null: never. */
  readonly idle_timeout_seconds: number | null;
  /** Ended so long after its start; null: never. */
  readonly max_duration_seconds: number | null;
  /** The worktree that it was started in; null: in none. */
  readonly worktree_id: string | null;
  readonly pid: number | null;
  /** RFC 3339, UTC. */
  readonly created_at: string;
  readonly ended_at: string | null;
  readonly exit_code: number | null;
  readonly signal: string | null;
  readonly reason: string | null;
}

export function toView(row: SessionEntity): SessionView {
  return {
    id: row.id,
    name: row.name,
    owner: row.ownerSubject,
    state: row.state,
    command: row.command,
    cwd: row.cwd,
    cols: row.cols,
    rows: row.rows,
    idle_timeout_seconds: row.idleTimeoutSeconds,
    max_duration_seconds: row.maxDurationSeconds,
    worktree_id: row.worktreeId,
    pid: row.pid,
    created_at: row.createdAt.toISOString(),
    ended_at: row.endedAt?.toISOString() ?? null,
    exit_code: row.exitCode,
    signal: row.signal,
    reason: row.reason,
  };
}
