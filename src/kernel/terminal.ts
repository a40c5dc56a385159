/** What a terminal can be and be sent, the same for the gateway, which refuses first, and the runner, which checks again. */

/** Largest terminal; the smallest is 1 × 1. */
export const MAX_COLS = 1000;
export const MAX_ROWS = 500;

/** Signals that may be sent to a session, without `SIG`. */
export const SIGNALS = ['INT', 'TERM', 'KILL', 'HUP', 'QUIT', 'TSTP', 'CONT', 'USR1', 'USR2', 'WINCH'] as const;

export type SignalName = (typeof SIGNALS)[number];
