import { createHash } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Longest path of a Unix socket on Linux (108 with its NUL); macOS has four fewer. */
const MAX_SOCKET_PATH = 103;

/**
 * A folder that only this user can enter, for Unix sockets: `<dataDir>/run`, or where that is too long for a socket's
 * path, one in the system's temporary folder that is named after it.
 * @param longestName bytes of the longest socket name that will be in it
 * @throws Error when the folder belongs to somebody else or is open to others
 */
export const socketDirectory = (dataDir: string, longestName: number): string =>
  privateDirectory(socketDirectoryPath(dataDir, longestName));

/** Where that folder is, whether it is there or not. */
export function socketDirectoryPath(dataDir: string, longestName: number): string {
  const usual = join(dataDir, 'run');
  const fits = Buffer.byteLength(usual) + 1 + longestName <= MAX_SOCKET_PATH;
  return fits ? usual : join(tmpdir(), `gatehouse-${userId()}-${shortHash(dataDir)}`);
}

/** Twelve hex digits that stand for a path. */
export const shortHash = (path: string): string => createHash('sha256').update(path).digest('hex').slice(0, 12);

/** Makes the folder with mode 0700, or makes sure that it is ours and closed to others. */
export function privateDirectory(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const found = lstatSync(path);
  if (!found.isDirectory() || found.uid !== userId()) throw new Error(`${path} belongs to somebody else.`);
  if ((found.mode & 0o077) !== 0) chmodSync(path, 0o700);
  return path;
}

const userId = (): number => process.getuid?.() ?? 0;
