/**
 * Ends everything a session started. A process belongs to it when it descends from the session's own process, shares
 * a kernel session with one that does, or carries the session's marker in its environment: so `setsid` and double
 * forks are found. What evades this must do all at once: setsid, fork twice and wipe its environment.
 */
import { setTimeout } from 'node:timers/promises';
import { type MarkedProcess, ownKernelSession, readProcess, scanProcesses } from './processes.js';

/** The session's own process; `startTime` guards against a reused pid, undefined when it was gone too fast to tell. */
export interface TreeRoot {
  readonly sessionId: string;
  readonly pid: number;
  readonly startTime: number | undefined;
}

/** How long processes have to end by themselves after SIGHUP and SIGTERM. */
const TERMINATE_MS = 5000;
/** How long SIGKILL is repeated for what appears in between. */
const KILL_MS = 2000;
const FIRST_POLL_MS = 10;
const LAST_POLL_MS = 100;

/** SIGCONT last: a stopped process must run to notice the others. */
const POLITE = ['SIGHUP', 'SIGTERM', 'SIGCONT'] as const;

/**
 * Ends all processes of a session: politely, after 5 s by force.
 * @returns how many are left, 0 unless a process is stuck in the kernel or not ours to signal
 */
export async function killTree(root: TreeRoot): Promise<number> {
  const kernelSessions = new Set([root.pid]);
  const asked = new Set<string>();
  const begin = performance.now();
  for (let poll = FIRST_POLL_MS; ; poll = Math.min(poll * 1.5, LAST_POLL_MS)) {
    // Without descriptors left to read the table, it is not known that nobody is there: look again.
    const table = await scanProcesses().catch(() => undefined);
    const members = table && membersOf(root, table, kernelSessions);
    const elapsed = performance.now() - begin;
    if (members?.length === 0) return 0;
    if (elapsed > TERMINATE_MS + KILL_MS) return members?.length ?? 1;
    for (const member of members ?? []) {
      const identity = `${String(member.pid)}:${String(member.startTime)}`;
      if (elapsed >= TERMINATE_MS) signalProcess(member, ['SIGKILL']);
      else if (!asked.has(identity)) signalProcess(member, POLITE);
      asked.add(identity);
    }
    await setTimeout(poll);
  }
}

/**
 * The session's processes among `table`.
 * @param kernelSessions sessions known to be its own; grows, so that a later look finds what an earlier one led to
 */
export function membersOf(
  root: TreeRoot,
  table: readonly MarkedProcess[],
  kernelSessions: Set<number>,
): MarkedProcess[] {
  const members = new Map<number, MarkedProcess>();
  const isMember = (entry: MarkedProcess): boolean =>
    entry.pid === root.pid
      ? entry.startTime === root.startTime
      : entry.marker === root.sessionId || kernelSessions.has(entry.session) || members.has(entry.ppid);
  // The kernel reuses no pid that still names a session, so a stranger with the root's pid means that one is over.
  if (table.some((entry) => entry.pid === root.pid && entry.startTime !== root.startTime)) {
    kernelSessions.delete(root.pid);
  }
  for (let size = -1; size < members.size;) {
    size = members.size;
    for (const entry of table) {
      if (members.has(entry.pid) || !isMember(entry)) continue;
      members.set(entry.pid, entry);
      // A process just forked is still in the runner's session: taking that for its own would kill us.
      if (entry.session > 0 && entry.session !== ownKernelSession) kernelSessions.add(entry.session);
    }
  }
  return [...members.values()];
}

function signalProcess(member: MarkedProcess, signals: readonly NodeJS.Signals[]): void {
  // The table is some milliseconds old: make sure that the pid still means the same process.
  if (startTimeOf(member.pid) !== member.startTime) return;
  for (const signal of signals) sendSignal(member.pid, signal);
}

/** Undefined when there is no such process, or no descriptor left to look: the next round looks again. */
function startTimeOf(pid: number): number | undefined {
  try {
    return readProcess(pid)?.startTime;
  } catch {
    return undefined;
  }
}

/**
 * Signals the foreground process group of the session's terminal.
 * @returns false when there is nobody to signal
 */
export function signalForeground(root: TreeRoot, signal: NodeJS.Signals): boolean {
  const leader = readProcess(root.pid);
  if (!leader || leader.zombie || leader.startTime !== root.startTime) return false;
  // Before its first job a session leader is its own foreground group.
  return sendSignal(-(leader.foreground > 0 ? leader.foreground : root.pid), signal);
}

/** false when there is no such process any more, or it is not ours to signal. */
function sendSignal(target: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(target, signal);
  } catch {
    return false;
  }
}
