import { DomainError } from '../../kernel/errors.js';
import { firstCommit } from './refs.js';
import { baseNow } from './status.js';
import type { Worktree } from './worktree.js';

export const MAX_COMMITS = 100;
/** How far back a place to go on from is looked for. */
const MAX_DEPTH = 100_000;
const MAX_BYTES = 16 * 1024 * 1024;
const FIELDS = ['%H', '%P', '%an', '%ae', '%at', '%s', '%b'];

export interface Commit {
  readonly id: string;
  readonly parents: readonly string[];
  readonly authorName: string;
  readonly authorEmail: string;
  /** Seconds since 1970. */
  readonly time: number;
  readonly subject: string;
  readonly body: string;
}

export interface LogRequest {
  readonly limit: number;
  /** Go on below this commit. */
  readonly after: string | undefined;
  readonly sinceBase: boolean;
}

/** Commits of the worktree's HEAD, newest first. */
export async function readLog(
  worktree: Worktree,
  { limit, after, sinceBase }: LogRequest,
): Promise<{ commits: Commit[]; more: boolean }> {
  if (limit < 1 || limit > MAX_COMMITS) {
    throw new DomainError('INVALID_ARGUMENT', `limit: 1 to ${String(MAX_COMMITS)}.`);
  }
  const head = await firstCommit(worktree, ['HEAD']);
  if (!head) return { commits: [], more: false };
  const range = [head.commit, ...(sinceBase ? [`^${await baseNow(worktree, worktree.entry)}`] : []), '--'];
  const skip = after === undefined ? 0 : await placeAfter(worktree, range, after);
  const args = ['log', '--topo-order', '-z', `--format=${FIELDS.join('%x00')}`, '--no-show-signature', '--no-mailmap'];
  const counts = [`--skip=${String(skip)}`, `--max-count=${String(limit + 1)}`];
  const { stdout, truncated } = await worktree.run([...args, ...counts, ...range], { maxBytes: MAX_BYTES });
  const commits = parseLog(stdout.toString());
  return { commits: commits.slice(0, limit), more: truncated || commits.length > limit };
}

async function placeAfter(worktree: Worktree, range: readonly string[], after: string): Promise<number> {
  const args = ['rev-list', '--topo-order', `--max-count=${String(MAX_DEPTH)}`, ...range];
  const { stdout } = await worktree.run(args);
  const index = stdout.toString().split('\n').indexOf(after);
  if (index >= 0) return index + 1;
  throw new DomainError('REF_NOT_FOUND', 'after: there is no such commit in the log.');
}

/** Each commit is as many texts as there are fields, each but the last ended by NUL, as the whole is. */
function parseLog(text: string): Commit[] {
  const values = text.split('\0');
  const commits: Commit[] = [];
  for (let at = 0; at + FIELDS.length <= values.length; at += FIELDS.length) {
    const [id = '', parents = '', authorName = '', authorEmail = '', time, subject = '', body = ''] = values.slice(at);
    const list = parents.split(' ').filter((parent) => parent !== '');
    commits.push({ id, parents: list, authorName, authorEmail, time: Number(time), subject, body });
  }
  return commits;
}
