/** What git says of a worktree, as every transport shows it. Times are RFC 3339, UTC. */
import type { CommitInfo__Output } from '../generated/gatehouse/runner/v1/CommitInfo.js';
import type { DiffFile__Output } from '../generated/gatehouse/runner/v1/DiffFile.js';
import type { DiffHunk__Output } from '../generated/gatehouse/runner/v1/DiffHunk.js';
import type { FileChange__Output } from '../generated/gatehouse/runner/v1/FileChange.js';
import type { GetDiffResponse__Output } from '../generated/gatehouse/runner/v1/GetDiffResponse.js';
import type { GetLogResponse__Output } from '../generated/gatehouse/runner/v1/GetLogResponse.js';
import type { GetStatusResponse__Output } from '../generated/gatehouse/runner/v1/GetStatusResponse.js';
import type { Rescue__Output } from '../generated/gatehouse/runner/v1/Rescue.js';
import type { RunnerRepository__Output } from '../generated/gatehouse/runner/v1/RunnerRepository.js';
import type { WorktreeEntity } from './worktree.entity.js';

export interface RepositoryView {
  readonly path: string;
  readonly name: string;
  readonly bare: boolean;
  readonly default_branch: string;
  readonly remotes: readonly string[];
  readonly trusted: boolean;
}

export const toRepository = (answer: RunnerRepository__Output): RepositoryView => ({
  path: answer.path ?? '',
  name: answer.name ?? '',
  bare: answer.bare ?? false,
  default_branch: answer.default_branch ?? '',
  remotes: answer.remotes ?? [],
  trusted: answer.trusted ?? false,
});

export interface FileView {
  readonly path: string;
  /** The path as it is, in base64, where it is not UTF-8. */
  readonly path_bytes: string | null;
  readonly old_path: string | null;
  readonly index: string;
  readonly worktree: string;
  readonly kind: string;
  readonly submodule: boolean;
}

const toFile = (answer: FileChange__Output): FileView => ({
  path: answer.path ?? '',
  path_bytes: answer.path_bytes?.toString('base64') ?? null,
  old_path: answer.old_path ?? null,
  index: answer.index ?? '.',
  worktree: answer.worktree ?? '.',
  kind: answer.kind ?? '',
  submodule: answer.submodule ?? false,
});

/** The sessions that live in a worktree. */
export interface LiveSessions {
  readonly live_sessions: number;
  /** Those that the caller may view. */
  readonly sessions: readonly { readonly id: string; readonly name: string; readonly owner: string }[];
}

export interface StatusView extends LiveSessions {
  readonly branch: string;
  readonly head: string;
  readonly detached: boolean;
  readonly upstream: string | null;
  readonly ahead: number | null;
  readonly behind: number | null;
  readonly ahead_of_base: number;
  readonly behind_base: number;
  readonly files: readonly FileView[];
  readonly truncated: boolean;
  readonly operation: string | null;
  readonly disk_bytes: number | null;
  readonly last_change_at: string | null;
  readonly stashes: number;
}

export const toStatus = (answer: GetStatusResponse__Output, live: LiveSessions): StatusView => ({
  branch: answer.branch ?? '',
  head: answer.head ?? '',
  detached: answer.detached ?? false,
  upstream: answer.upstream ?? null,
  ahead: answer.ahead ?? null,
  behind: answer.behind ?? null,
  ahead_of_base: answer.ahead_of_base ?? 0,
  behind_base: answer.behind_base ?? 0,
  files: (answer.files ?? []).map(toFile),
  truncated: answer.truncated ?? false,
  operation: answer.operation ?? null,
  disk_bytes: answer.disk_bytes ?? null,
  last_change_at: answer.last_change_ms === undefined ? null : moment(answer.last_change_ms),
  stashes: answer.stashes ?? 0,
  ...live,
});

export interface DiffFileView {
  readonly path: string;
  readonly old_path: string | null;
  readonly status: string;
  readonly additions: number;
  readonly deletions: number;
  readonly binary: boolean;
}

export interface HunkView {
  readonly old_start: number;
  readonly old_lines: number;
  readonly new_start: number;
  readonly new_lines: number;
  readonly section: string;
  readonly lines: readonly string[];
}

export interface DiffView {
  readonly against: string;
  readonly files: readonly DiffFileView[];
  readonly truncated: boolean;
  readonly hunks: readonly HunkView[];
  readonly hunks_omitted: boolean;
}

export const toDiff = (answer: GetDiffResponse__Output): DiffView => ({
  against: answer.against ?? '',
  files: (answer.files ?? []).map(toDiffFile),
  truncated: answer.truncated ?? false,
  hunks: (answer.hunks ?? []).map(toHunk),
  hunks_omitted: answer.hunks_omitted ?? false,
});

const toDiffFile = (answer: DiffFile__Output): DiffFileView => ({
  path: answer.path ?? '',
  old_path: answer.old_path ?? null,
  status: answer.status ?? '',
  additions: answer.additions ?? 0,
  deletions: answer.deletions ?? 0,
  binary: answer.binary ?? false,
});

const toHunk = (answer: DiffHunk__Output): HunkView => ({
  old_start: answer.old_start ?? 0,
  old_lines: answer.old_lines ?? 0,
  new_start: answer.new_start ?? 0,
  new_lines: answer.new_lines ?? 0,
  section: answer.section ?? '',
  lines: answer.lines ?? [],
});

export interface CommitView {
  readonly id: string;
  readonly parents: readonly string[];
  readonly author_name: string;
  readonly author_email: string;
  readonly time: string;
  readonly subject: string;
  readonly body: string;
}

export interface LogView {
  readonly commits: readonly CommitView[];
  readonly more: boolean;
}

export const toLog = ({ commits = [], more = false }: GetLogResponse__Output): LogView => ({
  commits: commits.map(toCommit),
  more,
});

const toCommit = (answer: CommitInfo__Output): CommitView => ({
  id: answer.id ?? '',
  parents: answer.parents ?? [],
  author_name: answer.author_name ?? '',
  author_email: answer.author_email ?? '',
  time: moment((answer.time_s ?? 0) * 1000),
  subject: answer.subject ?? '',
  body: answer.body ?? '',
});

export interface RescueView {
  readonly id: string;
  readonly worktree_id: string;
  readonly owner: string;
  readonly repository: string;
  readonly name: string;
  readonly branch: string;
  readonly ref: string;
  readonly commit: string;
  readonly bundle: string;
  readonly bundle_bytes: number;
  readonly created_at: string;
  readonly kept_until: string;
}

/** @param row of the worktree that it was */
export const toRescue = (answer: Rescue__Output, { id, name, ownerSubject }: WorktreeEntity): RescueView => ({
  id: answer.id ?? '',
  worktree_id: id,
  owner: ownerSubject,
  repository: answer.repository ?? '',
  name,
  branch: answer.branch ?? '',
  ref: answer.ref ?? '',
  commit: answer.commit ?? '',
  bundle: answer.bundle ?? '',
  bundle_bytes: answer.bundle_bytes ?? 0,
  created_at: moment(answer.created_at_ms ?? 0),
  kept_until: moment(answer.kept_until_ms ?? 0),
});

/** Whatever a repository claims: a commit's time may be far outside of what a date can be. */
function moment(milliseconds: number): string {
  const date = new Date(milliseconds);
  return (Number.isNaN(date.getTime()) || date.getUTCFullYear() > 9999 ? new Date(0) : date).toISOString();
}
