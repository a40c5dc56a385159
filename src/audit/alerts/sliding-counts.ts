import { LRUCache } from 'lru-cache';

/** A window is counted in so many parts: a count reaches back by one window, and at most one part more. */
const PARTS = 20;

interface Counted {
  /** One more than {@link PARTS}, by the number of the part. */
  readonly parts: Float64Array;
  /** Number of the latest part. */
  latest: number;
}

/** Counts per group within a window that slides. Past `maxGroups` the group that was quiet longest is forgotten. */
export class SlidingCounts {
  readonly #groups: LRUCache<string, Counted>;
  readonly #partMs: number;

  /** @param withinMs length of the window */
  constructor(withinMs: number, maxGroups: number) {
    this.#groups = new LRUCache({ max: maxGroups });
    this.#partMs = withinMs / PARTS;
  }

  /**
   * Counts something.
   * @param at milliseconds since 1970; what comes late counts with the latest
   * @returns how many there were within the window, this included
   */
  add(group: string, at: number, occurrences: number): number {
    const part = Math.floor(at / this.#partMs);
    const counted = this.#groups.get(group) ?? { parts: new Float64Array(PARTS + 1), latest: part };
    for (let passed = 1; passed <= Math.min(part - counted.latest, PARTS + 1); passed += 1)
      counted.parts[(counted.latest + passed) % (PARTS + 1)] = 0;
    counted.latest = Math.max(counted.latest, part);
    const index = counted.latest % (PARTS + 1);
    counted.parts[index] = (counted.parts[index] ?? 0) + occurrences;
    this.#groups.set(group, counted);
    return counted.parts.reduce((sum, each) => sum + each, 0);
  }
}
