import { newId } from './ids.js';
import type { Principal } from './principal.js';

export type TransportName = 'rest' | 'grpc' | 'websocket' | 'system';

/** What is known of one call or connection, on any transport. The first argument of every service method. */
export interface RequestContext {
  readonly requestId: string;
  /** From a valid W3C `traceparent`. */
  readonly traceId: string | null;
  readonly transport: TransportName;
  readonly remoteAddress: string;
  readonly userAgent: string | null;
  /** Set once the caller is known. */
  principal: Principal | null;
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
});
