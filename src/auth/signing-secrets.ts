import { join } from 'node:path';
import type { Config } from '../config/load.js';
import { localSecret } from '../config/local-secret.js';

/** Secrets that verify local tokens; only the first one signs. Never empty. */
export type SigningSecrets = readonly [string, ...string[]];
export const SIGNING_SECRETS = Symbol('SIGNING_SECRETS');

/**
 * AUTH_SECRET and its predecessor; outside production a missing one is made once and kept in DATA_DIR.
 * @param tell told, in one sentence, when a secret was made
 * @throws ConfigurationError when the kept one is damaged
 */
export function signingSecrets(config: Config, tell: (message: string) => void): SigningSecrets {
  const current = config.AUTH_SECRET ?? keptSecret(join(config.dataDir, 'auth-secret'), tell);
  return config.AUTH_SECRET_PREVIOUS === undefined ? [current] : [current, config.AUTH_SECRET_PREVIOUS];
}

function keptSecret(path: string, tell: (message: string) => void): string {
  const { value, created } = localSecret(path);
  if (created) tell(`AUTH_SECRET is not set: made one to sign tokens with, kept in ${path}`);
  return value;
}
