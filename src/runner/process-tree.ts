/**
 * Ends everything a session started. A process belongs to it when it is in the session's control group, descends from the
 * session's own process, shares a kernel session with one that does, or carries the session's marker in its environment:
 * so `setsid`, double forks and wiped environments are found. Where there are no control groups (session-groups.ts), what
 * evades this must do all three at once.
 */
import { setTimeout } from 'node:timers/promises';
import { type MarkedProcess, ownKernelSession, type ProcessEntry, readProcess, scanProcesses } from './processes.js';
import type { SessionGroup } from './session-group.js';

/** The session's own process; `startTime` guards against a reused pid, undefined when it was gone too fast to tell. */
export interface TreeRoot {
  readonly sessionId: string;
  readonly pid: number;
  readonly startTime: number | undefined;
  readonly group?: SessionGroup | undefined;
}

/** How long processes have to end by themselves after SIGHUP and SIGTERM. */
const TERMINATE_MS = 5000;
/** How long SIGKILL is repeated for what appears in between. */
const KILL_MS = 2000;
const FIRST_POLL_MS = 10;
const LAST_POLL_MS = 100;

/** SIGCONT last: a stopped process must run to notice the others. */
const POLITE = ['SIGHUP', 'SIGTERM', 'SIGCONT'] as const;

/** Was in the control group a moment ago, and may have left a child there: signalled it is not, but counted. */
const VANISHED = { ppid: 0, session: 0, foreground: -1, startTime: NaN, zombie: true } as const;

/** Processes that are to end. */
export interface Doomed {
  /** Those that are there now. Rejects when that cannot be found out. */
  look(): Promise<readonly ProcessEntry[]>;
  /** The polite time is over: keeps them from forking while they are killed, where that can be done. */
  freeze(): void;
}

/**
 * Ends all processes of a session.
 * @returns how many are left, 0 unless a process is stuck in the kernel or not ours to signal
 */
export async function killTree(root: TreeRoot): Promise<number> {
  const kernelSessions = new Set([root.pid]);
  const survivors = await endProcesses({
    look: async () => {
      const table = await scanProcesses();
      return membersOf(root, table, kernelSessions, root.group?.processes());
    },
    freeze: () => root.group?.freeze(),
  });
  // It may take a moment longer, which nobody has to wait for.
  void root.group?.remove();
  return survivors;
}

/**
 * Ends processes: politely, after 5 s by force.
 * @returns how many are left after some time of that
 */
export async function endProcesses(doomed: Doomed): Promise<number> {
  const asked = new Set<string>();
  const begin = performance.now();
  for (let poll = FIRST_POLL_MS; ; poll = Math.min(poll * 1.5, LAST_POLL_MS)) {
    const force = performance.now() - begin >= TERMINATE_MS;
    if (force) doomed.freeze();
    // Without descriptors left to look, it is not known that nobody is there: look again.
    const members = await doomed.look().catch(() => undefined);
    if (members?.length === 0) return 0;
    if (performance.now() - begin > TERMINATE_MS + KILL_MS) return members?.length ?? 1;
    for (const member of members ?? []) {
      const identity = `${String(member.pid)}:${String(member.startTime)}`;
      if (force) signalProcess(member, ['SIGKILL']);
      else if (!asked.has(identity)) signalProcess(member, POLITE);
      asked.add(identity);
    }
    await setTimeout(poll);
  }
}

/**
 * The session's processes among `table`, and those of its control group.
 * @param kernelSessions sessions known to be its own; grows, so that a later look finds what an earlier one led to
 * @param grouped the pids in its control group
 */
export function membersOf(
  root: TreeRoot,
  table: readonly MarkedProcess[],
  kernelSessions: Set<number>,
  grouped: ReadonlySet<number> = new Set(),
): MarkedProcess[] {
  // The kernel reuses no pid that still names a session, so a stranger with the root's pid means that one is over.
  if (table.some((entry) => entry.pid === root.pid && entry.startTime !== root.startTime)) {
    kernelSessions.delete(root.pid);
  }
  return familyOf(withGrouped(table, grouped), kernelSessions, (entry) => {
    if (grouped.has(entry.pid)) return true;
    return entry.pid === root.pid ? entry.startTime === root.startTime : entry.marker === root.sessionId;
  });
}

/**
 * Everything among `table` that `isOurs` names, descends from that, or is in one of its kernel sessions.
 * @param kernelSessions sessions known to be ours; grows
 */
export function familyOf(
  table: readonly MarkedProcess[],
  kernelSessions: Set<number>,
  isOurs: (entry: MarkedProcess) => boolean,
): MarkedProcess[] {
  const members = new Map<number, MarkedProcess>();
  for (let size = -1; size < members.size;) {
    size = members.size;
    for (const entry of table) {
      if (members.has(entry.pid)) continue;
      if (!isOurs(entry) && !kernelSessions.has(entry.session) && !members.has(entry.ppid)) continue;
      members.set(entry.pid, entry);
      // A process just forked is still in the runner's session: taking that for its own would kill us.
      if (entry.session > 0 && entry.session !== ownKernelSession) kernelSessions.add(entry.session);
    }
  }
  return [...members.values()];
}

/**
 * The table with what a control group has besides: processes that started after it was read, and ones that look dead
 * there, because their first thread has ended and others have not.
 */
export function withGrouped(table: readonly MarkedProcess[], grouped: ReadonlySet<number>): MarkedProcess[] {
  const known = new Set(table.map(({ pid }) => pid));
  const more = [...grouped].filter((pid) => !known.has(pid));
  return [...table, ...more.map((pid) => ({ ...(readProcess(pid) ?? { ...VANISHED, pid }), marker: undefined }))];
}

function signalProcess(member: ProcessEntry, signals: readonly NodeJS.Signals[]): void {
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
