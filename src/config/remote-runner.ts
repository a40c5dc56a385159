import type { Environment } from './schema.js';

/** A runner on another machine, and the files with which both sides show who they are. */
export interface RemoteRunner {
  readonly host: string;
  readonly controlPort: number;
  readonly bytesPort: number;
  /** Paths of files in PEM form. */
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

const NEEDED = [
  'RUNNER_HOST',
  'RUNNER_CONTROL_PORT',
  'RUNNER_BYTES_PORT',
  'RUNNER_TLS_CERT',
  'RUNNER_TLS_KEY',
  'RUNNER_TLS_CA',
] as const;

/** What is wrong between the variables of a runner on another machine, one line each. */
export function remoteRunnerProblems(environment: Environment): string[] {
  const missing = NEEDED.filter((name) => environment[name] === undefined);
  if (missing.length === NEEDED.length) return [];
  const problems = missing.map((name) => `${name}: not set, expected with the others of a runner on another machine`);
  if (environment.RUNNER_DIR !== undefined) {
    problems.push('RUNNER_DIR: set beside those of a runner on another machine, expected one of the two');
  }
  const { RUNNER_CONTROL_PORT: control, RUNNER_BYTES_PORT: bytes } = environment;
  if (control !== undefined && control === bytes) {
    problems.push(`RUNNER_BYTES_PORT: found ${bytes}, expected another port than RUNNER_CONTROL_PORT`);
  }
  return problems;
}

/** The runner on another machine, of variables without problems; null when it is on this one. */
export function remoteRunner(environment: Environment): RemoteRunner | null {
  const { RUNNER_HOST: host, RUNNER_CONTROL_PORT: controlPort, RUNNER_BYTES_PORT: bytesPort } = environment;
  const { RUNNER_TLS_CERT: cert, RUNNER_TLS_KEY: key, RUNNER_TLS_CA: ca } = environment;
  if (host === undefined || controlPort === undefined || bytesPort === undefined) return null;
  if (cert === undefined || key === undefined || ca === undefined) return null;
  return { host, controlPort, bytesPort, cert, key, ca };
}
