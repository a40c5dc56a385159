import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openAlertsFile } from '../../audit/alerts/alert-file.js';
import type { Config } from '../../config/load.js';
import { VERSION } from '../../kernel/package.js';
import type { Keyring } from '../../sealing/keyring.js';
import { findKeyring, masterKeyFile } from '../../sealing/master-keys.js';
import { checkConfig } from '../config-check.js';
import { CHECKS, type CheckId, type Finding, type State } from '../finding.js';
import * as configuration from './configuration-checks.js';
import { database } from './database-checks.js';
import { databaseView, type DatabaseView } from './database-facts.js';
import { dataDirectory, envFile, type SecretFile, secretFiles } from './file-checks.js';
import { machine } from './machine-checks.js';
import { machineFacts } from './machine-facts.js';
import { bind, proxies } from './network-checks.js';
import { alertSecrets, masterKeyPrevious, sealed } from './sealing-checks.js';
import { tls } from './tls-checks.js';

/** All that was found, and the worst of it. */
export interface Examination {
  readonly version: string;
  readonly state: Exclude<State, 'skipped'>;
  readonly findings: readonly Finding[];
}

const ORDER = Object.keys(CHECKS) as readonly CheckId[];

/**
 * Looks at the deployment that this environment describes, from the machine of the gateway and as its user, whether it runs or
 * not. Nothing is started or changed.
 */
export async function examine(environment?: NodeJS.ProcessEnv): Promise<Examination> {
  const { config, problems } = checkConfig(environment);
  const view = await databaseView(config);
  const keyring = soundOr(() => findKeyring(config), null);
  const findings = [
    ...configured(config, problems),
    ...filed(config),
    bind(config),
    proxies(config),
    ...tls(config, Date.now()),
    ...database(config, view),
    ...sealing(config, keyring, view),
    ...machine(config, await machineFacts(config.dataDir)),
  ];
  findings.sort((one, other) => ORDER.indexOf(one.id) - ORDER.indexOf(other.id));
  return { version: VERSION, state: worst(findings), findings };
}

function worst(findings: readonly Finding[]): Examination['state'] {
  return (['problem', 'warning'] as const).find((state) => findings.some((each) => each.state === state)) ?? 'ok';
}

const configured = (config: Config, problems: readonly string[]): Finding[] => [
  configuration.configValid(problems),
  configuration.mode(config),
  configuration.platformAdmins(config),
  configuration.authSecret(config),
  configuration.authSecretPrevious(config),
  configuration.masterKey(config, existsSync(masterKeyFile(config))),
];

function filed(config: Config): Finding[] {
  const { dataDir, production, AUDIT_SIGNING_KEY, RUNNER_TLS_KEY } = config;
  const kept = ['auth-secret', 'encryption-master-key', 'audit-signing-key.pem', 'postgres-password'];
  const files: SecretFile[] = kept.map((name) => ({ name: `DATA_DIR/${name}`, path: join(dataDir, name) }));
  for (const [name, path] of Object.entries({ AUDIT_SIGNING_KEY, RUNNER_TLS_KEY })) {
    if (path !== undefined) files.push({ name, path: resolve(path) });
  }
  return [dataDirectory(dataDir), secretFiles(files), envFile(resolve('.env'), production)];
}

function sealing(config: Config, keyring: Keyring | null, view: DatabaseView): Finding[] {
  const rows = view.state === 'answers' ? view.facts.sealed : null;
  const named = soundOr(() => alertNames(config), null);
  return [sealed(keyring, rows), masterKeyPrevious(config, keyring, rows), alertSecrets(named, keyring, rows)];
}

/** The stored secrets that alerts.yaml names, by destination. */
function alertNames(config: Config): ReadonlyMap<string, string> {
  const { destinations } = openAlertsFile(config).value;
  return new Map(
    [...destinations].flatMap(([name, place]) => ('secret' in place ? [[name, place.secret] as const] : [])),
  );
}

/** What is wrong with it, `config.valid` tells. */
function soundOr<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
