/** What a screen says of the agent that drew it: pure. */
import { SETTLED_MS, type Sight } from './screen-watch.js';

/** A program that shows its prompt and moves nothing for so long waits for input. */
const READY_MS = 1000;
/** One that shows nothing known takes a prompt after so long, when nothing else is said. */
const USUAL_QUIET_MS = 2000;

export interface Reading {
  readonly says: 'nothing' | 'working' | 'permission' | 'login' | 'input';
  /** What it asks; empty unless it asks for permission. */
  readonly text: string;
}

/**
 * Reads what is to be seen.
 * @param quietLimitMs without output for so long it is taken to wait; 0: quiet means nothing
 */
export function readScreen({ view, busy, quietMs }: Sight, quietLimitMs: number): Reading {
  if (busy) return { says: quietMs < SETTLED_MS ? 'working' : 'nothing', text: '' };
  if (view.login) return { says: 'login', text: '' };
  if (view.waiting) return { says: 'permission', text: view.question };
  const quiet = quietLimitMs > 0 && quietMs >= quietLimitMs;
  if (quiet || (view.ready && quietMs >= READY_MS)) return { says: 'input', text: '' };
  return { says: 'working', text: '' };
}

/**
 * Can a first prompt be typed in? Never into a question or a login, and where it is known how a screen looks that is ready,
 * into no other: `unknown` is one that would be taken for ready if it were not.
 */
export function takesPrompt(
  { view, busy, quietMs }: Sight,
  quietLimitMs: number,
  knowsReady: boolean,
): 'yes' | 'no' | 'unknown' {
  if (busy || view.login || view.waiting) return 'no';
  if (view.ready) return 'yes';
  if (quietMs < (quietLimitMs || USUAL_QUIET_MS)) return 'no';
  return knowsReady ? 'unknown' : 'yes';
}
