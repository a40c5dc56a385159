/** Single files in folders that others write to, reached name by name and never through a symbolic link. */
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { errnoOf } from '../errno.js';
import type { Pinned } from './pinned.js';

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** A pipe does not make the reader wait. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** A path to an entry of an open folder. Names are bytes: Latin-1 gives each a character, and gives it back. */
const inside = (folder: FileHandle, name: string): Buffer =>
  Buffer.from(`/proc/self/fd/${String(folder.fd)}/${name}`, 'latin1');
const bytesOf = (path: string): string => Buffer.from(path).toString('latin1');

/**
 * Opens a regular file for reading.
 * @param path below the folder
 * @returns undefined when there is none, or a link or folder is in its place
 */
export async function openFile(folder: Pinned, path: string): Promise<FileHandle | undefined> {
  return within(folder, bytesOf(path), false, async (entry) => {
    const file = await open(entry, READ);
    if ((await file.stat()).isFile()) return file;
    await file.close();
    return undefined;
  });
}

/**
 * Makes a file, and the folders it is in.
 * @returns undefined when something is there already
 */
export async function createFile(folder: Pinned, path: string): Promise<FileHandle | undefined> {
  return within(folder, bytesOf(path), true, (entry) => open(entry, CREATE, 0o600));
}

/**
 * Does something with the entry at a path.
 * @param use gets a path to the entry, through the folder that it is in
 * @returns undefined when a folder on the way, or what is used, is not there or is a link
 */
async function within<Result>(
  folder: Pinned,
  path: string,
  make: boolean,
  use: (entry: Buffer) => Promise<Result>,
): Promise<Result | undefined> {
  const names = path.split('/');
  const last = names.pop() ?? '';
  let current = await open(folder.handle, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    for (const name of names) {
      const next = inside(current, name);
      if (make) await mkdir(next).catch(ignoreThere);
      const opened = await open(next, FOLDER);
      await current.close();
      current = opened;
    }
    return await use(inside(current, last));
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EEXIST', 'ENXIO', 'EISDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  } finally {
    await current.close();
  }
}

/**
 * Does something with the entry at a path that may be no text.
 * @param use gets a path to the entry, whose last part it must not follow
 * @returns undefined when it, or a folder on the way, is not there or is a link
 */
export async function withinBytes<Result>(
  folder: Pinned,
  path: Buffer,
  use: (entry: Buffer) => Promise<Result>,
): Promise<Result | undefined> {
  return within(folder, path.toString('latin1'), false, use);
}

function ignoreThere(error: unknown): void {
  if (errnoOf(error) !== 'EEXIST') throw error;
}
