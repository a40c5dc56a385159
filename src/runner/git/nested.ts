/** Repositories that lie in a worktree: its own git says nothing of most of them, whatever they hold. */
import { closeSync, constants, lstatSync, openSync, readlinkSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { errnoOf } from '../errno.js';
import type { Pinned } from './pinned.js';

/** Folders that are looked into, and repositories that are told. */
const MAX_FOLDERS = 500_000;
const MAX_FOUND = 1000;
/** So many folders before other work gets its turn. */
const PER_TURN = 64;
const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const SLASH = Buffer.from('/');

/** Paths are bytes, below the folder that was looked through. */
export interface Nested {
  /** With a `.git` of their own; `.git` itself when the folder's own is a folder. What is in them is not looked into. */
  readonly repositories: readonly Buffer[];
  /** Such as git makes without files. */
  readonly bare: readonly Buffer[];
  /** Folders that could not be looked into: there may be more. */
  readonly unknown: readonly Buffer[];
}

/** Looks through a folder, without following a link. */
export async function findNested(tree: Pinned): Promise<Nested> {
  const search = new Search(tree);
  await search.look();
  return search;
}

class Search implements Nested {
  readonly repositories: Buffer[] = [];
  readonly bare: Buffer[] = [];
  readonly unknown: Buffer[] = [];
  readonly #pending: Buffer[] = [Buffer.alloc(0)];
  #looked = 0;

  constructor(private readonly tree: Pinned) {}

  async look(): Promise<void> {
    for (let path = this.#pending.pop(); path; path = this.#pending.pop()) {
      if (this.#looked >= MAX_FOLDERS || this.repositories.length + this.bare.length >= MAX_FOUND) {
        this.unknown.push(path);
        return;
      }
      this.#looked += 1;
      if (this.#looked % PER_TURN === 0) await setImmediate();
      await this.#lookInto(path).catch((error: unknown) => {
        // It was there a moment ago, and is gone or no folder any more.
        if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '')) this.unknown.push(path);
      });
    }
  }

  async #lookInto(path: Buffer): Promise<void> {
    const descriptor = openSync(this.#full(path), FOLDER);
    const handle = `/proc/self/fd/${String(descriptor)}`;
    try {
      if (!this.#isAt(handle, path)) {
        this.unknown.push(path);
        return;
      }
      const entries = await readdir(handle, { withFileTypes: true, encoding: 'buffer' });
      const names = new Set(entries.map(({ name }) => name.toString('latin1')));
      if (path.length > 0 && names.has('.git')) {
        this.repositories.push(path);
        return;
      }
      if (path.length > 0 && ['HEAD', 'objects', 'refs'].every((name) => names.has(name))) this.bare.push(path);
      for (const entry of entries) if (entry.isDirectory()) this.#add(path, entry.name);
    } finally {
      closeSync(descriptor);
    }
  }

  #add(folder: Buffer, name: Buffer): void {
    // Of a worktree it is a file: a folder is a repository that somebody has made in its place.
    if (folder.length === 0 && name.toString('latin1') === '.git') this.repositories.push(name);
    else this.#pending.push(folder.length === 0 ? name : Buffer.concat([folder, SLASH, name]));
  }

  #full(path: Buffer): Buffer {
    return Buffer.concat([Buffer.from(`${this.tree.handle}/`), path.length === 0 ? Buffer.from('.') : path]);
  }

  /** Has no link led elsewhere on the way? */
  #isAt(handle: string, path: Buffer): boolean {
    const root = readlinkSync(this.tree.handle, { encoding: 'buffer' });
    const real = readlinkSync(handle, { encoding: 'buffer' });
    return real.equals(path.length === 0 ? root : Buffer.concat([root, SLASH, path]));
  }
}

/** Is there anything in this folder? What cannot be looked at counts. */
export async function isFilled(tree: Pinned, path: Buffer): Promise<boolean> {
  const full = Buffer.concat([Buffer.from(`${tree.handle}/`), path]);
  try {
    if (lstatSync(full, { throwIfNoEntry: false })?.isDirectory() !== true) return false;
    return (await readdir(full)).length > 0;
  } catch (error) {
    return errnoOf(error) !== 'ENOENT';
  }
}
