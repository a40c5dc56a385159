import type { RunnerSession } from '../generated/gatehouse/runner/v1/RunnerSession.js';
import type { Session } from './session.js';

/** A session as it is told to gateways. */
export function describe(session: Session): RunnerSession {
  const { id, pid, state, exit, endedAt, cols, rows, ring } = session;
  return {
    ...{ id, pid, state, cols, rows },
    created_at_ms: session.createdAt,
    dropped_before: ring.start,
    output_next: ring.end,
    ...(endedAt !== undefined && { ended_at_ms: endedAt }),
    ...(exit && { reason: exit.reason }),
    ...(exit && exit.exit_code !== null && { exit_code: exit.exit_code }),
    ...(exit && exit.signal !== null && { signal: exit.signal }),
  };
}
