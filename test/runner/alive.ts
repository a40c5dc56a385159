import { readdirSync, readFileSync } from 'node:fs';

/** Living processes whose command line contains a text. */
export function alive(text: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => Number.isInteger(pid) && pid !== process.pid)
    .filter((pid) => {
      try {
        const state = readFileSync(`/proc/${String(pid)}/stat`, 'latin1').split(') ')[1]?.[0];
        return state !== 'Z' && readFileSync(`/proc/${String(pid)}/cmdline`, 'latin1').includes(text);
      } catch {
        return false;
      }
    });
}

/** A time to sleep that no other test uses: names the processes of one test. */
let nextSleep = 700_000;
export const uniqueSleep = (): string => String(nextSleep++) + String(process.pid);
