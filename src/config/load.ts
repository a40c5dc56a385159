import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { remoteRunner, type RemoteRunner, remoteRunnerProblems } from './remote-runner.js';
import { parseMasterKey } from './master-key.js';
import { siteProblems } from './sites.js';
import { tlsProblems } from './tls.js';
import { webhookProblems, webhooksOf } from './webhooks.js';
import { type Environment, environmentSchema, SECRET_VARIABLES } from './schema.js';

/** What the rest of the gateway knows of its configuration. */
export interface Config extends Environment {
  /** DATA_DIR, absolute. */
  readonly dataDir: string;
  readonly production: boolean;
  /** Whether gRPC tells its callers what it serves: outside production, unless GRPC_REFLECTION says otherwise. */
  readonly grpcReflection: boolean;
  /** The runner on another machine that this gateway uses; null: it is on this one. */
  readonly remoteRunner: RemoteRunner | null;
  /** Where alerts may be sent: the variable's name to the address, which is a secret. */
  readonly webhooks: ReadonlyMap<string, string>;
}

/** Nest's injection token for {@link Config}. */
export const CONFIG = Symbol('CONFIG');

/** Every mistake in the configuration at once, one line each. */
export class ConfigurationError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(
      `The configuration has ${problems.length} mistake${problems.length === 1 ? '' : 's'}:\n${problems.map((line) => `  ${line}`).join('\n')}`,
    );
    this.name = 'ConfigurationError';
  }
}

/** A configuration with all that is wrong with it. */
export interface InspectedConfig {
  /** What is right of it; where a variable is wrong, the default is in its place. */
  readonly config: Config;
  /** One line each, with every variable that is wrong, what was found (secrets masked), what was expected. */
  readonly problems: readonly string[];
}

/**
 * Reads the environment, and `.env` in the working directory outside production (a variable that is really set wins).
 * @throws ConfigurationError naming every variable that is wrong
 */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const { config, problems } = inspectConfig(environment);
  if (problems.length > 0) throw new ConfigurationError(problems);
  return config;
}

/** The same without an error: for who has to go on with a configuration that is wrong. */
export function inspectConfig(environment: NodeJS.ProcessEnv = process.env): InspectedConfig {
  const found = variablesOf(environment);
  const parsed = environmentSchema.safeParse(found);
  const webhooks = webhooksOf(found);
  if (parsed.success) {
    const problems = [...crossChecks(parsed.data), ...webhookProblems(webhooks)];
    return { config: configOf(parsed.data, webhooks), problems };
  }
  const { issues } = parsed.error;
  const wrong = new Set(issues.map(({ path }) => String(path[0])));
  const right = Object.fromEntries(Object.entries(found).filter(([name]) => !wrong.has(name)));
  return {
    config: configOf(environmentSchema.parse(right), webhooks),
    problems: issues.map(({ path, message }) => describe(String(path[0]), found, message)),
  };
}

/** What is set; the empty text counts as not set. */
function variablesOf(environment: NodeJS.ProcessEnv): Record<string, string> {
  const file = environment['NODE_ENV'] === 'production' ? {} : readEnvFile(resolve('.env'));
  const merged: Record<string, string> = {};
  for (const [name, value] of [...Object.entries(file), ...Object.entries(environment)]) {
    if (value !== undefined && value !== '') merged[name] = value;
  }
  return merged;
}

function configOf(environment: Environment, webhooks: Config['webhooks']): Config {
  const production = environment.NODE_ENV === 'production';
  return {
    ...environment,
    dataDir: resolve(environment.DATA_DIR),
    production,
    grpcReflection: environment.GRPC_REFLECTION ?? !production,
    remoteRunner: remoteRunner(environment),
    webhooks,
  };
}

/** Rules between variables; run once each is right by itself. */
function crossChecks(environment: Environment): string[] {
  const problems: string[] = [];
  if (environment.NODE_ENV === 'production' && environment.AUTH_SECRET === undefined) {
    problems.push('AUTH_SECRET: not set, expected a secret of at least 32 bytes (required in production)');
  }
  if (environment.AUTH_SECRET_PREVIOUS !== undefined && environment.AUTH_SECRET === undefined) {
    problems.push('AUTH_SECRET_PREVIOUS: set without AUTH_SECRET, expected both during a rotation');
  }
  problems.push(...masterKeyProblems(environment));
  const { HTTP_PORT: http, GRPC_PORT: grpc } = environment;
  if (http !== 0 && http === grpc) problems.push(`GRPC_PORT: found ${grpc}, expected another port than HTTP_PORT`);
  const { LOCKOUT_SECONDS: first, LOCKOUT_MAX_SECONDS: longest } = environment;
  if (longest < first)
    problems.push(`LOCKOUT_MAX_SECONDS: found ${longest}, expected LOCKOUT_SECONDS (${first}) or more`);
  return [...problems, ...tlsProblems(environment), ...siteProblems(environment), ...remoteRunnerProblems(environment)];
}

function masterKeyProblems({ ENCRYPTION_MASTER_KEY: key, ENCRYPTION_MASTER_KEY_PREVIOUS: previous }: Environment) {
  if (previous === undefined) return [];
  const name = 'ENCRYPTION_MASTER_KEY_PREVIOUS';
  if (key === undefined) return [`${name}: set without ENCRYPTION_MASTER_KEY, expected both during a rotation`];
  const same = parseMasterKey(key)?.equals(parseMasterKey(previous) ?? Buffer.of()) === true;
  return same ? [`${name}: is the same key as ENCRYPTION_MASTER_KEY, expected another`] : [];
}

function describe(name: string, found: Record<string, string>, expected: string): string {
  const value = found[name] ?? '';
  const shown = SECRET_VARIABLES.has(name)
    ? `a value of ${Buffer.byteLength(value)} bytes`
    : JSON.stringify(value.slice(0, 80));
  return `${name}: found ${shown}, expected ${expected}`;
}

function readEnvFile(path: string): NodeJS.Dict<string> {
  return existsSync(path) ? parseEnv(readFileSync(path, 'utf8')) : {};
}
