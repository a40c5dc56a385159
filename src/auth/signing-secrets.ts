import type { Config } from '../config/load.js';
import { localSecret } from '../config/data-directory.js';

/** Secrets that verify local tokens; only the first one signs. Never empty. */
export type SigningSecrets = readonly [string, ...string[]];
export const SIGNING_SECRETS = Symbol('SIGNING_SECRETS');

/** AUTH_SECRET and its predecessor; outside production a missing one is made once and kept in DATA_DIR. */
export function signingSecrets(config: Config): SigningSecrets {
  const current = config.AUTH_SECRET ?? localSecret(config.dataDir, 'auth-secret').value;
  return config.AUTH_SECRET_PREVIOUS === undefined ? [current] : [current, config.AUTH_SECRET_PREVIOUS];
}
