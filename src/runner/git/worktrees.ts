import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { DomainError } from '../../kernel/errors.js';
import { claimFolder } from '../claim.js';
import { addWorktree, checkCreate, type CreateRequest, fillWorktree, planWorktree } from './create.js';
import { makeFolder, withDiskChecked } from './durable.js';
import { type Entry, Journal } from './journal.js';
import { requireNoLinks } from './links.js';
import { Locks } from './locks.js';
import { asideOf, finishRemoval, undoCreation } from './removal.js';
import { goOnRemoving, type RemoveOptions, type RemoveResult, removeWorktree } from './remove.js';
import { fetchRemote, type NetworkContext } from './remote.js';
import type { Repository } from './repository.js';
import { RescueStore } from './rescue-store.js';
import { dropOldRescues } from './rescue-sweep.js';
import { openAdmin, Worktree } from './worktree.js';

/** How often rescues are looked through for those whose time is over. */
const SWEEP_MS = 3600 * 1000;

export interface Created {
  readonly entry: Entry;
  readonly existing: boolean;
}

/** The worktrees of this runner, on disk and in the journal beside them. */
export class Worktrees {
  readonly #locks = new Locks();
  readonly #creating = new Map<string, Promise<Created>>();
  readonly #journal: Journal;
  readonly #rescues: RescueStore;
  readonly #opened = Promise.withResolvers<undefined>();
  #sweep: NodeJS.Timeout | undefined;

  /**
   * @param root where they are made; one folder for each tenant
   * @param sessionsIn sessions of which a process works in a folder
   */
  constructor(
    private readonly root: string,
    readonly network: NetworkContext,
    private readonly log: Logger,
    private readonly sessionsIn: (folder: string) => Promise<readonly string[]>,
  ) {
    this.#journal = new Journal(join(root, '.journal'), log);
    this.#rescues = new RescueStore(join(root, '.rescues'), log);
  }

  /** Cleans up what a killed runner left; calls wait for it. To be called when none of its processes lives any more. */
  async open(): Promise<void> {
    try {
      await this.#start();
      this.#opened.resolve(undefined);
    } catch (error) {
      this.log.error({ err: error, folder: this.root }, 'worktrees cannot be served');
      this.#opened.promise.catch(() => undefined);
      const told = error instanceof DomainError ? error : cannotServe('The folder for worktrees cannot be used.');
      this.#opened.reject(told);
    }
  }

  close(): void {
    clearInterval(this.#sweep);
  }

  /**
   * Makes a worktree, or answers the one that an earlier call with this id has made.
   * @throws DomainError REPOSITORY_NOT_ALLOWED, REF_NOT_FOUND, BRANCH_IN_USE, …; nothing is left then
   */
  async create(request: CreateRequest): Promise<Created> {
    await this.#opened.promise;
    checkCreate(request);
    const underway = this.#creating.get(request.id);
    if (underway) return { ...(await underway), existing: true };
    const creation = this.#create(request).finally(() => this.#creating.delete(request.id));
    this.#creating.set(request.id, creation);
    return creation;
  }

  async list(): Promise<Entry[]> {
    await this.#opened.promise;
    return this.#journal.list();
  }

  /** Looks at a worktree, beside whatever else is done with it. */
  async read<Result>(id: string, use: (worktree: Worktree) => Promise<Result>): Promise<Result> {
    const entry = await this.#find(id);
    if (entry.state !== 'ready') throw notReady(entry);
    const repository = await this.#repositoryOf(entry);
    try {
      const worktree = await Worktree.open(entry, repository);
      try {
        return await use(worktree);
      } finally {
        worktree.close();
      }
    } finally {
      repository.close();
    }
  }

  /** Changes a worktree; one change at a time in each repository. */
  async write<Result>(id: string, use: (worktree: Worktree) => Promise<Result>): Promise<Result> {
    const { gitDir } = await this.#find(id);
    return this.#locks.hold(gitDir, () =>
      this.read(id, async (worktree) => {
        await requireWritable(worktree.repository, worktree.entry);
        return use(worktree);
      }),
    );
  }

