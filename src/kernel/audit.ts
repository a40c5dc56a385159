/** What the audit trail is told. The audit room writes it; every other room only knows this page. */
import type { CallerContext, RequestContext } from './request-context.js';

/** Every action there is; a name not listed here cannot be recorded. */
export const AUDIT_ACTIONS = {
  /** A credential was accepted; once per credential, address and 15 minutes. */
  'auth.success': 'info',
  /** A credential was missing or refused; counted per address and code within a minute. */
  'auth.failed': 'warn',
  /** A known caller asked for what they may not do; counted per caller, permission and resource within a minute. */
  'authz.denied': 'warn',
  /** A WebSocket connection was accepted. */
  'websocket.connected': 'info',
  /** A WebSocket connection ended. */
  'websocket.disconnected': 'info',
  /** A WebSocket upgrade or its first message was refused. */
  'websocket.rejected': 'warn',
  /** A session was started. */
  'pty.start': 'info',
  /** A client attached to a session. */
  'pty.attach': 'info',
  /** An attachment ended. */
  'pty.detach': 'info',
  /** A signal was sent to a session. */
  'pty.signal': 'info',
  /** A session was killed on request. */
  'pty.kill': 'info',
  /** A session's process ended. */
  'pty.exit': 'info',
  /** A session died with its runner. */
  'pty.lost': 'error',
  /** An API key was created. */
  'api_key.create': 'info',
  'server.started': 'info',
  'server.stopped': 'info',
  'runner.connected': 'info',
  'runner.lost': 'error',
} as const satisfies Record<string, 'info' | 'warn' | 'error'>;

export type AuditAction = keyof typeof AUDIT_ACTIONS;

/** Small facts about an event: never a prompt, terminal input, token, key or environment value. */
export type AuditMetadata = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/** One security-relevant fact, before it has an id and a time. */
export interface AuditFact {
  readonly action: AuditAction;
  /** `session:<id>`, `api_key:<id>`, a route or gRPC method. */
  readonly resource: string | null;
  readonly success: boolean;
  /** A stable code. */
  readonly reason?: string | null;
  /** Whose trail it belongs to when there is no caller; else the caller's tenant. */
  readonly tenant?: string;
  readonly metadata?: AuditMetadata;
}

/** Something that is about to be tried, and whose outcome goes on record. */
export interface AuditAttempt<T> {
  readonly action: AuditAction;
  /** What it is done to; made from the result when the attempt itself makes it, and then null on failure. */
  readonly resource: string | null | ((result: T) => string | null);
}

/**
 * The audit trail. An abstract class, so that it is its own injection token.
 */
export abstract class AuditTrail {
  /**
   * Records a fact and resolves when its row is committed: a mutation reports success only after that.
   * @throws DomainError AUDIT_UNAVAILABLE when it cannot be made durable
   */
  abstract record(context: RequestContext, fact: AuditFact): Promise<void>;

  /**
   * Does it and records how it went: a failure with its code, without waiting, and the success before it is told.
   * @returns what `act` returns
   * @throws what `act` throws, and DomainError AUDIT_UNAVAILABLE when the success cannot be made durable
   */
  abstract outcome<T>(context: RequestContext, attempt: AuditAttempt<T>, act: () => Promise<T>): Promise<T>;

  /** Records a fact without waiting for the commit: refusals and ends, where nobody waits. */
  abstract note(context: RequestContext, fact: AuditFact): void;

  /** Notes a refused stranger, counted per address and code within a minute, so that a flood cannot fill the table. */
  abstract noteStranger(context: RequestContext, fact: AuditFact): void;

  /**
   * Notes what a known caller may not do, counted per caller and `what` within a minute, so that a key held down without
   * the permission to type, or a search for ids, cannot fill the table.
   * @param what denials with the same text are counted as one, under the fact of the first
   */
  abstract noteDenied(context: CallerContext, fact: AuditFact, what: string): void;

  /** Notes an accepted credential, once per credential, address and 15 minutes, with the count of the window before. */
  abstract noteAccepted(context: RequestContext): void;
}
