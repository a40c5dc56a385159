import { accessSync, chmodSync, constants, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomToken } from '../kernel/ids.js';
import { ConfigurationError } from './load.js';

/**
 * Makes DATA_DIR (mode 0700) and checks that it can be written.
 * @throws ConfigurationError with a plain sentence when it cannot
 */
export function prepareDataDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    if (!statSync(path).isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    chmodSync(path, 0o700);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    throw new ConfigurationError([
      `DATA_DIR: ${JSON.stringify(path)} cannot be written (${code}), expected a folder that this user may create and write`,
    ]);
  }
}

/** A secret that this installation made for itself, kept 0600 in DATA_DIR; made at the first call. */
export function localSecret(dataDirectory: string, name: string): { value: string; created: boolean } {
  const path = join(dataDirectory, name);
  try {
    writeFileSync(path, randomToken(48), { mode: 0o600, flag: 'wx' });
    return { value: readFileSync(path, 'utf8'), created: true };
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    return { value: readFileSync(path, 'utf8').trim(), created: false };
  }
}
