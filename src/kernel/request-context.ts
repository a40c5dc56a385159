import { newId } from './ids.js';
import type { Principal } from './principal.js';
import type { RateReport } from './rate-report.js';

export type TransportName = 'rest' | 'grpc' | 'websocket' | 'system';

/** What is known of one call or connection, on any transport. The first argument of every service method. */
export interface RequestContext {
  readonly requestId: string;
  /** From a valid W3C `traceparent`. */
  readonly traceId: string | null;
  readonly transport: TransportName;
  readonly remoteAddress: string;
  readonly userAgent: string | null;
  /** The subject of the certificate that the client's connection showed and an authority of ours vouches for. */
  readonly clientCertificate?: string;
  /** Set once the caller is known. */
  principal: Principal | null;
  /** The credential that `principal` was made from; null until then, and for the server itself. */
  credential: LiveCredential | null;
  /** The tightest of the limits that the call was counted against; absent until it was. */
  rate?: RateReport;
}

/** A credential that was accepted, and may stop being good while a stream that was opened with it goes on. */
export interface LiveCredential {
  /** Was it made from another credential, by an exchange or as a ticket? Such a one is not exchanged again. */
  readonly derived: boolean;
  /** The `jti` of the token that it was exchanged for; null where there was none. */
  readonly parent: string | null;
  /** An API key that was rotated works until then; null for every other credential. */
  readonly graceUntil: Date | null;
  /**
   * The principal as it is now: the same object as long as nothing changed.
   * @throws DomainError when the credential is not accepted any more, or that cannot be known
   */
  revalidate(): Principal | Promise<Principal>;
}

/** A context whose caller is known. */
export interface CallerContext extends RequestContext {
  principal: Principal;
}

/** A fresh context of what the server does by itself. */
export const systemContext = (): RequestContext => ({
  requestId: newId(),
  traceId: null,
  transport: 'system',
  remoteAddress: 'local',
  userAgent: null,
  principal: null,
  credential: null,
});