  /**
   * @param givenUp whether the caller does not wait any more: before it is the call's turn, much time may pass
   * @throws DomainError NOT_FOUND, WOULD_LOSE_WORK, REQUEST_TIMEOUT when the caller gave up before
   */
  async remove(id: string, options: RemoveOptions, givenUp = (): boolean => false): Promise<RemoveResult> {
    const { gitDir } = await this.#find(id);
    return this.#locks.hold(gitDir, async () => {
      const entry = await this.#find(id);
      const repository = await this.#repositoryOf(entry);
      try {
        await requireWritable(repository, entry);
        const context = { ...this.#context, repository, givenUp, sessionsIn: this.sessionsIn };
        return await removeWorktree(entry, context, options);
      } finally {
        repository.close();
      }
    });
  }

  async listRescues(): Promise<Awaited<ReturnType<RescueStore['list']>>> {
    await this.#opened.promise;
    return this.#rescues.list();
  }

  get #context(): { journal: Journal; rescues: RescueStore } {
    return { journal: this.#journal, rescues: this.#rescues };
  }

  async #create(request: CreateRequest): Promise<Created> {
    const existing = await this.#journal.read(request.id);
    if (existing?.state === 'ready') return { entry: existing, existing: true };
    if (existing) throw notReady(existing);
    const repository = await this.network.places.open(request.repository);
    try {
      await requireNoLinks(repository.gitDir);
      // Before the lock: the network may take its time.
      const remote = request.fetch ? await fetchRemote(repository, undefined, this.network) : undefined;
      const entry = await this.#locks.hold(repository.gitDir.path, () => this.#make(request, repository, remote));
      return { entry, existing: false };
    } finally {
      repository.close();
    }
  }

  async #make(request: CreateRequest, repository: Repository, remote?: string): Promise<Entry> {
    const entry = await planWorktree(request, repository, await realpath(this.root), remote);
    await this.#journal.write(entry);
    try {
      await addWorktree(entry, repository);
      const worktree = await Worktree.open(entry, repository);
      try {
        const filled = await fillWorktree(worktree, request.copy, this.network.places.isTrusted(repository.path));
        await this.#journal.write(filled);
        return filled;
      } finally {
        worktree.close();
      }
    } catch (error) {
      const told = await withDiskChecked(error, this.root);
      await undoCreation(entry, { ...this.#context, repository }).catch((failure: unknown) => {
        this.log.error({ err: failure, worktree: entry.id }, 'a creation that failed could not be undone');
      });
      throw told;
    }
  }

  async #find(id: string): Promise<Entry> {
    await this.#opened.promise;
    const entry = await this.#journal.read(id);
    if (entry) return entry;
    throw new DomainError('NOT_FOUND', 'There is no such worktree.');
  }

  /** @throws DomainError REPOSITORY_NOT_ALLOWED when it is not where it was, or that is no project root any more */
  async #repositoryOf(entry: Entry): Promise<Repository> {
    const repository = await this.network.places.open(entry.repository);
    if (repository.path === entry.repository && repository.gitDir.path === entry.gitDir) return repository;
    repository.close();
    throw new DomainError('REPOSITORY_NOT_ALLOWED', 'The worktree’s repository is not where it was.');
  }

  async #start(): Promise<void> {
    await makeFolder(this.root);
    // What another is making or putting aside would look like what a killed runner left.
    if (!(await claimFolder(this.root))) throw cannotServe('Another runner uses the folder for worktrees.');
    await this.#journal.open();
    await this.#rescues.open();
    await this.#sweepRescues(() => this.#rescues.removeUnfinished());
    for (const entry of await this.#journal.list()) if (entry.state !== 'ready') await this.#tryRecover(entry);
    const sweep = (): Promise<void> => this.#sweepRescues(() => this.#dropOld());
    await sweep();
    this.#sweep = setInterval(() => void sweep(), SWEEP_MS).unref();
  }

  /** What is wrong with rescues keeps no worktree from being served. */
  async #sweepRescues(sweep: () => Promise<void>): Promise<void> {
    try {
      await sweep();
    } catch (error) {
      this.log.error({ err: error }, 'rescues could not be looked through');
    }
  }

  async #dropOld(): Promise<void> {
    const repositories = (await this.#journal.list()).map(({ repository }) => repository);
    await dropOldRescues(this.#rescues, repositories, this.network.places, this.log);
  }

  async #tryRecover(entry: Entry): Promise<void> {
    try {
      await this.#recover(entry);
      this.log.warn({ worktree: entry.id, state: entry.state }, 'a worktree that was left half-way was taken away');
    } catch (error) {
      this.log.error({ err: error, worktree: entry.id }, 'a worktree that was left half-way could not be taken away');
    }
  }

  async #recover(entry: Entry): Promise<void> {
    // Without its repository there is nothing of it there; with one that cannot be opened the next start tries again.
    const repository = existsSync(entry.gitDir) ? await this.#repositoryOf(entry) : undefined;
    try {
      if (repository) await requireWritable(repository, entry);
      if (entry.state === 'creating') await undoCreation(entry, { ...this.#context, repository });
      else if (repository) await goOnRemoving(entry, { ...this.#context, repository });
      else await this.#finishWithout(entry);
    } finally {
      repository?.close();
    }
  }

  /** The repository is gone: what is in the folder can neither be inspected nor put aside, so it stays. */
  async #finishWithout(entry: Entry): Promise<void> {
    if ([entry.path, asideOf(entry)].some((folder) => existsSync(folder)))
      throw new DomainError('REPOSITORY_NOT_ALLOWED', 'The worktree’s repository is gone.');
    await finishRemoval(entry, { ...this.#context, repository: undefined });
  }
}

const cannotServe = (why: string): DomainError => new DomainError('GIT_FAILED', why);

/** @throws DomainError GIT_FAILED when git would write through a symbolic link, in the repository or for the worktree */
async function requireWritable(repository: Repository, entry: Entry): Promise<void> {
  await requireNoLinks(repository.gitDir);
  const admin = openAdmin(repository, entry.name);
  try {
    if (admin) await requireNoLinks(admin);
  } finally {
    admin?.close();
  }
}

function notReady({ state }: Entry): DomainError {
  return new DomainError('WORKTREE_NOT_READY', `The worktree is ${state}.`);
}
