/**
 * Runs a program whose prompt is its standard input:
 *
 *     node stdin-main.js <file with the prompt> <program> <argument>…
 *
 * Its output is the terminal's. The file is gone before the program runs. It ends as the program does.
 */
import { spawn } from 'node:child_process';
import { openSync, rmSync } from 'node:fs';

const [file = '', program = '', ...args] = process.argv.slice(2);
const prompt = openSync(file, 'r');
rmSync(file);
const child = spawn(program, args, { stdio: [prompt, 'inherit', 'inherit'] });

// Keys of the terminal reach the program by themselves; this process is there until it has ended.
process.on('SIGINT', () => undefined).on('SIGQUIT', () => undefined);
for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));

child.once('error', (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exitCode = 127;
});
child.once('exit', (code, signal) => {
  if (signal === null) process.exit(code ?? 0);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
