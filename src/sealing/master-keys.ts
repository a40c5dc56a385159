import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type Config, ConfigurationError } from '../config/load.js';
import { localSecret, readSecret } from '../config/local-secret.js';
import { MASTER_KEY_EXPECTED, parseMasterKey } from '../config/master-key.js';
import { Keyring } from './keyring.js';

const KEY_BYTES = 32;

type Keys = Pick<Config, 'ENCRYPTION_MASTER_KEY' | 'ENCRYPTION_MASTER_KEY_PREVIOUS' | 'production' | 'dataDir'>;

/** Where a master key is kept when none is given. */
export const masterKeyFile = ({ dataDir }: Pick<Config, 'dataDir'>): string => join(dataDir, 'encryption-master-key');

/**
 * The keys of ENCRYPTION_MASTER_KEY and its predecessor; outside production a missing one is made once and kept in
 * DATA_DIR. In production none is made: a gateway whose folder does not outlive it would lose all that it sealed.
 * @param tell told, in one sentence, when a key was made
 * @returns null in production without a key
 * @throws ConfigurationError when the kept one is damaged
 */
export function openKeyring(config: Keys, tell: (message: string) => void): Keyring | null {
  const { ENCRYPTION_MASTER_KEY: given, production } = config;
  if (given !== undefined || production) return givenKeyring(config);
  const path = masterKeyFile(config);
  const { value, created } = localSecret(path, randomBytes(KEY_BYTES).toString('base64'));
  if (created) tell(`ENCRYPTION_MASTER_KEY is not set: made one to seal secrets with, kept in ${path}`);
  return new Keyring(keptKey(value, path));
}

/**
 * The same, and nothing is made.
 * @returns null when there is no key
 * @throws ConfigurationError when the kept one is damaged
 */
export function findKeyring(config: Keys): Keyring | null {
  if (config.ENCRYPTION_MASTER_KEY !== undefined || config.production) return givenKeyring(config);
  const path = masterKeyFile(config);
  const kept = readSecret(path);
  return kept === null ? null : new Keyring(keptKey(kept, path));
}

function givenKeyring({ ENCRYPTION_MASTER_KEY: current, ENCRYPTION_MASTER_KEY_PREVIOUS: previous }: Keys) {
  const [key, before] = [current, previous].map((text) => (text === undefined ? null : parseMasterKey(text)));
  return key ? new Keyring(key, before ?? null) : null;
}

/** @throws ConfigurationError when it is no key */
function keptKey(text: string, path: string): Buffer {
  const key = parseMasterKey(text);
  if (key !== null) return key;
  throw new ConfigurationError([
    `DATA_DIR: ${JSON.stringify(path)} has something else, expected ${MASTER_KEY_EXPECTED}`,
  ]);
}
