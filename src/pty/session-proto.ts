import type { Session } from '../generated/gatehouse/pty/v1/Session.js';
import type { SessionState as ProtoState } from '../generated/gatehouse/pty/v1/SessionState.js';
import { timestamp } from '../kernel/proto-values.js';
import type { SessionState } from './session.entity.js';
import type { SessionView } from './session-view.js';

/** Enums of the wire and their plain names: `SESSION_STATE_RUNNING` and `running`. */
const STATES = {
  starting: 'SESSION_STATE_STARTING',
  running: 'SESSION_STATE_RUNNING',
  exited: 'SESSION_STATE_EXITED',
  killed: 'SESSION_STATE_KILLED',
  lost: 'SESSION_STATE_LOST',
} as const satisfies Record<SessionState, ProtoState>;

/** A session as protobuf: times as Timestamp, null as absent. */
export function toProto(view: SessionView): Session {
  const { created_at, ended_at, pid, exit_code, signal, reason, state, command, ...others } = view;
  const { idle_timeout_seconds, max_duration_seconds, worktree_id, ...same } = others;
  return {
    ...same,
    command: [...command],
    state: STATES[state],
    created_at: timestamp(created_at),
    ...(idle_timeout_seconds === null ? {} : { idle_timeout_seconds }),
    ...(max_duration_seconds === null ? {} : { max_duration_seconds }),
    ...(worktree_id === null ? {} : { worktree_id }),
    ...(ended_at === null ? {} : { ended_at: timestamp(ended_at) }),
    ...(pid === null ? {} : { pid }),
    ...(exit_code === null ? {} : { exit_code }),
    ...(signal === null ? {} : { signal }),
    ...(reason === null ? {} : { reason }),
  };
}
