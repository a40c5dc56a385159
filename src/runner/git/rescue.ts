/**
 * Puts aside what a forced removal would lose, in the shape of a stash: a commit with the content of the worktree, whose
 * parents are HEAD, the index and the files that git does not follow. `git stash apply` brings it back. It is made
 * through an index of its own, so that no hook has a part in it.
 */
import { chmod, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemClock } from '../../kernel/clock.js';
import { newId } from '../../kernel/ids.js';
import type { Stake } from './at-stake.js';
import { diskError, syncFile, syncFolder } from './durable.js';
import type { Entry } from './journal.js';
import { gather, recordedHeads } from './lost-commits.js';
import type { Pinned } from './pinned.js';
import { firstCommit } from './refs.js';
import type { Git } from './repository.js';
import { BlobMaker, type KeptFile, listFiles, withoutSlash } from './rescue-files.js';
import { KEPT_MS, RESCUE_REFS, type Rescue, type RescueStore } from './rescue-store.js';
import type { Setting } from './settings.js';
import { listChanges } from './status.js';
import type { Worktree } from './worktree.js';

const TIMEOUT_MS = 600_000;
const LISTING_BYTES = 1024 * 1024 * 1024;

export interface RescueResult {
  readonly rescue: Rescue;
  /** Repositories inside the worktree (paths in Latin-1): a commit cannot hold one, so they are moved as they are. */
  readonly nested: readonly string[];
}

/**
 * @param stakes what would be lost
 * @throws DomainError WOULD_LOSE_WORK when it is too much to be put aside, or DISK_FULL
 */
export async function makeRescue(
  worktree: Worktree,
  stakes: readonly Stake[],
  store: RescueStore,
): Promise<RescueResult> {
  const id = newId();
  const index = store.file(id, 'index');
  try {
    const maker = new RescueMaker(worktree, index);
    const commit = await maker.make(stakes);
    return { rescue: await keep(worktree, worktree.entry, store, { id, commit }), nested: [...maker.nested] };
  } catch (error) {
    throw diskError(error);
  } finally {
    await rm(index, { force: true });
  }
}

/**
 * Puts aside the HEAD of a worktree whose folder is gone, in the same shape, and what git keeps for its submodules.
 * @param git in git's record of the worktree
 * @param admin that record
 */
export async function rescueHead(
  git: Git,
  admin: Pinned,
  { entry, stakes, store }: { readonly entry: Entry; readonly stakes: readonly Stake[]; readonly store: RescueStore },
): Promise<RescueResult> {
  const head = (await firstCommit(git, ['HEAD']))?.commit;
  const tree = await treeOf(git, head);
  const parents = head === undefined ? [] : [head];
  const index = await makeCommit(git, tree, [...parents, ...(await recorded(git, entry, admin, tree))], 'index');
  const commit = await makeCommit(git, tree, [...parents, index], `Gatehouse rescue of ${entry.name}\n`);
  const modules = stakes.filter(({ kind }) => kind === 'submodule');
  const nested = modules.map(({ what }) => withoutSlash(what).toString('latin1'));
  return { rescue: await keep(git, entry, store, { id: newId(), commit }), nested };
}

/** Commits that go with git's record of the worktree: they are kept as parents of the index, beside HEAD. */
async function recorded(git: Git, entry: Entry, admin: Pinned, tree: string): Promise<readonly string[]> {
  const make = (parents: readonly string[]): Promise<string> =>
    makeCommit(git, tree, parents, 'commits without a name');
  return gather(await recordedHeads(git, entry, admin), make);
}

/** @returns that of no files without a commit */
async function treeOf(git: Git, commit: string | undefined): Promise<string> {
  const args =
    commit === undefined ? ['hash-object', '-w', '-t', 'tree', '/dev/null'] : ['rev-parse', `${commit}^{tree}`];
  return (await git.run(args)).stdout.toString().trimEnd();
}

interface Made {
  readonly id: string;
  readonly commit: string;
}

/** The ref, then the bundle, then the record: a rescue that is listed is whole. One that fails leaves none of them. */
async function keep(git: Git, entry: Entry, store: RescueStore, made: Made): Promise<Rescue> {
  const ref = `${RESCUE_REFS}${made.id}`;
  const settings: Setting[] = [['core.fsync', 'all']];
  await git.run(['update-ref', ref, made.commit, '0'.repeat(made.commit.length)], { settings });
  try {
    return await record(git, entry, store, { ...made, ref });
  } catch (error) {
    await rm(store.file(made.id, 'json'), { force: true });
    await rm(store.file(made.id, 'bundle'), { force: true });
    await git.run(['update-ref', '-d', ref, made.commit], { accept: [0, 1, 128] });
    throw diskError(error);
  }
}

async function record(
  git: Git,
  entry: Entry,
  store: RescueStore,
  { id, commit, ref }: Made & { readonly ref: string },
): Promise<Rescue> {
  const bundle = store.file(id, 'bundle');
  const known = await firstCommit(git, [entry.baseCommit]);
  const without = known ? ['--not', known.commit] : [];
  await git.run(['bundle', 'create', '--quiet', bundle, ref, ...without, '--'], {
    ...{ timeoutMs: TIMEOUT_MS, writable: [dirname(bundle)] },
  });
  await git.run(['bundle', 'verify', '--quiet', bundle], { timeoutMs: TIMEOUT_MS, writable: [dirname(bundle)] });
  await chmod(bundle, 0o600);
  await syncFile(bundle);
  await syncFolder(dirname(bundle));
  const createdAt = systemClock.now();
  const rescue: Rescue = {
    ...{ version: 1, id, worktreeId: entry.id, repository: entry.repository, name: entry.name, branch: entry.branch },
    ...{ ref, commit, bundle, bundleBytes: (await stat(bundle)).size, createdAt, keptUntil: createdAt + KEPT_MS },
  };
  await store.write(rescue);
  return rescue;
}

