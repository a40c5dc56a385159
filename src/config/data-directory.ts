import { accessSync, chmodSync, constants, existsSync, mkdirSync, type Stats, statSync } from 'node:fs';
import { ConfigurationError } from './load.js';

/**
 * Makes DATA_DIR (mode 0700), or checks one that is there: it is never changed. Others may read its list of names, the
 * files in it are closed; they may not write it, since they could put files of their own in the place of ours.
 * @throws ConfigurationError with a plain sentence when it cannot be used
 */
export function prepareDataDirectory(path: string): void {
  requireOurs(path, madeOrFound(path));
}

/** Checks one that is there in the same way, and makes none. @throws ConfigurationError when it cannot be used */
export function checkDataDirectory(path: string): void {
  if (existsSync(path))
    requireOurs(
      path,
      usable(path, () => statSync(path)),
    );
}

function requireOurs(path: string, found: Stats): void {
  const name = JSON.stringify(path);
  if (found.uid !== process.getuid?.()) {
    throw new ConfigurationError([`DATA_DIR: ${name} belongs to another user, expected a folder of this user's`]);
  }
  if ((found.mode & 0o022) !== 0) {
    const mode = (found.mode & 0o7777).toString(8);
    throw new ConfigurationError([
      `DATA_DIR: other users may write ${name} (mode ${mode}), expected a folder that only its owner may write`,
    ]);
  }
}

function madeOrFound(path: string): Stats {
  return usable(path, () => {
    const made = mkdirSync(path, { recursive: true, mode: 0o700 });
    // The mode above is subject to the umask.
    if (made !== undefined) chmodSync(path, 0o700);
    return statSync(path);
  });
}

function usable(path: string, look: () => Stats): Stats {
  try {
    const found = look();
    if (!found.isDirectory()) throw Object.assign(new Error(), { code: 'ENOTDIR' });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
    return found;
  } catch (error) {
    const { code = 'unknown' } = Object(error) as { code?: string };
    throw new ConfigurationError([
      `DATA_DIR: ${JSON.stringify(path)} cannot be written (${code}), expected a folder that this user may create and write`,
    ]);
  }
}
