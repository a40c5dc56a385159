/**
 * Keeps the runner's descriptors out of all processes that it starts: sessions here, the others in child.ts.
 *
 * node-pty marks all descriptors close-on-exec in the child, but its prebuilt binary was built without close_range(2):
 * it goes up from 3 and stops at the first number above 15 that is free. What is open beyond that gap is inherited.
 * Node's own descriptors are close-on-exec anyway; the masters of other sessions are not, and whoever inherits one can
 * type into that session. So there is no gap below a master while a process is forked.
 */
import { closeSync, openSync } from 'node:fs';

/** The masters of all sessions, which a child inherits unless it is kept from it: Node has no way to mark them. */
const masters = new Set<number>();

/** A terminal was opened: its master is now kept from every process that is started. */
export function addMaster(fd: number): void {
  masters.add(fd);
}

/** A master was closed. */
export function forgetMaster(fd: number): void {
  masters.delete(fd);
}

/** What a child would inherit of this process beside its standard streams. */
export function inheritedByChildren(): ReadonlySet<number> {
  return masters;
}

/** Does `action` while no descriptor below a master is free. A new one always gets the lowest number that is. */
export function withoutGaps<T>(action: () => T): T {
  const highest = Math.max(-1, ...masters);
  const plugs: number[] = [];
  try {
    for (let fd = -1; fd < highest; plugs.push(fd)) fd = openSync('/dev/null', 'r');
    return action();
  } finally {
    for (const plug of plugs) closeSync(plug);
  }
}