/** Makes the commits of one rescue. */
class RescueMaker {
  readonly nested = new Set<string>();
  readonly #blobs: BlobMaker;

  constructor(
    private readonly worktree: Worktree,
    private readonly index: string,
  ) {
    this.#blobs = new BlobMaker(worktree);
  }

  async make(stakes: readonly Stake[]): Promise<string> {
    const head = await firstCommit(this.worktree, ['HEAD']);
    const parents = head ? [head.commit] : [];
    const staged = await this.#stagedEntries();
    const tree = await this.#tree(staged);
    const others = await recorded(this.worktree, this.worktree.entry, this.worktree.admin, tree);
    const index = await this.#commit(tree, [...parents, ...others], 'index');
    const changes = await this.#changes(stakes);
    const content = await this.#tree([...staged, ...changes.map((file) => this.#line(file))]);
    const files = await this.#otherFiles(stakes);
    const lines = files.map((file) => this.#line(file));
    const untracked = files.length === 0 ? [] : [await this.#commit(await this.#tree(lines), [], 'untracked files')];
    const kept = [...changes.filter((each) => 'blob' in each), ...files];
    const message = `Gatehouse rescue of ${this.worktree.entry.name}\n${modeLines(kept)}`;
    return this.#commit(content, [...parents, index, ...untracked], message);
  }

  /** Lines for an index; of a file in conflict our side, else theirs, else the base. */
  async #stagedEntries(): Promise<Buffer[]> {
    const { stdout } = await this.worktree.run(['ls-files', '-s', '-z'], { maxBytes: LISTING_BYTES });
    const lines = stdout.toString('latin1').split('\0').slice(0, -1);
    const chosen = new Map<string, string>();
    for (const stage of ['1', '3', '2', '0']) {
      for (const line of lines) {
        const [head, path] = splitOnce(line, '\t');
        if (head.endsWith(` ${stage}`)) chosen.set(path, `${head.slice(0, -2)} 0`);
      }
    }
    return [...chosen].map(([path, head]) => Buffer.from(`${head}\t${path}\0`, 'latin1'));
  }

  /** Tracked files whose content in the worktree is another, with those that are gone. */
  async #changes(stakes: readonly Stake[]): Promise<(KeptFile | { readonly path: Buffer })[]> {
    const { changes } = await listChanges(this.worktree);
    const tracked = changes.filter(({ kind, worktree }) => kind !== 'untracked' && worktree !== '.');
    const hidden = stakes.flatMap(({ kind, what }) => (kind === 'unstaged' ? [what] : []));
    const paths = new Map(
      [...tracked.map(({ path }) => path), ...hidden].map((path) => [path.toString('latin1'), path]),
    );
    for (const { kind, what } of stakes) {
      if (kind !== 'submodule') continue;
      this.nested.add(withoutSlash(what).toString('latin1'));
      paths.delete(withoutSlash(what).toString('latin1'));
    }
    const kept = new Map(
      (await this.#blobs.keep([...paths.values()])).map((file) => [file.path.toString('latin1'), file]),
    );
    return [...paths].map(([name, path]) => kept.get(name) ?? { path });
  }

  async #otherFiles(stakes: readonly Stake[]): Promise<KeptFile[]> {
    const listed = stakes.flatMap(({ kind, what }) => (kind === 'untracked' || kind === 'ignored' ? [what] : []));
    return this.#blobs.keep(await listFiles(this.worktree, listed, this.nested));
  }

  /** As `git update-index --index-info` reads it; a file that is gone has the mode 0. */
  #line(file: KeptFile | { readonly path: Buffer }): Buffer {
    const nothing = '0'.repeat(this.worktree.entry.baseCommit.length);
    const head = 'blob' in file ? `${file.mode} ${file.blob} 0` : `0 ${nothing} 0`;
    return Buffer.concat([Buffer.from(`${head}\t`), file.path, Buffer.from([0])]);
  }

  async #tree(lines: readonly Buffer[]): Promise<string> {
    const env = { GIT_INDEX_FILE: this.index };
    await rm(this.index, { force: true });
    const options = { env, timeoutMs: TIMEOUT_MS, input: Buffer.concat(lines) };
    await this.worktree.run(['update-index', '--add', '--replace', '-z', '--index-info'], options);
    const { stdout } = await this.worktree.run(['write-tree', '--missing-ok'], { env, timeoutMs: TIMEOUT_MS });
    return stdout.toString().trimEnd();
  }

  #commit(tree: string, parents: readonly string[], message: string): Promise<string> {
    return makeCommit(this.worktree, tree, parents, message);
  }
}

async function makeCommit(git: Git, tree: string, parents: readonly string[], message: string): Promise<string> {
  const args = ['commit-tree', tree, ...parents.flatMap((parent) => ['-p', parent]), '-F', '-'];
  return (await git.run(args, { input: message })).stdout.toString().trimEnd();
}

/** The modes that git would not bring back, for the commit's message. */
function modeLines(files: readonly KeptFile[]): string {
  const unusual = files.filter(({ mode, permissions }) => mode !== '120000' && ![0o644, 0o755].includes(permissions));
  const lines = unusual.map(({ path, permissions }) => {
    return `${permissions.toString(8).padStart(4, '0')} ${JSON.stringify(path.toString())}`;
  });
  return lines.length === 0 ? '' : `\nModes that git does not keep:\n${lines.join('\n')}\n`;
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator);
  return [text.slice(0, at), text.slice(at + 1)];
}
