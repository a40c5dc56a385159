import { newId } from '../kernel/ids.js';
import type { RequestContext, TransportName } from '../kernel/request-context.js';

const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;
/** W3C Trace Context, version 00. */
const TRACEPARENT = /^00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}$/;
const MAX_USER_AGENT = 256;

/** What an edge knows of a call before anything is believed. */
export interface CallFacts {
  readonly transport: TransportName;
  readonly remoteAddress: string;
  readonly requestId: string | undefined;
  readonly traceparent: string | undefined;
  readonly userAgent: string | undefined;
  /** The subject of a verified certificate. */
  readonly clientCertificate?: string | undefined;
}

/** A fresh request context. A request id of the caller's is kept when it is plain, else a new one is made. */
export function newContext(facts: CallFacts): RequestContext {
  const { requestId, traceparent, userAgent, remoteAddress, clientCertificate } = facts;
  const trace = traceparent === undefined ? null : (TRACEPARENT.exec(traceparent)?.[1] ?? null);
  return {
    requestId: requestId !== undefined && REQUEST_ID.test(requestId) ? requestId : newId(),
    traceId: trace === '0'.repeat(32) ? null : trace,
    transport: facts.transport,
    remoteAddress,
    userAgent: userAgent === undefined ? null : printable(userAgent).slice(0, MAX_USER_AGENT),
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
    principal: null,
    credential: null,
  };
}

/** Without control characters, which have no business in a log line. */
const printable = (text: string): string => text.replace(/\p{Cc}/gu, '');
