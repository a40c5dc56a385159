/** Files of a worktree as blobs. They are opened by us, so that no link is followed and no filter has a part in it. */
import { constants } from 'node:fs';
import { type FileHandle, lstat, open, readdir, readlink } from 'node:fs/promises';
import { DomainError } from '../../kernel/errors.js';
import { withinBytes } from './files.js';
import type { Worktree } from './worktree.js';

/** Files and bytes of one rescue. */
const MAX_FILES = 100_000;
const MAX_BYTES = 8 * 1024 * 1024 * 1024;
/** Files that are open for one call of git. */
const PER_CALL = 64;
const TIMEOUT_MS = 600_000;
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** A file as git keeps it, with the mode it had. */
export interface KeptFile {
  readonly path: Buffer;
  readonly mode: '100644' | '100755' | '120000';
  readonly blob: string;
  readonly permissions: number;
}

interface Opened {
  readonly path: Buffer;
  readonly file: FileHandle;
  readonly permissions: number;
}

/** Makes blobs of files, up to the bounds of one rescue. */
export class BlobMaker {
  #files = 0;
  #bytes = 0;

  constructor(private readonly worktree: Worktree) {}

  /** What is a file or a symbolic link; the rest, and what is gone, is left out. */
  async keep(paths: readonly Buffer[]): Promise<KeptFile[]> {
    const kept: KeptFile[] = [];
    for (let start = 0; start < paths.length; start += PER_CALL) {
      kept.push(...(await this.#keepSome(paths.slice(start, start + PER_CALL))));
    }
    return kept;
  }

  async #keepSome(paths: readonly Buffer[]): Promise<KeptFile[]> {
    const opened: Opened[] = [];
    const links: KeptFile[] = [];
    try {
      for (const path of paths) {
        const found = await withinBytes(this.worktree.tree, path, openEntry);
        if (Buffer.isBuffer(found)) links.push(await this.#keepLink(path, found));
        else if (found) opened.push(await this.#admit(path, found));
      }
      return [...links, ...(await this.#hash(opened))];
    } finally {
      for (const { file } of opened) await file.close();
    }
  }

  async #admit(path: Buffer, file: FileHandle): Promise<Opened> {
    const { size, mode } = await file.stat();
    this.#count(size);
    return { path, file, permissions: mode & 0o7777 };
  }

  async #hash(opened: readonly Opened[]): Promise<KeptFile[]> {
    if (opened.length === 0) return [];
    const handles = opened.map(({ file }) => `/proc/${String(process.pid)}/fd/${String(file.fd)}`);
    const args = ['hash-object', '-w', '--no-filters', '--', ...handles];
    // Only so it is these very files, whatever lies at their paths by now. It writes objects, and nothing that says what.
    const { stdout } = await this.worktree.run(args, { timeoutMs: TIMEOUT_MS, confined: null });
    const blobs = stdout.toString().split('\n');
    return opened.map(({ path, permissions }, index) => {
      return { path, permissions, blob: blobs[index] ?? '', mode: (permissions & 0o100) === 0 ? '100644' : '100755' };
    });
  }

  async #keepLink(path: Buffer, target: Buffer): Promise<KeptFile> {
    this.#count(target.length);
    const { stdout } = await this.worktree.run(['hash-object', '-w', '--stdin'], { input: target });
    return { path, mode: '120000', blob: stdout.toString().trimEnd(), permissions: 0o777 };
  }

  #count(bytes: number): void {
    this.#files += 1;
    this.#bytes += bytes;
    if (this.#files <= MAX_FILES && this.#bytes <= MAX_BYTES) return;
    const limits = `${String(MAX_FILES)} files or ${String(MAX_BYTES / 2 ** 30)} GiB`;
    throw new DomainError('WOULD_LOSE_WORK', `More than ${limits} are at stake: too much to be put aside.`);
  }
}

/** @returns a file that is open, the target of a link, or undefined for anything else */
async function openEntry(entry: Buffer): Promise<FileHandle | Buffer | undefined> {
  const found = await lstat(entry);
  if (found.isSymbolicLink()) return readlink(entry, { encoding: 'buffer' });
  if (!found.isFile()) return undefined;
  const file = await open(entry, READ);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  return undefined;
}

/**
 * The files in what was listed: of a folder those in it, without what other repositories in it keep for themselves.
 * @param nested gets the repositories that were found
 */
export async function listFiles(worktree: Worktree, listed: readonly Buffer[], nested: Set<string>): Promise<Buffer[]> {
  const files: Buffer[] = [];
  const pending = listed.map(withoutSlash);
  for (let path = pending.pop(); path; path = pending.pop()) {
    const at = path;
    const names = await withinBytes(worktree.tree, at, async (entry) => {
      if (!(await lstat(entry)).isDirectory()) return undefined;
      const folder = await open(entry, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
      try {
        return await readdir(`/proc/self/fd/${String(folder.fd)}`, { encoding: 'buffer' });
      } finally {
        await folder.close();
      }
    });
    if (names === undefined) files.push(at);
    else if (names.some((name) => name.toString('latin1') === '.git')) nested.add(at.toString('latin1'));
    else pending.push(...names.map((name) => Buffer.concat([at, Buffer.from('/'), name])));
    if (files.length + pending.length > MAX_FILES) break; // more than can be kept, which is told when they are
  }
  return files.concat(pending);
}

/** Git lists a folder with a slash at its end. */
export function withoutSlash(path: Buffer): Buffer {
  return path.at(-1) === 0x2f ? path.subarray(0, -1) : path;
}
