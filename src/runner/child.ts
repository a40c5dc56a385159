/**
 * Starts every process of the runner that has no terminal: git, probes of programs. The one place that does, so that none
 * of them inherits the masters of the sessions' terminals: whoever has one of those can type into its session.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import { inheritedByChildren } from './descriptors.js';

export interface ChildOptions {
  readonly cwd: string;
  /** All of its environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Its standard input, output and errors. */
  readonly stdio: readonly ['ignore' | 'pipe', 'ignore' | 'pipe', 'ignore' | 'pipe'];
}

/** Stands in a child for what it must not have. Like all that Node opens it is not inherited by itself. */
const NOTHING = openSync('/dev/null', 'r');

/**
 * Starts a program, without a shell, in a process group of its own.
 * @param args each one argument
 * @returns the process; what keeps it from starting is its event `error`
 */
export function startChild(file: string, args: readonly string[], options: ChildOptions): ChildProcess {
  const { cwd, env, stdio } = options;
  // Forked within this turn: no terminal can be opened between the look and the fork.
  return spawn(file, args, { cwd, env, detached: true, stdio: [...stdio, ...maskedDescriptors()] });
}

/** From descriptor 3: what a child has there. Node's own are closed in it; the masters are not, and are replaced. */
function maskedDescriptors(): ('ignore' | number)[] {
  const masters = inheritedByChildren();
  const highest = Math.max(2, ...masters);
  return Array.from({ length: highest - 2 }, (_, index) => (masters.has(index + 3) ? NOTHING : 'ignore'));
}

/**
 * Runs a program to find out whether it can do what it is asked to.
 * @param timeoutMs it is ended, with all of its process group, after so long
 * @returns whether it ended by itself with 0
 */
export function endsWell(
  file: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  timeoutMs: number,
): Promise<boolean> {
  return new Promise((resolve) => {
    const child = startChild(file, args, { env, cwd: '/', stdio: ['ignore', 'ignore', 'ignore'] });
    const timer = setTimeout(endGroup, timeoutMs, child);
    child.once('error', () => {
      clearTimeout(timer);
      resolve(false);
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      resolve(code === 0);
    });
  });
}

/** Ends a child with what it has started, as far as that stayed in its process group. */
export function endGroup({ pid }: ChildProcess): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL');
  } catch {
    // nobody is left in it
  }
}
