import { AUDIT_ACTIONS, type AuditFact, type AuditMetadata, type PersonName } from '../../kernel/audit.js';
import { mask } from '../../kernel/mask.js';
import { HIDDEN } from '../../kernel/mask-value.js';
import { DEFAULT_TENANT } from '../../kernel/principal.js';
import type { RequestContext } from '../../kernel/request-context.js';
import { isSecretName } from '../../kernel/secret-forms.js';

const MAX_METADATA_BYTES = 8192;
const MAX_TEXT = 512;

type Metadata = Readonly<Record<string, string | number | boolean | null | readonly string[]>>;

/** What happened, as it is told: the log line has these fields, and the row too, with a token for what is personal. */
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
  readonly metadata: Metadata;
}

/** An event that is not in a chain yet, and whose names they are that it has. */
export interface AuditDraft {
  readonly event: AuditEvent;
  /** The provider of `user_id`; null for the server itself and for strangers, whose fields are nobody's. */
  readonly provider: string | null;
  /** The provider of each field of the metadata that is a person's name. */
  readonly people: Readonly<Record<string, string>>;
}

/** A fact with who, when, how and where from; every text bounded, masked, and such that PostgreSQL and JSON take it. */
export function toDraft(id: string, microseconds: bigint, context: RequestContext, fact: AuditFact): AuditDraft {
  const { principal } = context;
  const { metadata, people } = cleanMetadata({ ...fact.metadata, ...certificateOf(context) });
  const event: AuditEvent = {
    id,
    timestamp: rfc3339(microseconds),
    tenant: clean(principal?.tenant ?? fact.tenant ?? DEFAULT_TENANT),
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
    metadata,
  };
  return { event, provider: principal?.provider ?? null, people };
}

/** Who a certificate is for may be a person. */
const certificateOf = ({ clientCertificate: subject }: RequestContext): AuditMetadata =>
  subject === undefined ? {} : { client_certificate: { provider: 'certificate', subject } };

const raised = (level: string): string => (level === 'info' ? 'warn' : level);

// Masked before it is cut: half a secret is not recognised as one. Half a character may be left by the cut.
const clean = (text: string): string => mask(text).slice(0, MAX_TEXT).toWellFormed().replaceAll('\0', '�');
const cleanOrNull = (text: string | null | undefined): string | null =>
  text === null || text === undefined ? null : clean(text);

/** Metadata past its bound is replaced by a note that it was, so that no caller can swell a row. */
function cleanMetadata(given: AuditMetadata): { metadata: Metadata; people: Record<string, string> } {
  const metadata: Record<string, Metadata[string]> = {};
  const people: Record<string, string> = {};
  for (const [name, value] of Object.entries(given)) {
    if (isSecretName(name) && value !== null) metadata[name] = HIDDEN;
    else if (isPerson(value)) {
      metadata[name] = clean(value.subject);
      people[name] = value.provider;
    } else metadata[name] = typeof value === 'string' ? clean(value) : isList(value) ? value.map(clean) : value;
  }
  if (Buffer.byteLength(JSON.stringify(metadata)) > MAX_METADATA_BYTES)
    return { metadata: { truncated: true }, people: {} };
  return { metadata, people };
}

const isList = (value: AuditMetadata[string]): value is readonly string[] => Array.isArray(value);
const isPerson = (value: AuditMetadata[string]): value is PersonName =>
  typeof value === 'object' && value !== null && 'subject' in value;

function rfc3339(microseconds: bigint): string {
  const seconds = new Date(Number(microseconds / 1000n)).toISOString().slice(0, 19);
  return `${seconds}.${String(microseconds % 1_000_000n).padStart(6, '0')}Z`;
}
