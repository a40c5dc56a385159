import { hostname } from 'node:os';
import { AUDIT_ACTIONS, type AuditFact, type AuditMetadata } from '../kernel/audit.js';
import { DEFAULT_TENANT } from '../kernel/principal.js';
import { isSecretName, mask } from '../kernel/mask.js';
import type { RequestContext } from '../kernel/request-context.js';

const MAX_METADATA_BYTES = 8192;
const MAX_TEXT = 512;

/** One row of `audit_events`; the log line carries the same fields. */
export interface AuditEvent {
  readonly id: string;
  /** RFC 3339, UTC, microseconds. */
  readonly timestamp: string;
  readonly tenant: string;
  readonly user_id: string;
  readonly principal_kind: string | null;
  readonly auth_method: string | null;
  readonly credential_id: string | null;
  readonly action: string;
  readonly resource: string | null;
  readonly success: boolean;
  readonly reason: string | null;
  readonly level: string;
  readonly transport: string;
  readonly remote_addr: string;
  readonly user_agent: string | null;
  readonly request_id: string;
  readonly trace_id: string | null;
  readonly metadata: AuditMetadata;
  readonly node: string;
}

const node = hostname();

/** A fact with who, when, how and where from; every text bounded, masked and free of NUL, which PostgreSQL refuses. */
export function toEvent(id: string, microseconds: bigint, context: RequestContext, fact: AuditFact): AuditEvent {
  const { principal } = context;
  return {
    id,
    timestamp: rfc3339(microseconds),
    tenant: principal?.tenant ?? fact.tenant ?? DEFAULT_TENANT,
    user_id: clean(principal?.subject ?? (context.transport === 'system' ? 'system' : 'unknown')),
    principal_kind: principal?.kind ?? null,
    auth_method: principal?.method ?? null,
    credential_id: cleanOrNull(principal?.credentialId),
    action: fact.action,
    resource: cleanOrNull(fact.resource),
    success: fact.success,
    reason: cleanOrNull(fact.reason),
    level: fact.success ? AUDIT_ACTIONS[fact.action] : raised(AUDIT_ACTIONS[fact.action]),
    transport: context.transport,
    remote_addr: clean(context.remoteAddress),
    user_agent: cleanOrNull(context.userAgent),
    request_id: context.requestId,
    trace_id: context.traceId,
    metadata: boundedMetadata(fact.metadata ?? {}),
    node,
  };
}

const raised = (level: string): string => (level === 'info' ? 'warn' : level);

// Masked before it is cut: half a secret is not recognised as one.
const clean = (text: string): string => mask(text).slice(0, MAX_TEXT).replaceAll('\0', '�');
const cleanOrNull = (text: string | null | undefined): string | null =>
  text === null || text === undefined ? null : clean(text);

/** Metadata past its bound is replaced by a note that it was, so that no caller can swell a row. */
function boundedMetadata(metadata: AuditMetadata): AuditMetadata {
  const cleaned: Record<string, AuditMetadata[string]> = {};
  for (const [name, value] of Object.entries(metadata)) {
    if (isSecretName(name) && value !== null) cleaned[name] = '****';
    else cleaned[name] = typeof value === 'string' ? clean(value) : Array.isArray(value) ? value.map(clean) : value;
  }
  return Buffer.byteLength(JSON.stringify(cleaned)) <= MAX_METADATA_BYTES ? cleaned : { truncated: true };
}

function rfc3339(microseconds: bigint): string {
  const seconds = new Date(Number(microseconds / 1000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(microseconds % 1_000_000n).padStart(6, '0')}Z`;
}
