import { LRUCache } from 'lru-cache';

/** When an address, or one name from it, is locked out, and for how long. */
export interface LockoutRules {
  /** Failures of one name that lock it out. */
  readonly failures: number;
  /** Failures of an address, whatever they name, that lock it out. */
  readonly addressFailures: number;
  readonly firstMs: number;
  /** Each is twice as long as the one before, up to this. */
  readonly longestMs: number;
}

/** One that was locked out. */
export interface Lockout {
  readonly address: string;
  /** What the credentials named; null when it is the address, whatever they name. */
  readonly name: number | null;
  readonly forMs: number;
  until: number;
  /** Its end was told; it is remembered so that the next one is longer. */
  over: boolean;
}

/** Within so long failures count together. */
export const WINDOW_MS = 300_000;
/** So long after its end the next one is still twice as long. */
const REMEMBERED_MS = 3_600_000;
/** Addresses with failures of late. The one that failed last longest ago is forgotten. */
export const MAX_WATCHED = 20_000;
/** Lockouts that are remembered. Only others make one be forgotten, each of which takes as many failures. */
export const MAX_LOCKOUTS = 20_000;

/** In the place of a name that was locked out: its failures still count for the address. */
const NO_NAME = -1;

/**
 * Who failed to authenticate too often, by address and by what they named. Pure: time is passed in, names are numbers that
 * the caller makes. Locks out names only as they come from that address, so nobody else's.
 */
export class LockoutTable {
  /** Failures of late: moment and name, one after the other. */
  readonly #watched = new LRUCache<string, number[]>({ max: MAX_WATCHED });
  /** By address, then by name. */
  readonly #lockouts = new Map<string, Map<number | null, Lockout>>();
  #size = 0;

  /** @param tell called when one begins, and when it is over */
  constructor(
    private readonly rules: LockoutRules,
    private readonly tell: (what: 'began' | 'ended', lockout: Lockout) => void,
  ) {}

  /** Lockouts in force. */
  active(now: number): number {
    let active = 0;
    for (const lockout of this.#all()) if (lockout.until > now) active += 1;
    return active;
  }

  /**
   * Milliseconds until credentials from there are looked at again; 0 when they are.
   * @param name asked for only where it makes a difference
   */
  remaining(address: string, name: () => number, now: number): number {
    const here = this.#lockouts.get(address);
    if (here === undefined) return 0;
    const whole = (here.get(null)?.until ?? 0) - now;
    return Math.max(0, whole > 0 ? whole : (here.get(name())?.until ?? 0) - now);
  }

  /** Counts a failure; one of a name that is locked out for the address alone, and none of an address that is. */
  fail(address: string, name: number, now: number): void {
    // Checks that were under way when a lockout began end after it: no other begins by them.
    const here = this.#lockouts.get(address);
    if ((here?.get(null)?.until ?? 0) > now) return;
    const isLocked = (here?.get(name)?.until ?? 0) > now;
    const recent = this.#recent(address, now);
    recent.push(now, isLocked ? NO_NAME : name);
    let named = 0;
    for (let at = 1; at < recent.length; at += 2) if (recent[at] === name) named += 1;
    if (recent.length / 2 >= this.rules.addressFailures) {
      this.#watched.delete(address);
      this.#lock(address, null, now);
    } else if (named >= this.rules.failures) {
      this.#watched.set(
        address,
        recent.map((value, index) => (index % 2 === 1 && value === name ? NO_NAME : value)),
      );
      this.#lock(address, name, now);
    } else this.#watched.set(address, recent);
  }

  /** Tells of those that are over, and forgets what is long past. To be called every so often. */
  sweep(now: number): void {
    for (const lockout of [...this.#all()]) {
      if (!lockout.over && lockout.until <= now) {
        lockout.over = true;
        this.tell('ended', lockout);
      }
      if (lockout.until + REMEMBERED_MS <= now) this.#forget(lockout);
    }
  }

  /** All are over: they are kept nowhere else. */
  endAll(): void {
    for (const lockout of this.#all()) if (!lockout.over) this.tell('ended', lockout);
    this.#lockouts.clear();
    this.#size = 0;
  }

  /** Failures within the window, as moment and name. */
  #recent(address: string, now: number): number[] {
    const all = this.#watched.get(address) ?? [];
    let from = 0;
    while (from < all.length && (all[from] ?? 0) <= now - WINDOW_MS) from += 2;
    return from === 0 ? all : all.slice(from);
  }

  #lock(address: string, name: number | null, now: number): void {
    const here = this.#lockouts.get(address) ?? new Map<number | null, Lockout>();
    const before = here.get(name);
    const forMs = before === undefined ? this.rules.firstMs : Math.min(before.forMs * 2, this.rules.longestMs);
    if (before === undefined) this.#size += 1;
    const lockout = { address, name, forMs, until: now + forMs, over: false };
    here.delete(name);
    here.set(name, lockout);
    // The address that was locked out last stands last.
    this.#lockouts.delete(address);
    this.#lockouts.set(address, here);
    this.tell('began', lockout);
    for (const oldest of this.#all()) {
      if (this.#size <= MAX_LOCKOUTS) break;
      if (!oldest.over) this.tell('ended', oldest);
      this.#forget(oldest);
    }
  }

  #forget({ address, name }: Lockout): void {
    const here = this.#lockouts.get(address);
    if (here?.delete(name) === true) this.#size -= 1;
    if (here?.size === 0) this.#lockouts.delete(address);
  }

  *#all(): Iterable<Lockout> {
    for (const here of this.#lockouts.values()) yield* here.values();
  }
}
