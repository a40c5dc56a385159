/** The kernel's control groups (cgroup v2) as files: which one this process is in, and who is in one. */
import { type Dirent, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from './errno.js';

/** Groups below a group are looked into so deep; a program that may make its own makes no deeper ones without intent. */
const MAX_DEPTH = 16;
/** What says that a group, or what was asked of it, is not there (any more). */
const ABSENT = ['ENOENT', 'ENODEV', 'ENOTSUP', 'EOPNOTSUPP'];

/** Where the hierarchy is mounted as a whole, undefined where it is not. */
export function groupsMount(): string | undefined {
  for (const line of readFileSync('/proc/self/mountinfo', 'utf8').split('\n')) {
    const [place = '', type = ''] = line.split(' - ');
    const [, , , root, mount] = place.split(' ');
    // A path with a backslash is an escaped one, which no system uses here.
    if (type.startsWith('cgroup2 ') && root === '/' && mount?.includes('\\') === false) return mount;
  }
  return undefined;
}

/** The folder of the group this process is in, undefined where that cannot be seen. */
export function ownGroup(): string | undefined {
  const mount = groupsMount();
  const path = /^0::(\/.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1];
  return mount === undefined || path === undefined || path.startsWith('/..') ? undefined : join(mount, path);
}

/** Moves the calling thread, and nothing else of its process: unlike every other move this one waits for no grace period. */
export function moveThread(group: string): void {
  writeFileSync(join(group, 'cgroup.threads'), '0');
}

/** Moves this process with all its threads. */
export function moveProcess(group: string): void {
  writeFileSync(join(group, 'cgroup.procs'), '0');
}

/** The threads in this group itself, none when there is no such group. Throws when that cannot be found out. */
export function threadsIn(group: string): number[] {
  // 0 is one that is ending, or of another pid namespace; a signal to 0 would go to ourselves.
  return (read(join(group, 'cgroup.threads')) ?? '').split('\n').map(Number).filter(isPid);
}

/** The processes in a group and the groups below it, but for this one. Throws when that cannot be found out. */
export function processesIn(group: string, depth = MAX_DEPTH): Set<number> {
  const found = new Set<number>();
  for (const thread of threadsIn(group)) {
    const pid = /^Tgid:\s*(\d+)$/m.exec(read(`/proc/${String(thread)}/status`) ?? '')?.[1];
    // One that has ended since may have forked: that somebody was there must not pass for nobody.
    if (Number(pid) !== process.pid) found.add(Number(pid ?? thread));
  }
  if (depth > 0)
    for (const child of groupsBelow(group)) for (const pid of processesIn(child, depth - 1)) found.add(pid);
  return found;
}

/** The groups directly below. */
export function groupsBelow(group: string): string[] {
  return entriesOf(group)
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(group, entry.name));
}

/** All groups of this name, wherever they are. */
export function findGroups(name: string, below = groupsMount(), depth = MAX_DEPTH): string[] {
  if (below === undefined || depth === 0) return [];
  return groupsBelow(below).flatMap((group) => [
    ...(group.endsWith(`/${name}`) ? [group] : []),
    ...findGroups(name, group, depth - 1),
  ]);
}

/** Removes a group with those below it. @returns false while somebody is in one of them */
export function removeGroup(group: string): boolean {
  try {
    for (const child of groupsBelow(group)) if (!removeGroup(child)) return false;
    rmdirSync(group);
    return true;
  } catch (error) {
    return errnoOf(error) === 'ENOENT';
  }
}

function isPid(value: number): boolean {
  return Number.isInteger(value) && value > 1;
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    // ESRCH: a thread that ended between opening and reading.
    if ([...ABSENT, 'ESRCH'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

function entriesOf(group: string): Dirent[] {
  try {
    return readdirSync(group, { withFileTypes: true });
  } catch (error) {
    if (ABSENT.includes(errnoOf(error) ?? '')) return [];
    throw error;
  }
}
