import { existsSync } from 'node:fs';
import { DomainError } from '../../kernel/errors.js';
import { commitStakes, findStakes, moduleStakes, type Stake, type Stakes } from './at-stake.js';
import type { Entry } from './journal.js';
import { requireOwnParts } from './links.js';
import { MAX_COMMITS, recordedCommits, unpushedCommits } from './lost-commits.js';
import type { Pinned } from './pinned.js';
import { firstCommit } from './refs.js';
import { asideOf, finishRemoval, moveNested, putBack, type RemovalContext, setAside } from './removal.js';
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

type Place = RemovalContext & { readonly repository: Repository };

type Context = Place & {
  /** Sessions of which a process works in a folder. */
  readonly sessionsIn: (folder: string) => Promise<readonly string[]>;
  /** Whoever asked does not wait any more, and takes the worktree for one that is there. */
  readonly givenUp: () => boolean;
};

/**
 * Removes a worktree when nothing would be lost, or by force after that was put aside. One whose removal has begun is
 * removed to the end, whatever is asked.
 * @throws DomainError WOULD_LOSE_WORK when it cannot be put aside
 */
export async function removeWorktree(entry: Entry, context: Context, options: RemoveOptions): Promise<RemoveResult> {
  const begun = entry.state === 'removing';
  refuseGivenUp(context);
  if (begun && !options.dryRun) return goOnRemoving(entry, context);
  const found = await lookAt(entry, context, options);
  if (options.dryRun || isRefused(found, options)) return refused(found);
  const branchCommit = options.deleteBranch ? await deletableBranch(entry, context.repository) : null;
  const removing: Entry = { ...entry, state: 'removing', removal: { branchCommit, rescue: null, nested: [] } };
  await context.journal.write(removing);
  const made = await prepare(removing, context, options).catch(async (error: unknown) => {
    // Nothing of it is gone yet. When not even this can be written, the next try inspects it again.
    await keep(entry, context).catch(() => undefined);
    throw error;
  });
  if (!('refusal' in made)) return finish(removing, context, made.rescue);
  await keep(entry, context);
  return refused(made.refusal);
}

/**
 * Moves the folder out of everybody's reach and looks again: since the first look something may have been written.
 * @returns what is at stake now, or what was put aside
 */
async function prepare(
  entry: Entry,
  context: Context,
  options: RemoveOptions,
): Promise<{ readonly refusal: Stakes } | { readonly rescue: RescueResult | undefined }> {
  await setAside(entry);
  const found = await lookAt(entry, context, options);
  if (isRefused(found, options)) return { refusal: found };
  // Later it is too late: what was put aside took its time, and nobody else is let in meanwhile.
  refuseGivenUp(context);
  return { rescue: await putAside(entry, context, found) };
}

/** It stays: first the folder, so that a start which finds it half-way never misses it. */
async function keep(entry: Entry, { journal }: Context): Promise<void> {
  await putBack(entry);
  await journal.write(entry);
}

function refuseGivenUp({ givenUp }: Context): void {
  if (givenUp()) throw new DomainError('REQUEST_TIMEOUT', 'The caller gave up before the worktree was removed.');
}

const isRefused = ({ stakes, truncated }: Stakes, { force }: RemoveOptions): boolean =>
  !force && (stakes.length > 0 || truncated);

const refused = (found: Stakes): RemoveResult => ({
  ...found,
  ...{ removed: false, rescue: undefined, branchDeleted: false },
});

/** By force, sessions in it are the gateway's to end. */
async function lookAt(entry: Entry, context: Context, { force, dryRun }: RemoveOptions): Promise<Stakes> {
  const found = await inspect(entry, context);
  if (force && dryRun !== true) return found;
  // In a sandbox the folder has its old name still.
  const sessions = [...(await context.sessionsIn(folderOf(entry))), ...(await context.sessionsIn(entry.path))];
  const live = [...new Set(sessions)].map((id) => ({ kind: 'session' as const, what: Buffer.from(id) }));
  return { ...found, stakes: [...live, ...found.stakes] };
}

/** Where its folder is now. */
const folderOf = (entry: Entry): string => (existsSync(asideOf(entry)) ? asideOf(entry) : entry.path);

/** Goes on with a removal that failed or was killed half-way: what is there now is put aside too, before it goes. */
export async function goOnRemoving(entry: Entry, context: Place): Promise<RemoveResult> {
  await setAside(entry);
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

async function finish(entry: Entry, context: Place, made?: RescueResult, kept?: Rescue): Promise<RemoveResult> {
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

async function inspect(entry: Entry, { repository }: Place, kept: readonly string[] = []): Promise<Stakes> {
  const folder = folderOf(entry);
  if (!existsSync(folder)) return stakesWithout(entry, repository, kept);
  const worktree = await Worktree.open({ ...entry, path: folder }, repository);
  try {
    return await findStakes(worktree, kept);
  } finally {
    worktree.close();
  }
}

async function putAside(
  entry: Entry,
  { repository, rescues: store }: Place,
  { stakes, incomplete }: Stakes,
): Promise<RescueResult | undefined> {
  // What is not known cannot be put aside.
  if (incomplete) throw new DomainError('WOULD_LOSE_WORK', 'More is at stake than can be put aside.');
  if (stakes.length === 0) return undefined;
  const folder = folderOf(entry);
  if (!existsSync(folder)) {
    return withRecord(entry, repository, (git, admin) => rescueHead(git, admin, { entry, stakes, store }));
  }
  const worktree = await Worktree.open({ ...entry, path: folder }, repository);
  try {
    return await makeRescue(worktree, stakes, store);
  } finally {
    worktree.close();
  }
}

/** Somebody has deleted the folder: only commits are left, of the branch, of a HEAD that may be on none, of submodules. */
async function stakesWithout(entry: Entry, repository: Repository, kept: readonly string[]): Promise<Stakes> {
  const branch = await unpushedCommits(repository, entry, [`refs/heads/${entry.branch}`], kept);
  const found = await withRecord(entry, repository, async (git, admin) => ({
    commits: await unpushedCommits(git, entry, ['HEAD', `refs/heads/${entry.branch}`], kept),
    recorded: await recordedCommits(git, entry, admin, kept),
    modules: moduleStakes(admin),
  }));
  const { commits = [], recorded = { commits: [], unknown: [] }, modules = [] } = found ?? {};
  return {
    stakes: [...commitStakes([...commits, ...branch], recorded), ...modules],
    truncated: [commits, branch, recorded.commits].some(({ length }) => length >= MAX_COMMITS),
    incomplete: recorded.unknown.length > 0,
  };
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
    requireOwnParts(admin);
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
