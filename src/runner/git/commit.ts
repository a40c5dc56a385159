import { DomainError } from '../../kernel/errors.js';
import { firstCommit } from './refs.js';
import type { Git } from './repository.js';
import { identity } from './settings.js';
import { stage } from './stage.js';
import { operationOf } from './status.js';
import type { Worktree } from './worktree.js';

const MAX_MESSAGE_BYTES = 64 * 1024;
const MAX_TRAILERS = 20;
const MAX_IDENTITY_BYTES = 300;
const TRAILER = /^[A-Za-z][A-Za-z-]*: \S.*$/;

export interface Person {
  readonly name: string;
  readonly email: string;
}

export interface CommitRequest {
  readonly message: string;
  readonly author: Person;
  /** Whole lines, such as `Gatehouse-Session: …`. */
  readonly trailers: readonly string[];
  /** Stage everything first. */
  readonly all: boolean;
}

/**
 * Commits what is staged.
 * @returns the commit
 * @throws DomainError NOTHING_TO_COMMIT, WORKTREE_NOT_READY while a merge or the like is under way, or INVALID_ARGUMENT
 */
export async function commit(worktree: Worktree, request: CommitRequest): Promise<string> {
  const message = messageOf(request);
  const env = identity(...checkPerson(request.author));
  refuseOperation(worktree);
  if (request.all) await stage(worktree, []);
  const head = await firstCommit(worktree, ['HEAD']);
  const tree = await stagedTree(worktree);
  if (tree === (await treeOf(worktree, head?.commit))) {
    throw new DomainError('NOTHING_TO_COMMIT', 'Nothing is staged.');
  }
  const parents = head ? ['-p', head.commit] : [];
  const { stdout } = await worktree.run(['commit-tree', tree, ...parents, '-F', '-'], { input: message, env });
  const made = stdout.toString().trimEnd();
  const [subject = ''] = message.split('\n');
  await moveHead(worktree, made, head?.commit, `commit: ${subject}`, env);
  return made;
}

/** Moves the branch that is checked out, unless it has moved meanwhile. */
export async function moveHead(
  worktree: Worktree,
  to: string,
  from: string | undefined,
  reason: string,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  await worktree.run(['update-ref', '-m', reason, 'HEAD', to, from ?? '0'.repeat(to.length)], { env });
}

/** @throws DomainError WORKTREE_NOT_READY */
export function refuseOperation(worktree: Worktree): void {
  const operation = operationOf(worktree);
  if (operation === undefined) return;
  throw new DomainError('WORKTREE_NOT_READY', `A ${operation} is under way: finish it in a terminal.`);
}

/**
 * Name and address for an author.
 * @throws DomainError INVALID_ARGUMENT
 */
export function checkPerson({ name, email }: Person): [name: string, email: string] {
  for (const [field, value] of Object.entries({ author_name: name, author_email: email })) {
    if (value.trim() === '' || /[\p{Cc}<>]/u.test(value) || Buffer.byteLength(value) > MAX_IDENTITY_BYTES) {
      throw new DomainError('INVALID_ARGUMENT', `${field}: some text without < and >.`);
    }
  }
  return [name, email];
}

/** Message and trailers as text: no program of the repository's configuration is asked about either. */
export function messageOf({ message, trailers }: Pick<CommitRequest, 'message' | 'trailers'>): string {
  const text = message.replaceAll('\r\n', '\n').trim();
  if (text === '' || text.includes('\0') || Buffer.byteLength(text) > MAX_MESSAGE_BYTES) {
    throw new DomainError('INVALID_ARGUMENT', `message: 1 to ${String(MAX_MESSAGE_BYTES)} bytes of text.`);
  }
  if (trailers.length > MAX_TRAILERS || trailers.some((line) => !TRAILER.test(line) || /\p{Cc}/u.test(line))) {
    throw new DomainError('INVALID_ARGUMENT', 'trailers: lines such as `Key: value`.');
  }
  if (trailers.length === 0) return `${text}\n`;
  const [, ...paragraphs] = text.split(/\n\n+/);
  const hasTrailers =
    paragraphs
      .at(-1)
      ?.split('\n')
      .every((line) => TRAILER.test(line)) ?? false;
  return `${text}\n${hasTrailers ? '' : '\n'}${trailers.join('\n')}\n`;
}

async function stagedTree(worktree: Worktree): Promise<string> {
  const { stdout } = await worktree.run(['ls-files', '--unmerged', '-z'], { maxBytes: 1 });
  if (stdout.length > 0) throw new DomainError('WORKTREE_NOT_READY', 'Files are in conflict.');
  return (await worktree.run(['write-tree'])).stdout.toString().trimEnd();
}

async function treeOf(git: Git, commitId: string | undefined): Promise<string> {
  const args =
    commitId === undefined
      ? ['hash-object', '-t', 'tree', '/dev/null']
      : ['rev-parse', '--verify', `${commitId}^{tree}`];
  return (await git.run(args)).stdout.toString().trimEnd();
}
