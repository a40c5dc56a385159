import type { Resource } from '../authorization/policy.js';
import type { WorktreeEntity, WorktreeState } from './worktree.entity.js';

/** Where the work of a worktree is kept that was removed by force. */
export interface RescueReference {
  readonly id: string;
  readonly ref: string;
  readonly kept_until: string;
}

/** A worktree as every transport shows it. Times are RFC 3339, UTC. */
export interface WorktreeView {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly state: WorktreeState;
  readonly repository: string;
  /** Empty until it is ready, as the following three. */
  readonly path: string;
  readonly branch: string;
  readonly base_ref: string;
  readonly base_commit: string;
  readonly adopted_branch: boolean;
  readonly setup_session_id: string | null;
  readonly setup_failure: string | null;
  readonly failure: string | null;
  readonly created_at: string;
  readonly removed_at: string | null;
  readonly rescue: RescueReference | null;
}

export function toView(row: WorktreeEntity): WorktreeView {
  return {
    id: row.id,
    name: row.name,
    owner: row.ownerSubject,
    state: row.state,
    repository: row.repository,
    path: row.path,
    branch: row.branch,
    base_ref: row.baseRef,
    base_commit: row.baseCommit,
    adopted_branch: row.adoptedBranch,
    setup_session_id: row.setupSessionId,
    setup_failure: row.setupFailure,
    failure: row.failure,
    created_at: row.createdAt.toISOString(),
    removed_at: row.removedAt?.toISOString() ?? null,
    rescue: rescueOf(row),
  };
}

const rescueOf = ({ rescueId, rescueRef, rescueUntil }: WorktreeEntity): RescueReference | null =>
  rescueId === null || rescueRef === null || rescueUntil === null
    ? null
    : { id: rescueId, ref: rescueRef, kept_until: rescueUntil.toISOString() };

/** What the policy decides by. */
export const toResource = ({ id, tenant, ownerProvider, ownerSubject }: WorktreeEntity): Resource => ({
  ...{ kind: 'worktree', id, tenant, ownerProvider, ownerSubject },
  shares: [],
});
