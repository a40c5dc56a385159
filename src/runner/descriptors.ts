/**
 * Keeps the runner's descriptors out of its sessions' processes.
 *
 * node-pty marks all descriptors close-on-exec in the child, but its prebuilt binary was built without close_range(2):
 * it goes up from 3 and stops at the first number above 15 that is free. What is open beyond that gap is inherited.
 * Node's own descriptors are close-on-exec anyway; the masters of other sessions are not, and whoever inherits one can
 * type into that session. So there is no gap below a master while a process is forked.
 */
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { errnoOf } from './errno.js';

const CLOSE_ON_EXEC = 0o2000000;

/** Closes what a careless parent left open for us: a descriptor that would be inherited and is not ours. */
export function closeInherited(): void {
  for (const name of readdirSync('/proc/self/fd')) {
    if (Number(name) > 2 && isInheritable(name)) closeSync(Number(name));
  }
}

function isInheritable(name: string): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${name}`, 'utf8'))?.[1] ?? '0';
    return (parseInt(flags, 8) & CLOSE_ON_EXEC) === 0;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false; // the one that listed the directory
    throw error;
  }
}

/** Does `action` while no descriptor below `highest` is free. A new one always gets the lowest number that is. */
export function withoutGaps<T>(highest: number, action: () => T): T {
  const plugs: number[] = [];
  try {
    for (let fd = -1; fd < highest; plugs.push(fd)) fd = openSync('/dev/null', 'r');
    return action();
  } finally {
    for (const plug of plugs) closeSync(plug);
  }
}
