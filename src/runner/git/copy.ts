import type { FileHandle } from 'node:fs/promises';
import { DomainError } from '../../kernel/errors.js';
import { diskError } from './durable.js';
import { createFile, openFile } from './files.js';
import { matchesGlob } from './globs.js';
import type { Pinned } from './pinned.js';
import type { Repository } from './repository.js';
import { splitRecords } from './status-parser.js';

const MAX_FILES = 1000;
const MAX_BYTES = 256 * 1024 * 1024;
/** Their paths are kept in the journal and told in the answer. */
const MAX_PATH_BYTES = 1024 * 1024;
/** Read and written at a time. */
const PIECE_BYTES = 256 * 1024;
const LISTING_BYTES = 64 * 1024 * 1024;

/**
 * Copies files that git does not follow from the repository's own worktree into a new one. Files that are there already
 * stay; links and what lies behind them are left out.
 * @returns the paths that were copied
 * @throws DomainError INVALID_ARGUMENT when the globs match too much
 */
export async function copyUntracked(repository: Repository, to: Pinned, globs: readonly string[]): Promise<string[]> {
  if (globs.length === 0 || repository.tree === undefined) return [];
  const copied: string[] = [];
  let bytes = 0;
  let pathBytes = 0;
  for (const path of await untracked(repository, repository.tree)) {
    if (!globs.some((glob) => matchesGlob(glob, path))) continue;
    const size = await copyFile(repository.tree, to, path, MAX_BYTES - bytes);
    if (size === undefined) continue;
    bytes += size;
    pathBytes += Buffer.byteLength(path);
    copied.push(path);
    if (copied.length > MAX_FILES || pathBytes > MAX_PATH_BYTES) throw tooMuch();
  }
  return copied;
}

async function untracked(repository: Repository, tree: Pinned): Promise<string[]> {
  const { stdout, truncated } = await repository.run(['ls-files', '--others', '-z'], {
    ...{ env: { GIT_WORK_TREE: tree.handle }, cwd: tree.handle, maxBytes: LISTING_BYTES },
  });
  if (truncated) throw tooMuch();
  // A folder, told by its slash, is another repository; a name that is no UTF-8 matches no glob.
  const paths = splitRecords(stdout).filter((path) => path.at(-1) !== 0x2f);
  return paths.filter((path) => Buffer.from(path.toString()).equals(path)).map(String);
}

/** @returns its size; undefined when it is no file, or there is one of its name */
async function copyFile(from: Pinned, to: Pinned, path: string, room: number): Promise<number | undefined> {
  const source = await openFile(from, path);
  if (source === undefined) return undefined;
  try {
    const { size, mode } = await source.stat();
    if (size > room) throw tooMuch();
    const target = await createFile(to, path);
    if (target === undefined) return undefined;
    try {
      await copyBytes(source, target, size);
      await target.chmod(mode & 0o777);
    } finally {
      await target.close();
    }
    return size;
  } catch (error) {
    throw diskError(error);
  } finally {
    await source.close();
  }
}

/** What grows meanwhile is copied up to the size it had. */
async function copyBytes(source: FileHandle, target: FileHandle, size: number): Promise<void> {
  const piece = Buffer.allocUnsafe(Math.min(size, PIECE_BYTES));
  for (let left = size; left > 0;) {
    const { bytesRead } = await source.read(piece, 0, Math.min(left, piece.length));
    if (bytesRead === 0) return;
    await target.writeFile(piece.subarray(0, bytesRead));
    left -= bytesRead;
  }
}

function tooMuch(): DomainError {
  const limits = `${String(MAX_FILES)} files, ${String(MAX_BYTES / 2 ** 20)} MiB or ${String(MAX_PATH_BYTES / 2 ** 20)} MiB of names`;
  return new DomainError('INVALID_ARGUMENT', `copy: the globs match more than ${limits}.`);
}
