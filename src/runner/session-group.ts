import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { moveThread, processesIn, removeGroup, threadsIn } from './control-groups.js';

/** A thread of ours waits for the child's end, was born in the child's group, and is there for a moment longer. */
const REMOVE_TRIES = 20;
const REMOVE_RETRY_MS = 50;

/** The control group of one session. */
export class SessionGroup {
  constructor(private readonly folder: string) {}

  /** Does `fork`. The process that it starts is born in this group, unless the group cannot be stepped into. */
  enter<T>(fork: () => T): T {
    const inside = attempt(() => {
      moveThread(this.folder);
    });
    try {
      return fork();
    } finally {
      // Should this fail, the next start mends it; meanwhile nothing here signals or freezes the runner.
      if (inside) attempt(moveThread.bind(null, dirname(this.folder)));
    }
  }

  /** The pids of its members, those of groups below included. Throws when they cannot be found out. */
  processes(): Set<number> {
    return processesIn(this.folder);
  }

  /** Holds all members still, so that none can fork while they are killed; a killed one ends all the same. */
  freeze(): void {
    attempt(() => {
      if (!threadsIn(this.folder).includes(process.pid)) this.#setFrozen('1');
    });
  }

  /** Its members are gone. */
  async remove(): Promise<void> {
    // The thread that waits for the child is held still as well.
    attempt(() => {
      this.#setFrozen('0');
    });
    for (let tries = 0; tries < REMOVE_TRIES && !removeGroup(this.folder); tries += 1) {
      await setTimeout(REMOVE_RETRY_MS);
    }
  }

  #setFrozen(value: '0' | '1'): void {
    writeFileSync(join(this.folder, 'cgroup.freeze'), value);
  }
}

/** @returns whether it went well */
function attempt(action: () => void): boolean {
  try {
    action();
    return true;
  } catch {
    return false;
  }
}
