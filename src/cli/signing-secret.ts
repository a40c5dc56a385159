import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from './failure.js';

/** A shorter secret is refused by the server as well. */
const MIN_BYTES = 32;
const NAME = 'auth-secret';

/** What this installation signs tokens with. */
export interface SigningSecret {
  readonly value: string;
  /** Where it was found, for people: a variable or a file, never the secret. */
  readonly from: string;
}

/**
 * The secret that signs local tokens: the file that is named, else AUTH_SECRET in the environment, else the file
 * `auth-secret` in DATA_DIR (`data`). Never from the command line, which every user of the machine can read.
 * @param named path of a file that was asked for; undefined for none
 * @returns null when there is none
 * @throws Failure when one is there and cannot be read, or is shorter than 32 bytes
 */
export function findSigningSecret(named: string | undefined): SigningSecret | null {
  if (named !== undefined) return checked(read(named) ?? missing(named), named);
  const variable = process.env['AUTH_SECRET'] ?? '';
  if (variable !== '') return checked(variable, 'AUTH_SECRET');
  const path = join(process.env['DATA_DIR'] || 'data', NAME);
  const kept = read(path);
  return kept === null ? null : checked(kept, path);
}

function checked(value: string, from: string): SigningSecret {
  const bytes = Buffer.byteLength(value);
  if (bytes < MIN_BYTES) throw new Failure(`the secret in ${from} has ${bytes} bytes; it takes at least ${MIN_BYTES}`);
  return { value, from };
}

/** The file's text as the server takes it, without white space around it; null when there is no such file. */
function read(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw new Failure(`${path} cannot be read (${String(code)})`);
  }
}

function missing(path: string): never {
  throw new Failure(`there is no file ${path}`);
}
