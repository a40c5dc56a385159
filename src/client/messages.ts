import { malformed } from './errors.js';
import { asFields, type Fields, flag, integer, orNull, parseObject, text, word } from './fields.js';

/** Whoever is attached either types and sets the size, or watches. */
export type Mode = 'controller' | 'viewer';

/** Longest list of participants that a server sends. */
const MAX_PARTICIPANTS = 1000;
const MODES = ['controller', 'viewer'] as const;

/** Somebody who is attached to the session; the size of their terminal when it is known. */
export interface Participant {
  readonly attachment: number;
  readonly userId: string;
  readonly mode: Mode;
  readonly cols: number | null;
  readonly rows: number | null;
}

export interface AttachedMessage {
  readonly type: 'attached';
  readonly epoch: string;
  readonly mode: Mode;
  /** Offset at which output begins; a snapshot's, when one comes first. */
  readonly from: number;
  readonly snapshot: boolean;
  readonly cols: number;
  readonly rows: number;
  readonly inputNext: number;
  /** Names this attachment within the session; null from a server that does not number them. */
  readonly attachment: number | null;
}

export interface ErrorMessage {
  readonly type: 'error';
  readonly id: string | number | null;
  readonly code: string;
  readonly message: string;
  readonly inputNext: number | null;
  readonly retryAfterMs: number | null;
}

/** What the server tells, as far as a client of one session has to know it. */
export type ServerMessage =
  | AttachedMessage
  | ErrorMessage
  | { readonly type: 'authenticated'; readonly expiresAt: number | null }
  | { readonly type: 'mode_changed'; readonly mode: Mode; readonly reason: string }
  | { readonly type: 'input_ack'; readonly inputNext: number }
  | {
      readonly type: 'process_exited';
      readonly exitCode: number | null;
      readonly signal: string | null;
      readonly reason: string;
    }
  | { readonly type: 'participants'; readonly participants: readonly Participant[]; readonly total: number }
  | { readonly type: 'flow_control'; readonly action: 'pause' | 'resume'; readonly reason: string }
  | { readonly type: 'goaway'; readonly reason: string; readonly resumeAfterMs: number };

type Reader = (fields: Fields) => ServerMessage;

const READERS: Readonly<Record<string, Reader>> = {
  attached: (fields) => ({
    type: 'attached',
    epoch: text(fields, 'epoch'),
    mode: word(fields, 'mode', MODES),
    from: integer(fields, 'from'),
    snapshot: orNull(fields, 'snapshot', flag) ?? false,
    cols: integer(fields, 'cols'),
    rows: integer(fields, 'rows'),
    inputNext: integer(fields, 'input_next'),
    attachment: orNull(fields, 'attachment', integer),
  }),
  authenticated: (fields) => ({ type: 'authenticated', expiresAt: orNull(fields, 'expires_at', moment) }),
  mode_changed: (fields) => ({
    type: 'mode_changed',
    mode: word(fields, 'mode', MODES),
    reason: text(fields, 'reason'),
  }),
  input_ack: (fields) => ({ type: 'input_ack', inputNext: integer(fields, 'input_next') }),
  process_exited: (fields) => ({
    type: 'process_exited',
    exitCode: orNull(fields, 'exit_code', integer),
    signal: orNull(fields, 'signal', text),
    reason: text(fields, 'reason'),
  }),
  participants: (fields) => ({
    type: 'participants',
    participants: participants(fields['participants']),
    total: integer(fields, 'total'),
  }),
  flow_control: (fields) => ({
    type: 'flow_control',
    action: word(fields, 'action', ['pause', 'resume']),
    reason: text(fields, 'reason'),
  }),
  goaway: (fields) => ({
    type: 'goaway',
    reason: text(fields, 'reason'),
    resumeAfterMs: integer(fields, 'resume_after_ms'),
  }),
  error: (fields) => ({
    type: 'error',
    id: errorId(fields['id']),
    code: text(fields, 'code'),
    message: text(fields, 'message'),
    inputNext: orNull(fields, 'input_next', integer),
    retryAfterMs: retryAfter(fields['details']),
  }),
};

/**
 * Reads a control message.
 * @returns null for a type that is not needed, or that a newer server has added
 * @throws AttachError malformed
 */
export function readMessage(json: string): ServerMessage | null {
  const fields = parseObject(json);
  const type = text(fields, 'type');
  const reader = Object.hasOwn(READERS, type) ? READERS[type] : undefined;
  return reader === undefined ? null : reader(fields);
}

/** Seconds that a refusal asks to wait, in milliseconds; null when it says nothing that could be one. */
export function retryAfter(details: unknown): number | null {
  if (typeof details !== 'object' || details === null || !('retry_after' in details)) return null;
  const seconds = details.retry_after;
  return typeof seconds === 'number' && Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null;
}

function participants(list: unknown): Participant[] {
  if (!Array.isArray(list) || list.length > MAX_PARTICIPANTS) throw malformed('participants is no list');
  return list.map((each: unknown) => {
    const fields = asFields(each, 'a participant');
    return {
      attachment: integer(fields, 'attachment'),
      userId: text(fields, 'user_id'),
      mode: word(fields, 'mode', MODES),
      cols: orNull(fields, 'cols', integer),
      rows: orNull(fields, 'rows', integer),
    };
  });
}

function moment(fields: Fields, name: string): number {
  const time = Date.parse(text(fields, name));
  if (Number.isNaN(time)) throw malformed(`${name} is no time`);
  return time;
}

const errorId = (id: unknown): string | number | null => (typeof id === 'string' || typeof id === 'number' ? id : null);
