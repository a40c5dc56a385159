import { AttachError } from './errors.js';
import { retryAfter } from './messages.js';

/** Close codes after which the session is worth coming back to. */
const COME_BACK = new Set([1001, 1005, 1006, 1011, 1012, 1013, 4002, 4005]);
/** HTTP statuses, beside 5xx, that say nothing against a later attempt. */
const LATER = new Set([408, 425, 429]);
/** Ends of a credential that a fresh one mends. */
const EXPIRED = new Set(['JWT_EXPIRED', 'SESSION_EXPIRED']);
/** Longest that a server may ask to stay away. */
const MAX_AWAY_MS = 60_000;

/** The server is worth coming back to, after so many milliseconds at least. */
export interface Away {
  readonly notBeforeMs: number;
}

/** What is to be done after a connection ended: come back, or give it up for a reason. */
export type Verdict = Away | AttachError;

/** How a connection ended, and what is known about it. */
export interface Closing {
  readonly closeCode: number;
  /** The reason of the close; the server puts its code there. */
  readonly reason: string;
  /** The last error that the server told. */
  readonly told: { readonly code: string; readonly message: string; readonly retryAfterMs: number | null } | null;
  /** Whether the connection had got so far that the credential was good, and a fresh one can be had. */
  readonly renewable: boolean;
}

/** Decides after a close. */
export function afterClose({ closeCode, reason, told, renewable }: Closing): Verdict {
  const error = reason !== '' && told?.code === reason ? told : null;
  if (COME_BACK.has(closeCode) || (renewable && EXPIRED.has(reason))) return away(error?.retryAfterMs ?? null);
  const words = error?.message ?? (reason === '' ? `code ${closeCode}` : reason);
  return new AttachError('refused', `the server closed the connection: ${words}`, {
    closeCode,
    ...(reason === '' ? {} : { code: reason }),
  });
}

/** Decides after an upgrade that was refused. @param body of the answer */
export function afterRefusal(status: number, body: string): Verdict {
  const answer = parse(body);
  const error = member(answer, 'error');
  if (status >= 500 || LATER.has(status)) return away(retryAfter(member(error, 'details')));
  const [code, message] = [member(error, 'code'), member(error, 'message')];
  return new AttachError('refused', typeof message === 'string' ? message : `the server answered ${status}`, {
    status,
    answer,
    ...(typeof code === 'string' ? { code } : {}),
  });
}

/** What a server may ask for, within bounds. */
export const away = (milliseconds: number | null): Away => ({
  notBeforeMs: Math.min(milliseconds ?? 0, MAX_AWAY_MS),
});

const member = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
