/**
 * A control group for each session, where the machine lets us make one: its members are found whatever they do to their
 * environment, parents and kernel session. The groups are threaded ones below a group of the runner's own, so that the
 * one thread that forks can step into a session's group and back within microseconds, and the child is born in it: there
 * is no moment in which it could fork outside. No group that is not ours is changed.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findGroups, groupsBelow, moveProcess, ownGroup, removeGroup, threadsIn } from './control-groups.js';
import { errnoOf } from './errno.js';
import { SessionGroup } from './session-group.js';

/** Made and removed at the start, to know whether it can be done. */
const PROBE = 'probe';

/** The groups of one runner's sessions. */
export class SessionGroups {
  readonly #name: string;
  /** Where this process was, and the group of its own that it stepped into. */
  #place: { readonly home: string; readonly folder: string } | undefined;
  /** Groups that a runner of this id left when it died, wherever that was; one of them may be ours now. */
  #abandoned: string[] = [];
  #abandonedSessions: SessionGroup[] = [];

  /** @param runner the runner's id */
  constructor(runner: string) {
    this.#name = `gatehouse-${runner}`;
  }

  /** Those of sessions of a runner that died. */
  get abandoned(): readonly SessionGroup[] {
    return this.#abandonedSessions;
  }

  /** The processes in them are gone. */
  removeAbandoned(): void {
    for (const folder of this.#abandoned) if (folder !== this.#place?.folder) removeGroup(folder);
    this.#abandoned = [];
    this.#abandonedSessions = [];
  }

  /** Steps into a group of our own. @returns false where that cannot be had, and so sessions have no groups */
  open(): boolean {
    try {
      // A group with a runner in it is that of one that lives: a copy of our data directory has our id.
      this.#abandoned = findGroups(this.#name).filter((folder) => threadsIn(folder).length === 0);
      this.#abandonedSessions = this.#abandoned.flatMap(groupsBelow).map((folder) => new SessionGroup(folder));
      const home = ownGroup();
      if (home === undefined) return false;
      const folder = join(home, this.#name);
      makeGroup(folder);
      if (threadsIn(folder).length > 0) return false;
      moveProcess(folder);
      this.#place = { home, folder };
      this.#probe(folder);
      return true;
    } catch {
      this.close();
      return false;
    }
  }

  /** A group for a session; none where there are none to be had. */
  create(session: string): SessionGroup | undefined {
    if (this.#place === undefined) return undefined;
    const folder = join(this.#place.folder, session);
    try {
      makeGroup(folder);
      writeFileSync(join(folder, 'cgroup.type'), 'threaded');
      return new SessionGroup(folder);
    } catch {
      // Out of groups, say: the session is still known by descent and environment.
      return undefined;
    }
  }

  /** Steps back and removes the groups, but for those that somebody is still in. */
  close(): void {
    if (this.#place === undefined) return;
    const { home, folder } = this.#place;
    this.#place = undefined;
    try {
      moveProcess(home);
      removeGroup(folder);
    } catch {
      // The next runner of this id finds and removes what is left.
    }
  }

  #probe(folder: string): void {
    const group = this.create(PROBE);
    const seen = group?.enter(() => threadsIn(join(folder, PROBE)));
    removeGroup(join(folder, PROBE));
    if (seen?.includes(process.pid) !== true) throw new Error('a thread cannot step into a group');
  }
}

function makeGroup(folder: string): void {
  try {
    mkdirSync(folder);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  // Below a group that is threaded itself, as a session's is in which a runner is started, there are only such.
  const type = join(folder, 'cgroup.type');
  if (readFileSync(type, 'utf8').trim() === 'domain invalid') writeFileSync(type, 'threaded');
}
