/** Files that are there whole, or not at all, whatever kills the process or the machine. */
import { mkdir, open, readFile, rename, rm, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DomainError } from '../../kernel/errors.js';
import { errnoOf } from '../errno.js';

/** Writes beside the file, waits for the disk, and puts it in place. */
export async function writeDurably(path: string, text: string): Promise<void> {
  const beside = `${path}.new`;
  try {
    const file = await open(beside, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(beside, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(beside, { force: true });
    throw diskError(error);
  }
}

/** Waits until the names in a folder are on disk. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Waits until a file's content is on disk. */
export const syncFile = syncFolder;

export async function removeDurably(path: string): Promise<void> {
  await rm(path, { force: true });
  await syncFolder(dirname(path));
}

/** Makes a folder that only this user can enter. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw diskError(error);
  }
}

export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** A full disk is the caller's to know. */
export function diskError(error: unknown): unknown {
  if (!['ENOSPC', 'EDQUOT', 'EFBIG'].includes(errnoOf(error) ?? '')) return error;
  return new DomainError('DISK_FULL', 'There is no space left on the device.', { cause: error });
}

/** Git does not always say why it could not write: with so little room left, that was it. */
const FULL_BYTES = 64 * 1024;

/** The error as it is, or DISK_FULL when git failed on a disk that has no room left. */
export async function withDiskChecked(error: unknown, folder: string): Promise<unknown> {
  if (!(error instanceof DomainError) || error.code !== 'GIT_FAILED') return error;
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize >= FULL_BYTES) return error;
  return new DomainError('DISK_FULL', 'There is no space left on the device.', { cause: error });
}
