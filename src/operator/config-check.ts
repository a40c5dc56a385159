import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openProviderFile } from '../agent/providers/provider-file.js';
import { openAlertsFile } from '../audit/alerts/alert-file.js';
import { MADE_HERE, SigningKey } from '../audit/chain/signing-key.js';
import { IdentityProviders } from '../auth/providers/identity-providers.js';
import { openPolicyFile } from '../authorization/policy-file.js';
import { checkDataDirectory } from '../config/data-directory.js';
import { type Config, ConfigurationError, inspectConfig, type InspectedConfig } from '../config/load.js';
import { readSecret } from '../config/local-secret.js';
import { TlsEndpoint } from '../runner-link/tls-endpoint.js';
import { findKeyring } from '../sealing/master-keys.js';
import { readServerPair } from '../transport/tls/server-pair.js';

/** What a start reads before it serves, and refuses when it is wrong. */
const READ: readonly ((config: Config) => unknown)[] = [
  ({ dataDir }) => {
    checkDataDirectory(dataDir);
  },
  ({ AUTH_SECRET, dataDir }) => (AUTH_SECRET === undefined ? readSecret(join(dataDir, 'auth-secret')) : null),
  (config) => findKeyring(config),
  (config) => IdentityProviders.open(config),
  (config) => openPolicyFile(config),
  (config) => openAlertsFile(config),
  (config) => openProviderFile(config),
  // Where there is none yet, a start makes one.
  (config) =>
    config.AUDIT_SIGNING_KEY !== undefined || existsSync(join(config.dataDir, MADE_HERE))
      ? SigningKey.load(config)
      : null,
  (config) => (config.TLS_ENABLED ? readServerPair(config, new Date()) : null),
  ({ remoteRunner }) => (remoteRunner === null ? null : new TlsEndpoint(remoteRunner)),
];

/**
 * Everything that a start would refuse in the environment, `.env`, the YAML files and the kept secrets. Nothing is started,
 * made or changed.
 */
export function checkConfig(environment?: NodeJS.ProcessEnv): InspectedConfig {
  const { config, problems } = inspectConfig(environment);
  return { config, problems: [...new Set([...problems, ...READ.flatMap((read) => problemsOf(() => read(config)))])] };
}

function problemsOf(read: () => unknown): readonly string[] {
  try {
    read();
    return [];
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
}
