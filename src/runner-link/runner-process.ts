import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { createConnection } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/load.js';
import { inheritedEnvironment } from '../config/inherited-environment.js';
import { DomainError } from '../kernel/errors.js';
import { CONTROL_SOCKET, EXIT_NO_BUBBLEWRAP, EXIT_NO_NAMESPACES, EXIT_SHOWS_HIDDEN } from '../kernel/link.js';
import { socketDirectory } from '../kernel/private-directory.js';
import type { RunnerSession__Output } from '../generated/gatehouse/runner/v1/RunnerSession.js';
import { ByteLink } from './byte-link.js';
import { RunnerClient } from './runner-client.js';
import type { RunnerEndpoint } from './runner-endpoint.js';
import { TlsEndpoint } from './tls-endpoint.js';
import { UnixEndpoint } from './unix-endpoint.js';

const START_MS = 8000;
const PROBE_MS = 500;
/** One that hangs is found out so fast, to leave time for the rest of a stop. */
export const STILL_THERE_MS = 2000;
/** The runner gives its clients a second to read what was sent. */
const END_MS = 3000;
/**
 * MiB for what is young. Left to itself V8 takes some fifty of them, as many as a thousand idle sessions need, and
 * starting a program costs the more the more memory the runner has.
 */
const YOUNG_MIB = 2;
const MAX_LOG_BYTES = 10 * 1024 * 1024;
/** What a runner that ends with this code has not got. */
const LACKS: ReadonlyMap<number, string> = new Map([
  [EXIT_NO_BUBBLEWRAP, '/usr/bin/bwrap is not there (install bubblewrap)'],
  [EXIT_NO_NAMESPACES, 'bubblewrap may make no namespaces on this machine'],
  [EXIT_SHOWS_HIDDEN, 'SANDBOX_READ_ONLY names the home, or a folder of the server’s own, which no sandbox shows'],
]);
/** Longest socket file name in the runner's folder. */
const LONGEST_NAME = CONTROL_SOCKET.length;

/**
 * Where this gateway's runner is: on another machine, in a folder that was named, or else its own.
 * @throws ConfigurationError when the certificates for another machine cannot be used
 */
export function runnerEndpoint(config: Config): RunnerEndpoint {
  if (config.remoteRunner) return new TlsEndpoint(config.remoteRunner);
  if (config.RUNNER_DIR !== undefined) return new UnixEndpoint(config.RUNNER_DIR, false);
  return new UnixEndpoint(socketDirectory(config.dataDir, LONGEST_NAME), true);
}

/**
 * Makes sure a runner answers: adopts the one that is there, else starts one, detached, so that it outlives this
 * process. One in RUNNER_DIR or on RUNNER_HOST is somebody else's to start.
 * @returns whether this call started it
 * @throws Error with a plain sentence when none can be had
 */
export async function ensureRunner(client: RunnerClient, config: Config): Promise<boolean> {
  const { endpoint } = client;
  const directory = endpoint.own;
  if (directory === null) {
    if ((await answers(client, START_MS)) && (await answersBytes(endpoint))) {
      await requireSandbox(client, config);
      return false;
    }
    throw new Error(`No runner answers ${endpoint.place}: ${await endpoint.diagnose()}.`);
  }
  if (await answers(client, endpoint.isThere() ? PROBE_MS : 1)) {
    await requireSandbox(client, config);
    return false;
  }
  const { log, exit } = spawnRunner(directory, config);
  const deadline = Date.now() + START_MS;
  while (Date.now() < deadline) {
    if (await answers(client, PROBE_MS)) return true;
    const lack = LACKS.get(exit.code ?? 0);
    if (lack !== undefined) throw new Error(`SANDBOX=${config.SANDBOX} cannot be had: ${lack}.`);
  }
  if (await accepts(join(directory, CONTROL_SOCKET))) {
    throw new Error(`A runner has ${directory} and does not answer; end it (its sessions go with it), or wait.`);
  }
  throw new Error(`The runner did not start; its log is ${log}.`);
}

