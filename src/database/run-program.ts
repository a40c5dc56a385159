import { spawn } from 'node:child_process';
import type { Account } from './postgres-account.js';

const MAX_OUTPUT = 4000;

/**
 * Runs one of PostgreSQL's programs to its end: no shell, no variable of ours, and as another account if asked.
 * @throws Error with the end of what it printed
 */
export function runProgram(
  program: string,
  args: readonly string[],
  account: Account | null,
  cwd = '/',
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C' },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      ...account,
    });
    let output = '';
    const keep = (chunk: Buffer): void => {
      output = (output + chunk.toString('utf8')).slice(-MAX_OUTPUT);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', reject);
    // 'exit', not 'close': a server that pg_ctl started keeps the pipes open.
    child.on('exit', (code) => {
      child.stdout.destroy();
      child.stderr.destroy();
      if (code === 0) resolve();
      else
        reject(
          new Error(`${program.split('/').at(-1) ?? program} failed: ${output.trim() || `status ${String(code)}`}`),
        );
    });
  });
}
