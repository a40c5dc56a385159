/** The machine's process table, as far as a session's processes can be in it. */
import { readdirSync, readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { SESSION_MARKER } from './environment.js';
import { errnoOf } from './errno.js';

export interface ProcessEntry {
  readonly pid: number;
  readonly ppid: number;
  /** The kernel's session (setsid), named after its first process. */
  readonly session: number;
  /** The foreground process group of its terminal, -1 for none. */
  readonly foreground: number;
  /** Ticks since boot; with the pid it names one process for good. */
  readonly startTime: number;
  readonly zombie: boolean;
}

export interface MarkedProcess extends ProcessEntry {
  /** The Gatehouse session it was started in, by its environment. */
  readonly marker: string | undefined;
}

const UUID_LENGTH = 36;
/** So many processes are read before other work gets its turn. */
const PER_TURN = 64;

/** Reads one process, undefined when there is none. */
export function readProcess(pid: number): ProcessEntry | undefined {
  const stat = readProc(pid, 'stat')?.toString('latin1');
  if (stat === undefined) return undefined;
  // The command's name may hold anything, spaces and brackets too; what follows its last bracket is plain fields.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (index: number): number => Number(fields[index]);
  return {
    pid,
    ppid: field(1),
    session: field(3),
    foreground: field(5),
    startTime: field(19),
    zombie: fields[0] === 'Z' || fields[0] === 'X',
  };
}

const self = readProcess(process.pid);

/** The kernel session of the runner itself: never one of a Gatehouse session. */
export const ownKernelSession = self?.session;

let running: Promise<MarkedProcess[]> | undefined;
let next: Promise<MarkedProcess[]> | undefined;

/**
 * Every living process younger than the runner, as of some moment after the call. Callers at the same time share one
 * reading, so that many kills in parallel cost as much as one.
 */
export function scanProcesses(): Promise<MarkedProcess[]> {
  if (running) {
    next ??= running.then(() => {
      next = undefined;
      return scanProcesses();
    });
    return next;
  }
  running = scan().finally(() => (running = undefined));
  return running;
}

async function scan(): Promise<MarkedProcess[]> {
  const found: MarkedProcess[] = [];
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger);
  for (const [index, pid] of pids.entries()) {
    if (index % PER_TURN === PER_TURN - 1) await setImmediate();
    const entry = pid === process.pid ? undefined : readProcess(pid);
    if (!entry || entry.zombie || entry.startTime < (self?.startTime ?? 0)) continue;
    found.push({ ...entry, marker: readMarker(pid) });
  }
  return found;
}

function readMarker(pid: number): string | undefined {
  const environment = readProc(pid, 'environ');
  const name = `${SESSION_MARKER}=`;
  if (!environment) return undefined;
  let at = environment.indexOf(name);
  while (at > 0 && environment[at - 1] !== 0) at = environment.indexOf(name, at + 1);
  if (at < 0) return undefined;
  return environment.toString('latin1', at + name.length, at + name.length + UUID_LENGTH);
}

const GONE_OR_FOREIGN = ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'];

/** undefined when the process is gone or not ours to read; any other failure must not pass for that. */
function readProc(pid: number, file: 'stat' | 'environ'): Buffer | undefined {
  try {
    return readFileSync(`/proc/${String(pid)}/${file}`);
  } catch (error) {
    if (GONE_OR_FOREIGN.includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