/**
 * Ends all sessions and the runner; resolves when its process is gone too.
 * @returns the sessions as they ended
 * @throws DomainError when it does not answer, Error when it does not end
 */
export async function endRunnerProcess(client: RunnerClient): Promise<RunnerSession__Output[]> {
  const { pid = 0 } = await client.info(STILL_THERE_MS);
  const sessions = await client.shutdown();
  const deadline = performance.now() + END_MS;
  while (isAlive(pid)) {
    if (performance.now() > deadline) throw new Error(`The runner (process ${pid}) did not end.`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return sessions;
}

/** A runner may be another's to start, or one that was started with other settings. @throws Error */
async function requireSandbox(client: RunnerClient, { SANDBOX: wanted }: Config): Promise<void> {
  const { sandbox = 'none' } = await client.info();
  if (wanted === 'none' || sandbox === wanted) return;
  throw new Error(
    `SANDBOX=${wanted}, but the runner ${client.endpoint.place} was started with --sandbox ${sandbox}: ` +
      'end it, which ends its sessions, and start it anew.',
  );
}

/** A zombie is gone: its parent has just not looked yet. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  try {
    return !/^\d+ \(.*\) Z /s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return !existsSync('/proc/self/stat');
  }
}

/** Does somebody listen there, whether or not it answers? */
function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => {
      resolve(false);
    });
  });
}

async function answers(client: RunnerClient, deadlineMs: number): Promise<boolean> {
  try {
    await client.info(deadlineMs);
    return true;
  } catch {
    await new Promise((resolve) => setTimeout(resolve, 20));
    return false;
  }
}

/** Whether its other way in leads to a runner too, which refuses to attach to nothing in its own words. */
async function answersBytes(endpoint: RunnerEndpoint): Promise<boolean> {
  try {
    const attach = { type: 'attach', session: 'none', channel: 0, user: 'gateway', may_control: false } as const;
    (await ByteLink.open(endpoint, attach)).close();
    return true;
  } catch (error) {
    return error instanceof DomainError && error.code !== 'RUNNER_UNAVAILABLE';
  }
}

/** The runner inherits no secret: only what its children may have too. */
function spawnRunner(directory: string, config: Config): { log: string; exit: { code: number | null } } {
  const entry = join(dirname(fileURLToPath(import.meta.url)), '..', 'runner', 'main.js');
  const log = join(config.dataDir, 'runner.log');
  if (existsSync(log) && statSync(log).size > MAX_LOG_BYTES) renameSync(log, `${log}.1`);
  const output = openSync(log, 'a', 0o600);
  const exit: { code: number | null } = { code: null };
  try {
    // A SIGUSR1, which any process of this user can send, must not open Node's inspector.
    const args = ['--disable-sigusr1', `--max-semi-space-size=${YOUNG_MIB}`, entry];
    args.push('--dir', directory, '--ring-bytes', String(config.SESSION_RING_BYTES));
    args.push('--rings-total-bytes', String(config.SESSION_RINGS_TOTAL_BYTES));
    args.push('--id-file', join(config.dataDir, 'runner-id'));
    args.push('--worktree-root', config.WORKTREE_ROOT ?? join(config.dataDir, 'worktrees'));
    for (const root of config.PROJECT_ROOTS) args.push('--project-root', root);
    for (const repository of config.TRUSTED_REPOSITORIES) args.push('--trusted-repository', repository);
    args.push('--sandbox', config.SANDBOX);
    for (const path of config.SANDBOX_READ_ONLY) args.push('--sandbox-read-only', path);
    const runner = spawn(process.execPath, args, {
      detached: true,
      stdio: ['ignore', output, output],
      cwd: '/',
      env: inheritedEnvironment(),
    });
    // A runner that cannot be started does not answer, which is said in the end.
    runner
      .on('error', () => undefined)
      .on('exit', (code) => (exit.code = code))
      .unref();
  } finally {
    closeSync(output);
  }
  return { log, exit };
}
