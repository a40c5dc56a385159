/** What the audit trail is told. The audit room writes it; every other room only knows this page. */
import type { CallerContext, RequestContext } from './request-context.js';

/** Every action there is; a name not listed here cannot be recorded. */
export const AUDIT_ACTIONS = {
  /** A credential was accepted; once per credential, address and 15 minutes. */
  'auth.success': 'info',
  /** A credential was missing or refused, or a call came by another name; counted per address and code within a minute. */
  'auth.failed': 'warn',
  /** A token came after its end. */
  'auth.expired': 'warn',
  /** A token whose signature is not of the key it names. */
  'auth.invalid_signature': 'warn',
  /** A credential that may be used once came again. */
  'auth.replayed': 'error',
  /** Who was vouched for is on a deny list, or not on the allow list. */
  'auth.denied': 'warn',
  /** A token or ticket was made for a caller. */
  'auth.token_minted': 'info',
  /** A token, or all of a subject's, was revoked. */
  'auth.token_revoked': 'warn',
  /** A call that changes something was permitted; typing and sizing are counted per caller and session within a minute. */
  'authz.granted': 'info',
  /** An open stream lost rights: it goes on as viewer, or was ended. */
  'authz.downgraded': 'warn',
  /** A provider's keys were fetched, and are others than before. */
  'jwks.fetch_success': 'info',
  /** A provider's keys could not be fetched. */
  'jwks.fetch_failed': 'warn',
  /** A provider is away and its keys of before go on being used; once per outage. */
  'jwks.stale_used': 'warn',
  /** A known caller asked for what they may not do; counted per caller, permission and resource within a minute. */
  'authz.denied': 'warn',
  /** Somebody came more often than they may; counted per address and code within a minute. */
  'rate_limit.exceeded': 'warn',
  /** Credentials were refused so often that no more are looked at from there for a while. */
  'rate_limit.lockout': 'warn',
  /** That is over. */
  'rate_limit.lockout_ended': 'info',
  /** A connection did not come to speak TLS, or showed no certificate that it had to; counted per address and reason within a minute. */
  'tls.handshake_failed': 'warn',
  /** A renewed certificate is in use for new connections. */
  'tls.certificate_reloaded': 'info',
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
  /** A client came back to a session: with the offset that it knows, or as a writer that has typed before. */
  'pty.resume': 'info',
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
  /** The owner of a session gave somebody a right on it. */
  'pty.share': 'info',
  /** Such a right was taken back. */
  'pty.unshare': 'info',
  /** A coding agent was started, or one that had ended was taken up again. */
  'agent.start': 'info',
  /** Somebody sent an agent a message; the text is not on record. */
  'agent.message': 'info',
  /** An agent was stopped on request. */
  'agent.stop': 'info',
  /** An agent ended: by itself, by a crash, or with its runner. */
  'agent.exit': 'info',
  /** An agent asks to be permitted something. */
  'agent.approval_requested': 'info',
  /** Somebody answered that. */
  'agent.approval_answered': 'info',
  /** A worktree was made; or, with the reason `found`, one that was lost is there again. */
  'worktree.create': 'info',
  /** Something in a worktree was changed by a call: staged, discarded, committed, pushed, merged. */
  'worktree.write': 'info',
  /** A worktree was removed; or, failed with the reason `lost`, it is not there any more. */
  'worktree.remove': 'info',
  /** A worktree was not removed, since work would have been lost. */
  'worktree.remove_refused': 'warn',
  /** An API key was created. */
  'api_key.create': 'info',
  /** An API key was renamed or narrowed. */
  'api_key.update': 'info',
  /** An API key got a successor. */
  'api_key.rotate': 'info',
  /** An API key was revoked. */
  'api_key.revoke': 'warn',
  /** An API key ends within a week; once a day. */
  'api_key.expiring': 'warn',
  /** A secret was stored under a name; its value is nowhere on record. */
  'secrets.set': 'info',
  /** A stored secret was removed. */
  'secrets.delete': 'warn',
  /** Stored secrets were sealed anew under the current master key. */
  'secrets.rekeyed': 'warn',
  /** A change of permissions.yaml is in force. */
  'policy.changed': 'warn',
  /** A role was bound to a subject or group. */
  'policy.role_assigned': 'warn',
  /** A role was taken from a subject or group. */
  'policy.role_removed': 'warn',
  /** A change of another configuration file is in force. */
  'config.reloaded': 'info',
  /** A configuration file was changed to something that is not valid; what was before stays in force. */
  'config.rejected': 'error',
  /** Somebody read the trail. */
  'audit.read': 'info',
  /** Somebody took events out of the trail, or all about one person. */
  'audit.exported': 'warn',
  /** The chains were walked through; it failed when something is not as it was written. */
  'audit.verified': 'info',
  /** A month past its retention was dropped, or somebody's names were taken out. */
  'audit.pruned': 'warn',
  /** Events that could not be written, with their number. */
  'audit.gap': 'error',
  /** A gateway began to serve. */
  'server.started': 'info',
  /** A gateway was stopped in order. */
  'server.stopped': 'info',
  /** A gateway reached its runner. */
  'runner.connected': 'info',
  /** A gateway's runner does not answer any more. */
  'runner.lost': 'error',
} as const satisfies Record<string, 'info' | 'warn' | 'error'>;

export type AuditAction = keyof typeof AUDIT_ACTIONS;

/** A person that a fact names. In the table a token stands for it, so that the person can be taken out of the record. */
export interface PersonName {
  readonly provider: string;
  readonly subject: string;
}

type AuditValue = string | number | boolean | null | readonly string[];

/** Small facts about an event: never a prompt, terminal input, token, key or environment value. */
export type AuditMetadata = Readonly<Record<string, AuditValue | PersonName>>;

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

/** What makes an event the same one, whoever tells it and however often. */
export interface EventIdentity {
  readonly id: string;
  /** When it was, since 1970. */
  readonly microseconds: bigint;
}

/** Something that is about to be tried, and whose outcome goes on record. */
export interface AuditAttempt<T> {
  readonly action: AuditAction;
  /** What it is done to; made from the result when the attempt itself makes it, and then null on failure. */
  readonly resource: string | null | ((result: T) => string | null);
  /** Small facts about it: known beforehand, or made from the result and then told of a success only. */
  readonly metadata?: AuditMetadata | ((result: T) => AuditMetadata);
  /** Those that are known beforehand, beside others that are made from the result. */
  readonly facts?: AuditMetadata;
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

  /**
   * Notes a fact that may have been told before, here or by another gateway: it is on record once.
   * @returns true when it is safe; false when that is not known, and it has to be told again
   */
  abstract noteOnce(context: RequestContext, fact: AuditFact, identity: EventIdentity): Promise<boolean>;

  /** Notes a refused stranger, counted per address and code within a minute, so that a flood cannot fill the table. */
  abstract noteStranger(context: RequestContext, fact: AuditFact): void;

  /**
   * Notes what a known caller may or may not do, counted per caller and `what` within a minute, so that a key held down,
   * with or without the permission to type, or a search for ids, cannot fill the table.
   * @param what decisions with the same text are counted as one, under the fact of the first
   */
  abstract noteCounted(context: CallerContext, fact: AuditFact, what: string): void;

  /** Notes an accepted credential, once per credential, address and 15 minutes, with the count of the window before. */
  abstract noteAccepted(context: RequestContext): void;
}
