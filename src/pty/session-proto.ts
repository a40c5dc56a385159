import type { Session } from '../generated/gatehouse/pty/v1/Session.js';
import type { SessionState as ProtoState } from '../generated/gatehouse/pty/v1/SessionState.js';
import type { Timestamp } from '../generated/google/protobuf/Timestamp.js';
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

type EnumPrefix = 'SESSION_STATE_' | 'ATTACH_MODE_' | 'GRANTEE_KIND_' | 'SHARE_LEVEL_';

/** An enum value of the wire as its plain name; unspecified is absent; what is not known is left for the schema to refuse. */
export function plainEnum(value: unknown, prefix: EnumPrefix): unknown {
  if (value === undefined || value === `${prefix}UNSPECIFIED`) return undefined;
  return typeof value === 'string' && value.startsWith(prefix) ? value.slice(prefix.length).toLowerCase() : value;
}

/** A session as protobuf: times as Timestamp, null as absent. */
export function toProto(view: SessionView): Session {
  const { created_at, ended_at, pid, exit_code, signal, reason, state, command, ...others } = view;
  const { idle_timeout_seconds, max_duration_seconds, ...same } = others;
  return {
    ...same,
    command: [...command],
    state: STATES[state],
    created_at: timestamp(created_at),
    ...(idle_timeout_seconds === null ? {} : { idle_timeout_seconds }),
    ...(max_duration_seconds === null ? {} : { max_duration_seconds }),
    ...(ended_at === null ? {} : { ended_at: timestamp(ended_at) }),
    ...(pid === null ? {} : { pid }),
    ...(exit_code === null ? {} : { exit_code }),
    ...(signal === null ? {} : { signal }),
    ...(reason === null ? {} : { reason }),
  };
}

export function timestamp(rfc3339: string): Timestamp {
  const ms = Date.parse(rfc3339);
  return { seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1_000_000 };
}
