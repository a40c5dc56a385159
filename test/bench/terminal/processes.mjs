/** What processes cost, from /proc. */
import { readFileSync } from 'node:fs';

const TICKS_PER_SECOND = 100;

/** CPU seconds that these processes have used themselves, without their children. */
export function cpuSeconds(pids) {
  return pids.reduce((sum, pid) => {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name before it may hold spaces and parentheses.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return sum + (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  }, 0);
}

/** Memory of these processes in bytes: what is theirs alone, and their part of what is shared. */
export function memoryBytes(pids) {
  return pids.reduce((sum, pid) => {
    const kib = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
    return sum + Number(kib) * 1024;
  }, 0);
}
