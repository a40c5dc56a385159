import { existsSync } from 'node:fs';
import { DomainError } from '../../kernel/errors.js';
import { findStakes, moduleStakes, type Stake, type Stakes, unpushedCommits } from './at-stake.js';
import type { Entry } from './journal.js';
import type { Pinned } from './pinned.js';
import { firstCommit } from './refs.js';
import { finishRemoval, moveNested, type RemovalContext } from './removal.js';
import type { Git, Repository } from './repository.js';
import { makeRescue, rescueHead, type RescueResult } from './rescue.js';
import type { Rescue } from './rescue-store.js';
import { baseNow } from './status.js';
import { openAdmin, Worktree } from './worktree.js';

export interface RemoveResult extends Stakes {
  readonly removed: boolean;
  readonly rescue: Rescue | undefined;
  readonly branchDeleted: boolean;
}

export interface RemoveOptions {
  readonly force: boolean;
  readonly deleteBranch: boolean;
  /** Only look at what is at stake. */
  readonly dryRun?: boolean;
}

type Context = RemovalContext & { readonly repository: Repository };

/**
 * Removes a worktree when nothing would be lost, or by force after that was put aside. One whose removal has begun is
 * removed to the end, whatever is asked.
 * @throws DomainError WOULD_LOSE_WORK when it cannot be put aside
 */
export async function removeWorktree(entry: Entry, context: Context, options: RemoveOptions): Promise<RemoveResult> {
  const begun = entry.state === 'removing';
  if (begun && !options.dryRun) return goOnRemoving(entry, context);
  const { stakes, truncated, incomplete } = await inspect(entry, context);
  const none = { rescue: undefined, branchDeleted: false };
  if (options.dryRun || (stakes.length > 0 && !options.force)) {
    return { removed: false, stakes, truncated, incomplete, ...none };
  }
  const branchCommit = options.deleteBranch ? await deletableBranch(entry, context.repository) : null;
  const removing: Entry = { ...entry, state: 'removing', removal: { branchCommit, rescue: null, nested: [] } };
  await context.journal.write(removing);
  let rescue: RescueResult | undefined;
  try {
    rescue = await putAside(entry, context, { stakes, truncated, incomplete });
  } catch (error) {
    // Nothing of it is gone yet. When not even this can be written, the next try inspects it again.
    await context.journal.write(entry).catch(() => undefined);
    throw error;
  }
  return finish(removing, context, rescue);
}

/** Goes on with a removal that failed or was killed half-way: what is there now is put aside too, before it goes. */
export async function goOnRemoving(entry: Entry, context: Context): Promise<RemoveResult> {
  const first = entry.removal?.rescue;
  const kept = first ? await context.rescues.read(first) : undefined;
  if (kept) await moveNested(entry, context.rescues.file(kept.id, 'nested'), context.repository);
  const found = await inspect(entry, context, kept ? [kept.commit] : []);
  const rescue = await putAside(entry, context, { ...found, stakes: found.stakes.filter(isWork) });
  if (!kept || !rescue) return finish(entry, context, rescue, kept);
  const again = { ...entry, removal: nestedIn(entry, rescue) };
  await moveNested(again, context.rescues.file(rescue.rescue.id, 'nested'), context.repository);
  return finish(entry, context, undefined, kept);
}

/** Of a worktree that is half removed; stashes are in the repository, and what was under way is over. */
function isWork({ kind }: Stake): boolean {
  return kind !== 'stash' && kind !== 'operation';
}

async function finish(entry: Entry, context: Context, made?: RescueResult, kept?: Rescue): Promise<RemoveResult> {
  const removing = made ? { ...entry, removal: nestedIn(entry, made) } : entry;
  if (made) await context.journal.write(removing);
  const branchDeleted = await finishRemoval(removing, context);
  return {
    removed: true,
    stakes: [],
    truncated: false,
    incomplete: false,
    rescue: kept ?? made?.rescue,
    branchDeleted,
  };
}

function nestedIn({ removal }: Entry, { rescue, nested }: RescueResult): NonNullable<Entry['removal']> {
  return { branchCommit: removal?.branchCommit ?? null, rescue: rescue.id, nested: [...nested] };
}

async function inspect(entry: Entry, { repository }: Context, kept: readonly string[] = []): Promise<Stakes> {
  if (!existsSync(entry.path)) return commitStakes(entry, repository, kept);
  const worktree = await Worktree.open(entry, repository);
  try {
    return await findStakes(worktree, kept);
  } finally {
    worktree.close();
  }
}

async function putAside(
  entry: Entry,
  { repository, rescues }: Context,
  { stakes, incomplete }: Stakes,
): Promise<RescueResult | undefined> {
  if (stakes.length === 0) return undefined;
  // What is not known cannot be put aside.
  if (incomplete) throw new DomainError('WOULD_LOSE_WORK', 'More is at stake than can be put aside.');
  if (!existsSync(entry.path)) return withRecord(entry, repository, (git) => rescueHead(git, entry, stakes, rescues));
  const worktree = await Worktree.open(entry, repository);
  try {
    return await makeRescue(worktree, stakes, rescues);
  } finally {
    worktree.close();
  }
}

/** Somebody has deleted the folder: only commits are left, of the branch, of a HEAD that may be on none, of submodules. */
async function commitStakes(entry: Entry, repository: Repository, kept: readonly string[]): Promise<Stakes> {
  const commits = await withRecord(entry, repository, (git) => {
    return unpushedCommits(git, entry, ['HEAD', `refs/heads/${entry.branch}`], kept);
  });
  const branch = await unpushedCommits(repository, entry, [`refs/heads/${entry.branch}`], kept);
  const all = [...new Set([...(commits ?? []), ...branch])];
  const stakes = all.map((commit) => ({ kind: 'unpushed_commits' as const, what: Buffer.from(commit) }));
  const modules = await withRecord(entry, repository, (_, admin) => Promise.resolve(moduleStakes(admin)));
  return { stakes: [...stakes, ...(modules ?? [])], truncated: false, incomplete: false };
}

/**
 * Asks git by its record of the worktree, which has the HEAD, without the worktree's folder.
 * @returns undefined when the record is gone too
 */
async function withRecord<Result>(
  entry: Entry,
  repository: Repository,
  use: (git: Git, admin: Pinned) => Promise<Result>,
): Promise<Result | undefined> {
  const admin = openAdmin(repository, entry.name);
  if (admin === undefined) return undefined;
  try {
    await repository.configOf(admin);
    const run: Git['run'] = (args, options) =>
      repository.run(args, { ...options, env: { ...options?.env, GIT_DIR: admin.handle } });
    return await use({ run }, admin);
  } finally {
    admin.close();
  }
}

/** The commit of the branch, when it is ours and everything on it is in the base. */
async function deletableBranch(entry: Entry, repository: Repository): Promise<string | null> {
  const tip = await firstCommit(repository, [`refs/heads/${entry.branch}`]);
  if (entry.adopted || !tip) return null;
  const merged = [await baseNow(repository, entry), entry.baseCommit];
  const { stdout } = await repository.run(['rev-list', '--max-count=1', tip.commit, '--not', ...merged, '--']);
  return stdout.length === 0 ? tip.commit : null;
}
