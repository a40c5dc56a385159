/** Worktrees as REST shows them, and as a person reads them. */
import { plain } from './failure.js';
import { type Column, facts, table } from './table.js';
import { span } from './times.js';

const SHORT_COMMIT = 10;

export interface Worktree {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly state: string;
  readonly repository: string;
  readonly path: string;
  readonly branch: string;
  readonly base_ref: string;
  readonly setup_session_id: string | null;
  readonly setup_failure: string | null;
  readonly created_at: string;
}

export const WORKTREES: readonly Column<Worktree>[] = [
  { heading: 'ID', of: ({ id }) => id },
  { heading: 'NAME', of: ({ name }) => name, shrinks: true },
  { heading: 'STATE', of: ({ state }) => state },
  { heading: 'OWNER', of: ({ owner }) => owner, shrinks: true },
  { heading: 'REPOSITORY', of: ({ repository }) => repository, shrinks: true },
  { heading: 'BRANCH', of: ({ branch }) => branch, shrinks: true },
  { heading: 'AGE', of: ({ created_at: created }) => span(Date.now() - Date.parse(created)) },
];

interface Repository {
  readonly name: string;
  readonly path: string;
  readonly default_branch: string;
  readonly remotes: readonly string[];
}

export const REPOSITORIES: readonly Column<Repository>[] = [
  { heading: 'NAME', of: ({ name }) => name },
  { heading: 'BRANCH', of: ({ default_branch: branch }) => branch },
  { heading: 'REMOTES', of: ({ remotes }) => remotes.join(', '), shrinks: true },
  { heading: 'PATH', of: ({ path }) => path, shrinks: true },
];

interface Rescue {
  readonly id: string;
  readonly name: string;
  readonly repository: string;
  readonly ref: string;
  readonly kept_until: string;
}

export const RESCUES: readonly Column<Rescue>[] = [
  { heading: 'NAME', of: ({ name }) => name, shrinks: true },
  { heading: 'REPOSITORY', of: ({ repository }) => repository, shrinks: true },
  { heading: 'REF', of: ({ ref }) => ref },
  { heading: 'KEPT UNTIL', of: ({ kept_until: until }) => until },
];

interface Status {
  readonly branch: string;
  readonly head: string;
  readonly upstream: string | null;
  readonly ahead: number | null;
  readonly behind: number | null;
  readonly ahead_of_base: number;
  readonly behind_base: number;
  readonly operation: string | null;
  readonly stashes: number;
  readonly live_sessions: number;
  readonly disk_bytes: number | null;
  readonly files: readonly FileChange[];
  readonly truncated: boolean;
}

interface FileChange {
  readonly path: string;
  readonly old_path: string | null;
  readonly index: string;
  readonly worktree: string;
  readonly kind: string;
}

/** What is changed, in the two letters that git has for it. */
export function statusText(status: Status): string {
  const { branch, head, upstream, ahead, behind, operation, stashes, live_sessions: live, disk_bytes: disk } = status;
  const pairs: [string, string][] = [
    ['branch', branch === '' ? `detached at ${head.slice(0, SHORT_COMMIT)}` : branch],
    ['base', `${status.ahead_of_base} ahead, ${status.behind_base} behind`],
  ];
  if (upstream !== null) pairs.push(['upstream', `${upstream}, ${ahead ?? 0} ahead, ${behind ?? 0} behind`]);
  if (operation !== null) pairs.push(['under way', operation]);
  if (stashes > 0) pairs.push(['stashes', String(stashes)]);
  if (live > 0) pairs.push(['sessions', String(live)]);
  if (disk !== null) pairs.push(['on disk', `${disk} bytes`]);
  const lines = status.files.map(changeText);
  if (status.truncated) lines.push('…and more');
  return [facts(pairs), ...(lines.length === 0 ? ['nothing is changed'] : lines)].join('\n');
}

function changeText({ path, old_path: old, index, worktree, kind }: FileChange): string {
  const letters = kind === 'untracked' ? '??' : kind === 'ignored' ? '!!' : `${index}${worktree}`;
  return plain(`${letters} ${old === null ? '' : `${old} -> `}${path}`);
}

interface Diff {
  readonly against: string;
  readonly files: readonly DiffFile[];
  readonly truncated: boolean;
  readonly hunks: readonly Hunk[];
  readonly hunks_omitted: boolean;
}

interface DiffFile {
  readonly path: string;
  readonly old_path: string | null;
  readonly status: string;
  readonly additions: number;
  readonly deletions: number;
  readonly binary: boolean;
}

interface Hunk {
  readonly old_start: number;
  readonly old_lines: number;
  readonly new_start: number;
  readonly new_lines: number;
  readonly section: string;
  readonly lines: readonly string[];
}

/** The files that differ, and the hunks of the one that was named. */
export function diffText({ files, truncated, hunks, hunks_omitted: omitted, against }: Diff): string {
  const lines = files.map(({ status, additions, deletions, binary, path, old_path: old }) => {
    const size = binary ? 'binary' : `+${additions} -${deletions}`;
    return plain(`${status} ${size.padEnd(12)} ${old === null ? '' : `${old} -> `}${path}`);
  });
  if (truncated) lines.push('…and more');
  if (lines.length === 0) lines.push(`nothing differs from ${plain(against.slice(0, SHORT_COMMIT))}`);
  if (omitted) lines.push('its lines are not shown: it is binary, or too large');
  return [...lines, ...hunks.flatMap(hunkText)].join('\n');
}

const hunkText = ({ old_start, old_lines, new_start, new_lines, section, lines }: Hunk): string[] => [
  plain(`@@ -${old_start},${old_lines} +${new_start},${new_lines} @@${section === '' ? '' : ` ${section}`}`),
  // A tab is no harm, and most of some files.
  ...lines.map((line) => line.split('\t').map(plain).join('\t')),
];

interface Commit {
  readonly id: string;
  readonly time: string;
  readonly author_name: string;
  readonly subject: string;
}

export const COMMITS: readonly Column<Commit>[] = [
  { heading: 'COMMIT', of: ({ id }) => id.slice(0, SHORT_COMMIT) },
  { heading: 'TIME', of: ({ time }) => time.slice(0, 'YYYY-MM-DDTHH:MM:SS'.length) },
  { heading: 'AUTHOR', of: ({ author_name: author }) => author, shrinks: true },
  { heading: 'SUBJECT', of: ({ subject }) => subject, shrinks: true },
];

/** One worktree, when it was made. */
export function worktreeText(worktree: Worktree): string {
  const { name, id, path, branch, base_ref: base, setup_session_id: setup, setup_failure: failure } = worktree;
  const pairs: [string, string][] = [
    ...([
      ['name', name],
      ['id', id],
      ['path', path],
      ['branch', branch],
      ['base', base],
    ] as [string, string][]),
  ];
  if (setup !== null) pairs.push(['setup', `session ${setup}`]);
  if (failure !== null) pairs.push(['setup', `was not started: ${failure}`]);
  return facts(pairs);
}

export const listText = <T>(columns: readonly Column<T>[], rows: readonly T[], none: string): string =>
  rows.length === 0 ? none : table(columns, rows);
