import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { spawn as spawnPty } from 'node-pty';

const BIN = resolve('bin/gatehouse.js');
const LIMIT_MS = 40_000;

export interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Surroundings {
  /** All that the command sees of an environment, beside PATH. */
  readonly env?: Record<string, string>;
  readonly input?: string;
  readonly cwd?: string;
}

/** Runs the command without a terminal. */
export function gatehouse(args: string[], { env = {}, input = '', cwd }: Surroundings = {}): Promise<Outcome> {
  return new Promise((done) => {
    const child = execFile(
      process.execPath,
      [BIN, ...args],
      { env: environment(env), timeout: LIMIT_MS, ...(cwd === undefined ? {} : { cwd }) },
      (error, stdout, stderr) => {
        done({ status: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr });
      },
    );
    // A command that fails before it reads its input leaves the pipe.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

export interface InTerminal {
  /** What was written to the terminal so far. */
  readonly shown: () => string;
  readonly type: (text: string) => void;
  readonly ended: Promise<number>;
}

/** Runs the command in a terminal of that many columns. */
export function gatehouseInTerminal(args: string[], env: Record<string, string>, cols = 80): InTerminal {
  const pty = spawnPty(process.execPath, [BIN, ...args], { cols, rows: 24, env: environment(env) });
  let shown = '';
  pty.onData((data) => {
    shown += data;
  });
  const ended = new Promise<number>((done) => {
    const limit = setTimeout(() => {
      pty.kill('SIGKILL');
    }, LIMIT_MS);
    pty.onExit(({ exitCode }) => {
      clearTimeout(limit);
      done(exitCode);
    });
  });
  return {
    shown: () => shown,
    type: (text) => {
      pty.write(text);
    },
    ended,
  };
}

const environment = (more: Record<string, string>): Record<string, string> => ({
  PATH: process.env['PATH'] ?? '',
  HOME: '/nonexistent',
  ...more,
});
