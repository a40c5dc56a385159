/** Folders of files that nobody here made: they are walked by descriptor, so that no symbolic link leads out. */
import { constants, type Dirent } from 'node:fs';
import { chmod, type FileHandle, lstat, open, readdir, rename, rmdir, unlink } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
import { randomToken } from '../../kernel/ids.js';
import { errnoOf } from '../errno.js';

/** Open without a right to read; Linux has it, Node does not name it. */
const O_PATH = 0o10000000;
const EXACT = constants.O_DIRECTORY | constants.O_NOFOLLOW;
/** A folder so deep is moved up before it is looked into: each level costs a descriptor. */
const MAX_DEPTH = 100;
/** Files that are counted at most, and of those with several names, so many are remembered. */
const MAX_COUNTED = 2_000_000;
const MAX_REMEMBERED = 200_000;

type Path = string | Buffer;

/** A path to what is in an open folder. */
const inside = (folder: FileHandle, name: Path): Buffer =>
  Buffer.concat([Buffer.from(`/proc/self/fd/${String(folder.fd)}/`), Buffer.from(name)]);

/** How often a folder is tried that somebody writes into while it is emptied, and how long is waited in between. */
const TRIES = 5;
const PAUSE_MS = 100;

/** Removes a folder and what is in it, read-only folders too; what its links point at stays. */
export async function removeTree(path: string): Promise<void> {
  for (let tried = 1; ; tried += 1) {
    try {
      await removeOnce(path);
      return;
    } catch (error) {
      if (tried >= TRIES || !['ENOTEMPTY', 'EBUSY'].includes(errnoOf(error) ?? '')) throw error;
      await setTimeout(PAUSE_MS * tried);
    }
  }
}

async function removeOnce(path: string): Promise<void> {
  const found = await lstat(path).catch(undefinedIfGone);
  if (found === undefined) return;
  if (!found.isDirectory()) {
    await unlink(path);
    return;
  }
  const folder = await openFolder(path);
  try {
    const top = { top: folder, mark: randomToken(8), moved: 0 };
    // What was too deep turns up here again.
    for (let entries = await entriesOf(folder); entries.length > 0; entries = await entriesOf(folder)) {
      await empty(folder, entries, top, 0);
    }
  } finally {
    await folder.close();
  }
  await rmdir(path);
}

interface Top {
  readonly top: FileHandle;
  /** In the names of what is moved there: an earlier removal may have been killed. */
  readonly mark: string;
  moved: number;
}

async function empty(folder: FileHandle, entries: readonly Dirent<Buffer>[], top: Top, depth: number): Promise<void> {
  for (const entry of entries) {
    const path = inside(folder, entry.name);
    if (!entry.isDirectory()) await unlink(path).catch(undefinedIfGone);
    else if (depth >= MAX_DEPTH) await moveUp(path, top);
    else await removeInner(path, top, depth + 1);
  }
}

async function removeInner(path: Path, top: Top, depth: number): Promise<void> {
  const folder = await openFolder(path);
  try {
    await empty(folder, await entriesOf(folder), top, depth);
  } finally {
    await folder.close();
  }
  await rmdir(path).catch(undefinedIfGone);
}

async function moveUp(path: Path, top: Top): Promise<void> {
  top.moved += 1;
  await rename(path, inside(top.top, `.deep-${top.mark}-${String(top.moved)}`));
}

/** Opens a folder, and makes it one that its owner may empty. */
async function openFolder(path: Path): Promise<FileHandle> {
  const folder = await open(path, O_PATH | EXACT);
  const handle = `/proc/self/fd/${String(folder.fd)}`;
  const { mode } = await lstat(`${handle}/.`).catch(() => ({ mode: 0 }));
  if ((mode & 0o700) !== 0o700) await chmod(handle, 0o700);
  return folder;
}

function entriesOf(folder: FileHandle): Promise<Dirent<Buffer>[]> {
  return readdir(inside(folder, '.'), { withFileTypes: true, encoding: 'buffer' });
}

function undefinedIfGone(error: unknown): undefined {
  if (errnoOf(error) !== 'ENOENT') throw error;
}

/**
 * What a folder takes on disk, in bytes; a file with several names counts once.
 * @returns a lower bound when it holds more files than are counted, or some that may not be read
 */
export async function diskUse(path: string): Promise<number> {
  const remembered = new Set<string>();
  let bytes = 0;
  let counted = 0;
  const add = async (entry: Path): Promise<boolean> => {
    const found = await lstat(entry).catch(() => undefined);
    if (found === undefined) return false;
    counted += 1;
    if (found.isDirectory() || found.nlink === 1) {
      bytes += found.blocks * 512;
      return found.isDirectory();
    }
    const key = `${String(found.dev)}:${String(found.ino)}`;
    if (!remembered.has(key) && remembered.size < MAX_REMEMBERED) {
      bytes += found.blocks * 512;
      remembered.add(key);
    }
    return false;
  };
  const pending: Buffer[] = (await add(path)) ? [Buffer.from(path)] : [];
  for (let folder = pending.pop(); folder; folder = pending.pop()) {
    for (const name of await readdir(folder, { encoding: 'buffer' }).catch(() => [])) {
      if (counted >= MAX_COUNTED) return bytes;
      const entry = Buffer.concat([folder, Buffer.from('/'), name]);
      if (await add(entry)) pending.push(entry);
    }
  }
  return bytes;
}
