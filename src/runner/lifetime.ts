/** How long a session may go on; 0 for as long as it likes. */
export interface Lifetime {
  /** Without input, output or attachment, seconds. */
  readonly idleSeconds: number;
  /** From its start, seconds. */
  readonly maxSeconds: number;
}

/** What is asked of a live session. Times are of the monotonic clock, milliseconds: a clock that is set ends nobody. */
export interface Mortal {
  readonly lifetime: Lifetime;
  readonly startedAt: number;
  /** When it last had input, output or an attachment; while it has one, of no account. */
  readonly lastActive: number;
  /** How many clients are attached. */
  readonly attached: number;
}

export type LifetimeEnd = 'max_duration' | 'idle_timeout';

/** Why the session is to be ended now, if it is. @param now of the monotonic clock, milliseconds */
export function lifetimeEnd(session: Mortal, now: number): LifetimeEnd | null {
  const { idleSeconds, maxSeconds } = session.lifetime;
  if (maxSeconds > 0 && now - session.startedAt >= maxSeconds * 1000) return 'max_duration';
  const idle = idleSeconds > 0 && session.attached === 0 && now - session.lastActive >= idleSeconds * 1000;
  return idle ? 'idle_timeout' : null;
}
