/** Worktrees as the control service tells them. */
import type { AtStake } from '../generated/gatehouse/runner/v1/AtStake.js';
import type { CommitInfo } from '../generated/gatehouse/runner/v1/CommitInfo.js';
import type { FileChange } from '../generated/gatehouse/runner/v1/FileChange.js';
import type { GetDiffResponse } from '../generated/gatehouse/runner/v1/GetDiffResponse.js';
import type { GetStatusResponse } from '../generated/gatehouse/runner/v1/GetStatusResponse.js';
import type { ListRescuesResponse } from '../generated/gatehouse/runner/v1/ListRescuesResponse.js';
import type { ListWorktreesResponse } from '../generated/gatehouse/runner/v1/ListWorktreesResponse.js';
import type { Rescue as RescueMessage } from '../generated/gatehouse/runner/v1/Rescue.js';
import type { RunnerWorktree } from '../generated/gatehouse/runner/v1/RunnerWorktree.js';
import type { GetLogResponse } from '../generated/gatehouse/runner/v1/GetLogResponse.js';
import type { Stake } from './git/at-stake.js';
import { cutText, LENGTH_BYTES, MAX_ANSWER_BYTES, pageWithin, takeWithin, textBytes } from './git/bounded.js';
import type { Diff } from './git/diff.js';
import type { Entry } from './git/journal.js';
import type { Commit } from './git/log.js';
import type { Rescue } from './git/rescue-store.js';
import type { WorktreeStatus } from './git/status.js';
import type { Change } from './git/status-parser.js';

/** Each text of one commit, and how many parents are told. */
const MAX_COMMIT_TEXT_BYTES = 256 * 1024;
const MAX_PARENTS = 1000;

export function worktreeMessage(entry: Entry): RunnerWorktree {
  const { id, repository, path, branch, state } = entry;
  return {
    ...{ id, repository, path, branch, state },
    base_ref: entry.baseRef,
    base_commit: entry.baseCommit,
    created_at_ms: entry.createdAt,
    adopted_branch: entry.adopted,
  };
}

/** @param after the last id of the page before */
export function worktreesMessage(entries: readonly Entry[], after: string): ListWorktreesResponse {
  const { page, more } = pageWithin(entries, after, (entry) => [
    ...[entry.id, entry.repository, entry.path, entry.branch, entry.state, entry.baseRef, entry.baseCommit],
  ]);
  return { worktrees: page.map(worktreeMessage), more };
}

export function statusMessage(status: WorktreeStatus): GetStatusResponse {
  const { taken } = takeWithin(status.changes, MAX_ANSWER_BYTES, changeBytes);
  const { upstream, ahead, behind, operation, diskBytes, lastChangeMs } = status;
  return {
    branch: status.branch ?? '',
    head: status.head ?? '',
    detached: status.branch === undefined,
    ...(upstream !== undefined && { upstream }),
    ...(ahead !== undefined && { ahead }),
    ...(behind !== undefined && { behind }),
    ahead_of_base: status.aheadOfBase,
    behind_base: status.behindBase,
    files: taken.map(changeMessage),
    truncated: status.truncated || taken.length < status.changes.length,
    ...(operation !== undefined && { operation }),
    ...(diskBytes !== undefined && { disk_bytes: diskBytes }),
    ...(lastChangeMs !== undefined && { last_change_ms: lastChangeMs }),
    stashes: status.stashes,
  };
}

/** A path that is no text is in it twice: as text, and as it is. */
function changeBytes({ path, oldPath }: Change): number {
  const text = textBytes(path);
  return text + (text === path.length ? 0 : path.length) + textBytes(oldPath);
}

function changeMessage({ path, oldPath, index, worktree, kind, submodule }: Change): FileChange {
  const text = path.toString();
  return {
    ...{ path: text, index, worktree, kind, submodule },
    ...(!Buffer.from(text).equals(path) && { path_bytes: path }),
    ...(oldPath && { old_path: oldPath.toString() }),
  };
}

/** The hunks go before the files: they were asked for. */
export function diffMessage(diff: Diff): GetDiffResponse {
  const hunks = takeWithin(diff.hunks, MAX_ANSWER_BYTES, hunkBytes);
  const whole = hunks.taken.length === diff.hunks.length;
  const room = MAX_ANSWER_BYTES - (whole ? hunks.bytes : 0);
  const files = takeWithin(diff.files, room, ({ path, oldPath }) => textBytes(path) + textBytes(oldPath)).taken;
  return {
    against: diff.against,
    files: files.map(({ path, oldPath, status, additions, deletions, binary }) => ({
      ...{ path: path.toString(), status, additions, deletions, binary },
      ...(oldPath && { old_path: oldPath.toString() }),
    })),
    truncated: diff.truncated || files.length < diff.files.length,
    hunks: (whole ? hunks.taken : []).map((hunk) => ({
      ...{ old_start: hunk.oldStart, old_lines: hunk.oldLines, new_start: hunk.newStart, new_lines: hunk.newLines },
      ...{ section: hunk.section, lines: hunk.lines },
    })),
    hunks_omitted: diff.hunksOmitted || !whole,
  };
}

function hunkBytes({ section, lines }: Diff['hunks'][number]): number {
  return textBytes(section) + lines.reduce((bytes, line) => bytes + textBytes(line) + LENGTH_BYTES, 0);
}

/** The first commits that fit; one always does. */
export function logMessage(commits: readonly Commit[], more: boolean): GetLogResponse {
  const cut = commits.map((commit) => ({
    ...commit,
    authorName: cutText(commit.authorName, MAX_COMMIT_TEXT_BYTES),
    authorEmail: cutText(commit.authorEmail, MAX_COMMIT_TEXT_BYTES),
    subject: cutText(commit.subject, MAX_COMMIT_TEXT_BYTES),
    body: cutText(commit.body, MAX_COMMIT_TEXT_BYTES),
    parents: commit.parents.slice(0, MAX_PARENTS),
  }));
  const { taken } = takeWithin(cut, MAX_ANSWER_BYTES, ({ authorName, authorEmail, subject, body, parents }) => {
    return textBytes(authorName + authorEmail + subject + body) + parents.length * (64 + LENGTH_BYTES);
  });
  return { commits: taken.map(commitMessage), more: more || taken.length < commits.length };
}

function commitMessage(commit: Commit): CommitInfo {
  const { id, parents, authorName, authorEmail, time, subject, body } = commit;
  return {
    ...{ id, parents: [...parents], subject, body },
    ...{ author_name: authorName, author_email: authorEmail, time_s: time },
  };
}

export function stakeMessage({ kind, what }: Stake): AtStake {
  return { kind, what: what.toString() };
}

/** @param after the last id of the page before */
export function rescuesMessage(rescues: readonly Rescue[], after: string): ListRescuesResponse {
  const { page, more } = pageWithin(rescues, after, (rescue) => [
    ...[rescue.id, rescue.worktreeId, rescue.repository, rescue.name, rescue.branch],
    ...[rescue.ref, rescue.commit, rescue.bundle],
  ]);
  return { rescues: page.map(rescueMessage), more };
}

export function rescueMessage(rescue: Rescue): RescueMessage {
  const { id, repository, name, branch, ref, commit, bundle } = rescue;
  return {
    ...{ id, repository, name, branch, ref, commit, bundle },
    worktree_id: rescue.worktreeId,
    bundle_bytes: rescue.bundleBytes,
    created_at_ms: rescue.createdAt,
    kept_until_ms: rescue.keptUntil,
  };
}
