import { closeSync, fsyncSync, linkSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { randomToken } from '../kernel/ids.js';
import { ConfigurationError } from './load.js';

const SECRET_BYTES = 48;
/** A shorter one is a file that was cut off: an empty key lets anybody sign. */
const MIN_BYTES = 32;

/**
 * A secret that this installation makes for itself, in a file that only its user can read (0600); made at the first
 * call, never replaced.
 * @param path the file; its folder exists
 * @param made the secret when it is made now
 * @returns the secret, text, and whether this call made it
 * @throws ConfigurationError when it cannot be made or read, or is shorter than 32 bytes
 */
export function localSecret(path: string, made = randomToken(SECRET_BYTES)): { value: string; created: boolean } {
  const known = readSecret(path);
  if (known !== null) return { value: known, created: false };
  const created = named(path, () => create(path, made));
  return { value: readSecret(path) ?? made, created };
}

/**
 * A secret that was made before; null when there is no such file.
 * @throws ConfigurationError when it cannot be read, others can read it, or it is shorter than 32 bytes
 */
export function readSecret(path: string): string | null {
  const value = named(path, () => read(path));
  const mode = value === null ? 0 : named(path, () => statSync(path).mode);
  if ((mode & 0o077) !== 0) {
    throw new ConfigurationError([
      `DATA_DIR: others may read the secret ${JSON.stringify(path)} (mode ${(mode & 0o777).toString(8)}), expected 600; ` +
        'if somebody may have, rotate it (docs/rotating-secrets.md)',
    ]);
  }
  const bytes = Buffer.byteLength(value ?? '');
  if (value === null || bytes >= MIN_BYTES) return value;
  throw new ConfigurationError([
    `DATA_DIR: the secret ${JSON.stringify(path)} has ${bytes} bytes, expected at least ${MIN_BYTES}; put its content ` +
      'back, or, if nothing depends on it, remove the file to have a new one made',
  ]);
}

/** Runs something on the file, whose failure is told as a sentence. */
function named<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new ConfigurationError([
      `DATA_DIR: the secret ${JSON.stringify(path)} cannot be made or read (${String(codeOf(error))})`,
    ]);
  }
}

function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/** The name appears once the content is on the disk; false when somebody else was first, whose file stays. */
function create(path: string, value: string): boolean {
  const partial = `${path}.${randomToken(6)}.new`;
  try {
    writeDurably(partial, value);
    linkSync(partial, path);
    syncFolder(dirname(path));
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(partial, { force: true });
  }
}

function writeDurably(path: string, value: string): void {
  const file = openSync(path, 'wx', 0o600);
  try {
    writeFileSync(file, value);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function syncFolder(path: string): void {
  const folder = openSync(path, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

const codeOf = (error: unknown): unknown => (Object(error) as { code?: unknown }).code;
