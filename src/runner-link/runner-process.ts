import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Config } from '../config/load.js';
import { inheritedEnvironment } from '../config/inherited-environment.js';
import { socketDirectory } from '../kernel/private-directory.js';
import { RunnerClient } from './runner-client.js';

const START_MS = 8000;
const PROBE_MS = 500;
const MAX_LOG_BYTES = 10 * 1024 * 1024;
/** Longest socket file name in the runner's folder. */
const LONGEST_NAME = 'control.sock'.length;

/** Where the runner's sockets are. */
export function runnerDirectory(config: Config): string {
  return config.RUNNER_DIR ?? socketDirectory(config.dataDir, LONGEST_NAME);
}

/**
 * Makes sure a runner answers: adopts the one that is there, else starts one, detached, so that it outlives this
 * process. With RUNNER_DIR the runner is somebody else's to start.
 * @returns whether this call started it
 * @throws Error with a plain sentence when none can be had
 */
export async function ensureRunner(client: RunnerClient, config: Config): Promise<boolean> {
  if (await answers(client, existsSync(join(client.directory, 'control.sock')) ? PROBE_MS : 1)) return false;
  if (config.RUNNER_DIR !== undefined) {
    if (await answers(client, START_MS)) return false;
    throw new Error(`No runner answers in RUNNER_DIR (${config.RUNNER_DIR}).`);
  }
  const log = spawnRunner(client.directory, config);
  const deadline = Date.now() + START_MS;
  while (Date.now() < deadline) {
    if (await answers(client, PROBE_MS)) return true;
  }
  throw new Error(`The runner did not start; its log is ${log}.`);
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

/** The runner inherits no secret: only what its children may have too. */
function spawnRunner(directory: string, config: Config): string {
  const entry = join(dirname(fileURLToPath(import.meta.url)), '..', 'runner', 'main.js');
  const log = join(config.dataDir, 'runner.log');
  if (existsSync(log) && statSync(log).size > MAX_LOG_BYTES) renameSync(log, `${log}.1`);
  const output = openSync(log, 'a', 0o600);
  try {
    const args = [entry, '--dir', directory, '--ring-bytes', String(config.SESSION_RING_BYTES)];
    spawn(process.execPath, args, {
      detached: true,
      stdio: ['ignore', output, output],
      cwd: '/',
      env: inheritedEnvironment(),
    }).unref();
  } finally {
    closeSync(output);
  }
  return log;
}
