import { lstatSync, realpathSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { isAbsolute, join, normalize, relative } from 'node:path';
import { DomainError } from '../../kernel/errors.js';
import { isInside, Pinned } from './pinned.js';
import { type GitSetup, Repository } from './repository.js';

/** How deep below a root repositories are looked for, how many are told, and how many folders are looked at for them. */
const MAX_DEPTH = 4;
const MAX_REPOSITORIES = 1000;
const MAX_FOLDERS = 20_000;
const MAX_PATH_BYTES = 4096;

export interface FoundRepository {
  readonly path: string;
  /** Below its root. */
  readonly name: string;
}

/** Where repositories may be. A root is looked up whenever it is used, so one that is mounted later serves too. */
export class Places {
  constructor(
    private readonly roots: readonly string[],
    private readonly trusted: readonly string[],
    private readonly setup: GitSetup,
  ) {}

  /**
   * Opens a repository; the caller closes it.
   * @param asked a path under a root, or the name of a repository there
   * @throws DomainError REPOSITORY_NOT_ALLOWED, the same for what is not there, is none and is elsewhere
   */
  async open(asked: string): Promise<Repository> {
    if (asked === '' || asked.includes('\0') || Buffer.byteLength(asked) > MAX_PATH_BYTES) throw notAllowed();
    const roots = this.#realRoots();
    for (const path of isAbsolute(asked) ? [normalize(asked)] : roots.map((root) => join(root, asked))) {
      const folder = Pinned.open(path);
      if (folder === undefined) continue;
      if (!roots.some((root) => isInside(root, folder.path))) {
        folder.close();
        continue;
      }
      const repository = await Repository.open(folder, this.setup, (place) => this.allows(place));
      if (repository) return repository;
    }
    throw notAllowed();
  }

  /** Is its `.gatehouse.yaml` followed? */
  isTrusted(path: string): boolean {
    return this.trusted.some((each) => realPath(each) === path);
  }

  /** Is this folder, by its real path, under a root? */
  allows(path: string): boolean {
    return this.#realRoots().some((root) => isInside(root, path));
  }

  /** The repositories under the roots, by name; symbolic links and hidden folders are not followed. */
  async find(): Promise<{ repositories: FoundRepository[]; truncated: boolean }> {
    const search = new Search();
    for (const root of this.#realRoots()) await search.look(root, root, 0);
    const repositories = search.found.toSorted((one, other) => (one.name < other.name ? -1 : 1));
    return { repositories: repositories.slice(0, MAX_REPOSITORIES), truncated: search.full };
  }

  #realRoots(): string[] {
    return [...new Set(this.roots.map(realPath).filter((root) => root !== undefined))];
  }
}

class Search {
  readonly found: FoundRepository[] = [];
  full = false;
  #folders = 0;

  async look(root: string, folder: string, depth: number): Promise<void> {
    if (this.found.length > MAX_REPOSITORIES || this.#folders >= MAX_FOLDERS) {
      this.full = true;
      return;
    }
    this.#folders += 1;
    if (looksLikeRepository(folder)) {
      if (!this.found.some(({ path }) => path === folder)) {
        this.found.push({ path: folder, name: relative(root, folder) || '.' });
      }
      return;
    }
    if (depth >= MAX_DEPTH) return;
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const skipped = !entry.isDirectory() || entry.name.startsWith('.') || entry.name === 'node_modules';
      if (!skipped) await this.look(root, join(folder, entry.name), depth + 1);
    }
  }
}

function looksLikeRepository(folder: string): boolean {
  const isFolder = (...names: string[]): boolean =>
    lstatSync(join(folder, ...names), { throwIfNoEntry: false })?.isDirectory() ?? false;
  if (isFolder('.git')) return true;
  return (
    isFolder('objects') && isFolder('refs') && lstatSync(join(folder, 'HEAD'), { throwIfNoEntry: false }) !== undefined
  );
}

function realPath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** One answer for all reasons: which files lie elsewhere is not told. */
function notAllowed(): DomainError {
  return new DomainError('REPOSITORY_NOT_ALLOWED', 'There is no such repository under the project roots.');
}
