import { createHash } from 'node:crypto';
import type { ProviderConfig } from './auth-config.js';
import type { KeySet } from './key-set.js';

/** One configured provider. A change of its configuration makes another object, so identity tells whether it stands. */
export interface IdentityProvider {
  readonly config: ProviderConfig;
  readonly keys: KeySet;
  /** The same as long as its configuration is the same, on every gateway: what was made under another one is void. */
  readonly settings: string;
}

/** {@link IdentityProvider.settings} */
export const settingsOf = (config: ProviderConfig): string =>
  createHash('sha256').update(JSON.stringify(config)).digest('base64url');

/** Are the keys fetched and chosen in the same way? Then they go on being used. */
export function hasSameKeys(a: ProviderConfig, b: ProviderConfig): boolean {
  const source = ({ name, issuer, url, discovery, algorithms }: ProviderConfig): string =>
    JSON.stringify([name, issuer, url, discovery, algorithms]);
  return source(a) === source(b);
}

/** Both come out of the same schema, which puts the members in the same order. */
export const isSameConfig = (a: ProviderConfig, b: ProviderConfig): boolean => JSON.stringify(a) === JSON.stringify(b);
