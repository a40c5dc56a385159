/** Time and chance, replaceable so that tests can hold them still. */
export interface Timing {
  /** Milliseconds of a clock that nobody sets. */
  now(): number;
  /** Milliseconds since 1970, UTC. */
  date(): number;
  /** A number in [0, 1). */
  random(): number;
  /** Calls once, after so many milliseconds. @returns what calls it off */
  after(milliseconds: number, call: () => void): () => void;
}

export const systemTiming: Timing = {
  now: () => performance.now(),
  date: () => Date.now(),
  random: () => Math.random(),
  after: (milliseconds, call) => {
    const timer = setTimeout(call, milliseconds);
    return () => {
      clearTimeout(timer);
    };
  },
};
