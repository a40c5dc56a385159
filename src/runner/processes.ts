/** The machine's process table, as far as a session's processes can be in it. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { RUNNER_MARKER, SESSION_MARKER } from './environment.js';
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
  /** The session it was started in, or the runner of that, by its environment. */
  readonly marker: string | undefined;
}

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

/** Where a process works, by its real path; undefined when it is gone, or not ours to look into. */
export function workingDirectory(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${String(pid)}/cwd`);
  } catch (error) {
    if (GONE_OR_FOREIGN.includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

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
  running = scan(self?.startTime ?? 0, SESSION_MARKER).finally(() => (running = undefined));
  return running;
}

/** Every living process, however old, with the mark of the runner that its session was started by. */
export function scanForRunners(): Promise<MarkedProcess[]> {
  return scan(0, RUNNER_MARKER);
}

/** What the sessions of this runner process carry: its id, and what tells whether it is alive. */
export function runnerMark(id: string): string {
  return [id, process.pid, self?.startTime ?? 0].join(':');
}

/** Was this mark given by a runner of the given id that is not alive any more? */
export function isOfDeadRunner(mark: string | undefined, id: string): boolean {
  const [, of, pid, startTime] = /^([^:]+):(\d+):(\d+)$/.exec(mark ?? '') ?? [];
  if (of !== id) return false;
  const runner = readProcess(Number(pid));
  return runner === undefined || runner.zombie || runner.startTime !== Number(startTime);
}

async function scan(since: number, name: string): Promise<MarkedProcess[]> {
  const found: MarkedProcess[] = [];
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger);
  for (const [index, pid] of pids.entries()) {
    if (index % PER_TURN === PER_TURN - 1) await setImmediate();
    const entry = pid === process.pid ? undefined : readProcess(pid);
    if (!entry || entry.zombie || entry.startTime < since) continue;
    found.push({ ...entry, marker: readVariable(pid, name) });
  }
  return found;
}

function readVariable(pid: number, variable: string): string | undefined {
  const environment = readProc(pid, 'environ');
  const name = `${variable}=`;
  if (!environment) return undefined;
  let at = environment.indexOf(name);
  while (at > 0 && environment[at - 1] !== 0) at = environment.indexOf(name, at + 1);
  if (at < 0) return undefined;
  const end = environment.indexOf(0, at);
  return environment.toString('latin1', at + name.length, end < 0 ? undefined : end);
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
