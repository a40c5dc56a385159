import { spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';

/**
 * Runs the package's `check:*` scripts, all or those named, as many at once as there are processors; says what each that
 * failed has said.
 */

const CHECKS = ['lint', 'types', 'imports', 'format', 'proto', 'secrets'];
const named = process.argv.slice(2);
const waiting = named.length === 0 ? [...CHECKS] : named;

function run(name) {
  return new Promise((resolve) => {
    const child = spawn('npm', ['run', '--silent', `check:${name}`], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    const keep = (chunk) => (said += chunk);
    child.stdout.setEncoding('utf8').on('data', keep);
    child.stderr.setEncoding('utf8').on('data', keep);
    child.on('error', (error) => resolve({ name, ok: false, said: String(error) }));
    child.on('close', (code) => resolve({ name, ok: code === 0, said }));
  });
}

/** Takes one check after the other until none waits. */
async function worker() {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const { ok, said } = await run(name);
    process.stdout.write(ok ? `check:${name} is fine\n` : `check:${name} failed\n${said}\n`);
    if (!ok) process.exitCode = 1;
  }
}

await Promise.all(Array.from({ length: Math.max(1, Math.min(availableParallelism(), 4)) }, worker));
