/**
 * Why there is no attachment any more: `refused` by the server, never `unreachable` in the first place, `gave_up` after
 * coming back had failed for too long, or `malformed`: the other side does not speak the protocol.
 */
export type AttachErrorReason = 'refused' | 'unreachable' | 'gave_up' | 'malformed';

export interface AttachErrorFacts {
  /** The server's stable code, such as `NOT_FOUND` or `TOKEN_REVOKED`. */
  readonly code?: string | undefined;
  /** How the WebSocket was closed. */
  readonly closeCode?: number | undefined;
  /** HTTP status, when the upgrade was refused and the socket could tell. */
  readonly status?: number | undefined;
  /** The body of that answer, parsed from JSON; null when it was none. */
  readonly answer?: unknown;
  /** What was thrown underneath. */
  readonly cause?: unknown;
}

/** The one error in which an attachment ends. */
export class AttachError extends Error {
  readonly code: string | undefined;
  readonly closeCode: number | undefined;
  readonly status: number | undefined;
  readonly answer: unknown;

  /** @param message a sentence for a person; it may have the server's words, and never a credential */
  constructor(
    readonly reason: AttachErrorReason,
    message: string,
    facts: AttachErrorFacts = {},
  ) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'AttachError';
    this.code = facts.code;
    this.closeCode = facts.closeCode;
    this.status = facts.status;
    this.answer = facts.answer;
  }
}

/** What the server sent cannot be. */
export const malformed = (what: string): AttachError =>
  new AttachError('malformed', `the server does not speak the protocol: ${what}`);
