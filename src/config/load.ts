import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { remoteRunner, type RemoteRunner, remoteRunnerProblems } from './remote-runner.js';
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

/**
 * Reads the environment, and `.env` in the working directory outside production (a variable that is really set wins).
 * @throws ConfigurationError naming every variable that is wrong, what was found (secrets masked), what was expected
 */
export function loadConfig(environment: NodeJS.ProcessEnv = process.env): Config {
  const file = environment['NODE_ENV'] === 'production' ? {} : readEnvFile(resolve('.env'));
  const merged: Record<string, string> = {};
  for (const [name, value] of [...Object.entries(file), ...Object.entries(environment)]) {
    if (value !== undefined && value !== '') merged[name] = value;
  }
  const parsed = environmentSchema.safeParse(merged);
  const webhooks = webhooksOf(merged);
  const problems = parsed.success
    ? [...crossChecks(parsed.data), ...webhookProblems(webhooks)]
    : parsed.error.issues.map((issue) => describe(String(issue.path[0]), merged, issue.message));
  if (!parsed.success || problems.length > 0) throw new ConfigurationError(problems);
  const production = parsed.data.NODE_ENV === 'production';
  const grpcReflection = parsed.data.GRPC_REFLECTION ?? !production;
  const dataDir = resolve(parsed.data.DATA_DIR);
  return { ...parsed.data, dataDir, production, grpcReflection, remoteRunner: remoteRunner(parsed.data), webhooks };
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
  const { HTTP_PORT: http, GRPC_PORT: grpc } = environment;
  if (http !== 0 && http === grpc) problems.push(`GRPC_PORT: found ${grpc}, expected another port than HTTP_PORT`);
  return [...problems, ...remoteRunnerProblems(environment)];
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
