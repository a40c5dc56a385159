/** What the proofs with real agents share: programs from npm in a temporary folder, a runner that finds them, its client. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const INSTALL_MS = 240_000;

/** npm cannot reach its registry, say: nothing is proved, and nothing is wrong. */
export class CannotInstall extends Error {}

/** @returns seconds that it took */
export async function install(folder, packages) {
  const begin = performance.now();
  const quick = ['--fetch-retries=1', '--no-audit', '--no-fund', '--loglevel=error'];
  const args = ['install', '--prefix', folder, ...quick, ...packages];
  const npm = spawn('npm', args, { stdio: ['ignore', 'ignore', 'inherit'], timeout: INSTALL_MS });
  const [code] = await once(npm, 'exit');
  if (code !== 0) throw new CannotInstall('npm could not install them');
  return Math.round((performance.now() - begin) / 1000);
}

/** A runner in `folder`, with the home `folder/home` and what is installed in `folder` in its PATH. */
export async function startRunner(folder) {
  const home = join(folder, 'home');
  mkdirSync(home, { recursive: true });
  const bin = join(folder, 'node_modules', '.bin');
  const env = { PATH: `${bin}:${process.env.PATH}`, HOME: home, LANG: 'C.UTF-8' };
  const main = join(ROOT, 'dist', 'src', 'runner', 'main.js');
  if (!existsSync(main)) throw new Error('dist is missing: run `npm run build` first');
  const args = [main, '--dir', join(folder, 'run')];
  const runner = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const chunk of runner.stdout) if (chunk.includes('"listening"')) break;
  return runner;
}

/** Ends it, with all its sessions. */
export async function endRunner(runner) {
  runner.kill('SIGTERM');
  await once(runner, 'exit');
}

/** Clients of its two services. */
export function connect(folder) {
  const options = { keepCase: true, longs: Number, enums: String, includeDirs: [join(ROOT, 'proto')] };
  const files = ['gatehouse/runner/v1/runner.proto', 'gatehouse/runner/v1/runner_agent.proto'];
  const { RunnerService, RunnerAgentService } = loadPackageDefinition(loadSync(files, options)).gatehouse.runner.v1;
  const address = [`unix:${join(folder, 'run', 'control.sock')}`, credentials.createInsecure()];
  return { sessions: new RunnerService(...address), agents: new RunnerAgentService(...address) };
}

export function call(client, method, request) {
  return new Promise((resolve, reject) => {
    client[method](request, (error, answer) => (error ? reject(error) : resolve(answer)));
  });
}
