/**
 * The one domain error, and the one table in which HTTP statuses, gRPC codes and WebSocket close codes appear.
 *
 * A code is stable: clients match on it. The message is public text; the cause is internal and only ever logged.
 */
import { mask } from './mask.js';
import { maskValue } from './mask-value.js';

/** gRPC status codes by name (google.rpc.Code), so that this file needs no gRPC library. */
const Grpc = {
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  OUT_OF_RANGE: 11,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  UNAUTHENTICATED: 16,
} as const;

/** How one error code is told on each transport. */
interface Answer {
  readonly http: number;
  readonly grpc: number;
  /** Close code, used where the error ends the WebSocket connection; otherwise it is sent as an `error` message. */
  readonly close: number;
}

export const ERRORS = {
  AUTH_TOKEN_MISSING: { http: 401, grpc: Grpc.UNAUTHENTICATED, close: 4000 },
  JWT_INVALID: { http: 401, grpc: Grpc.UNAUTHENTICATED, close: 4000 },
  JWT_SIGNATURE_INVALID: { http: 401, grpc: Grpc.UNAUTHENTICATED, close: 4000 },
  JWT_NOT_YET_VALID: { http: 401, grpc: Grpc.UNAUTHENTICATED, close: 4000 },
  JWT_EXPIRED: { http: 401, grpc: Grpc.UNAUTHENTICATED, close: 4001 },
  SESSION_EXPIRED: { http: 401, grpc: Grpc.UNAUTHENTICATED, close: 4001 },
  API_KEY_INVALID: { http: 401, grpc: Grpc.UNAUTHENTICATED, close: 4000 },
  TOKEN_REVOKED: { http: 401, grpc: Grpc.UNAUTHENTICATED, close: 4001 },
  TOKEN_REPLAYED: { http: 401, grpc: Grpc.UNAUTHENTICATED, close: 4001 },
  UNAUTHORIZED_USER: { http: 403, grpc: Grpc.PERMISSION_DENIED, close: 4003 },
  UNAUTHORIZED_GROUP: { http: 403, grpc: Grpc.PERMISSION_DENIED, close: 4003 },
  JWKS_UNAVAILABLE: { http: 503, grpc: Grpc.UNAVAILABLE, close: 1013 },
  AMBIGUOUS_CREDENTIALS: { http: 400, grpc: Grpc.INVALID_ARGUMENT, close: 4000 },
  TOKEN_IN_URL: { http: 400, grpc: Grpc.INVALID_ARGUMENT, close: 4000 },
  AUTH_BUSY: { http: 429, grpc: Grpc.RESOURCE_EXHAUSTED, close: 1013 },
  AUTH_STATE_UNAVAILABLE: { http: 503, grpc: Grpc.UNAVAILABLE, close: 1013 },
  PERMISSION_DENIED: { http: 403, grpc: Grpc.PERMISSION_DENIED, close: 4003 },
  TLS_REQUIRED: { http: 400, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  CLIENT_CERTIFICATE_REQUIRED: { http: 403, grpc: Grpc.PERMISSION_DENIED, close: 1008 },
  CLIENT_CERTIFICATE_INVALID: { http: 403, grpc: Grpc.PERMISSION_DENIED, close: 1008 },
  HOST_NOT_ALLOWED: { http: 421, grpc: Grpc.PERMISSION_DENIED, close: 1008 },
  ORIGIN_NOT_ALLOWED: { http: 403, grpc: Grpc.PERMISSION_DENIED, close: 1008 },
  KEY_NOT_ACTIVE: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  IDEMPOTENCY_CONFLICT: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  VERIFICATION_RUNNING: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  NOT_FOUND: { http: 404, grpc: Grpc.NOT_FOUND, close: 4004 },
  MALFORMED_REQUEST: { http: 400, grpc: Grpc.INVALID_ARGUMENT, close: 1003 },
  UNSUPPORTED_MEDIA_TYPE: { http: 415, grpc: Grpc.INVALID_ARGUMENT, close: 1003 },
  PAYLOAD_TOO_LARGE: { http: 413, grpc: Grpc.RESOURCE_EXHAUSTED, close: 1009 },
  HEADERS_TOO_LARGE: { http: 431, grpc: Grpc.RESOURCE_EXHAUSTED, close: 1009 },
  REQUEST_TIMEOUT: { http: 408, grpc: Grpc.UNAVAILABLE, close: 1008 },
  INVALID_ARGUMENT: { http: 422, grpc: Grpc.INVALID_ARGUMENT, close: 1008 },
  INVALID_MESSAGE: { http: 400, grpc: Grpc.INVALID_ARGUMENT, close: 1008 },
  RATE_LIMIT_EXCEEDED: { http: 429, grpc: Grpc.RESOURCE_EXHAUSTED, close: 4002 },
  RATE_LIMIT: { http: 429, grpc: Grpc.RESOURCE_EXHAUSTED, close: 4002 },
  SESSION_ENDED: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 4004 },
  SESSION_LOST: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 4004 },
  SESSION_LIMIT: { http: 429, grpc: Grpc.RESOURCE_EXHAUSTED, close: 1013 },
  SECRET_LIMIT: { http: 429, grpc: Grpc.RESOURCE_EXHAUSTED, close: 1013 },
  SEALING_UNAVAILABLE: { http: 503, grpc: Grpc.UNAVAILABLE, close: 1013 },
  BINDING_LIMIT: { http: 429, grpc: Grpc.RESOURCE_EXHAUSTED, close: 1013 },
  START_FAILED: { http: 422, grpc: Grpc.FAILED_PRECONDITION, close: 1011 },
  REPOSITORY_NOT_ALLOWED: { http: 422, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  WORKTREE_LIMIT: { http: 429, grpc: Grpc.RESOURCE_EXHAUSTED, close: 1013 },
  WORKTREE_NOT_READY: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  WOULD_LOSE_WORK: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  CONFIRMATION_REQUIRED: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  REF_NOT_FOUND: { http: 422, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  BRANCH_IN_USE: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  NOTHING_TO_COMMIT: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  REMOTE_REJECTED: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  REMOTE_UNREACHABLE: { http: 503, grpc: Grpc.UNAVAILABLE, close: 1013 },
  GIT_FAILED: { http: 422, grpc: Grpc.FAILED_PRECONDITION, close: 1011 },
  GIT_TIMEOUT: { http: 504, grpc: Grpc.DEADLINE_EXCEEDED, close: 1013 },
  DISK_FULL: { http: 507, grpc: Grpc.RESOURCE_EXHAUSTED, close: 1013 },
  AGENT_PROVIDER_UNKNOWN: { http: 422, grpc: Grpc.INVALID_ARGUMENT, close: 1008 },
  AGENT_BINARY_MISSING: { http: 422, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  AGENT_LIMIT: { http: 429, grpc: Grpc.RESOURCE_EXHAUSTED, close: 1013 },
  AGENT_NOT_RUNNING: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  AGENT_STILL_RUNNING: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  AGENT_CANNOT_RESUME: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  AGENT_AWAITS_ANSWER: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  PROMPT_UNCLEAR: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  PROMPT_STALE: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  EPOCH_CHANGED: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 4004 },
  OFFSET_OUT_OF_RANGE: { http: 416, grpc: Grpc.OUT_OF_RANGE, close: 1008 },
  NOT_CONTROLLER: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 4003 },
  INPUT_GAP: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  INPUT_FULL: { http: 429, grpc: Grpc.RESOURCE_EXHAUSTED, close: 1013 },
  NOT_ATTACHED: { http: 409, grpc: Grpc.FAILED_PRECONDITION, close: 1008 },
  ATTACHMENT_LIMIT: { http: 429, grpc: Grpc.RESOURCE_EXHAUSTED, close: 1013 },
  WAIT_LIMIT: { http: 429, grpc: Grpc.RESOURCE_EXHAUSTED, close: 1013 },
  STREAM_LIMIT: { http: 429, grpc: Grpc.RESOURCE_EXHAUSTED, close: 1013 },
  LAGGING: { http: 409, grpc: Grpc.RESOURCE_EXHAUSTED, close: 4005 },
  ANSWERS_UNREAD: { http: 429, grpc: Grpc.RESOURCE_EXHAUSTED, close: 1013 },
  GOING_AWAY: { http: 503, grpc: Grpc.UNAVAILABLE, close: 1001 },
  CONNECTION_LIMIT: { http: 503, grpc: Grpc.RESOURCE_EXHAUSTED, close: 1013 },
  RUNNER_UNAVAILABLE: { http: 503, grpc: Grpc.UNAVAILABLE, close: 1013 },
  DATABASE_UNAVAILABLE: { http: 503, grpc: Grpc.UNAVAILABLE, close: 1013 },
  AUDIT_UNAVAILABLE: { http: 503, grpc: Grpc.UNAVAILABLE, close: 1013 },
  INTERNAL_ERROR: { http: 500, grpc: Grpc.INTERNAL, close: 1011 },
} as const satisfies Record<string, Answer>;

export type ErrorCode = keyof typeof ERRORS;

/** What has no time of its own until it may be better: something has to end first, or be read. */
const SOME_SECONDS = 5;

/** In how many seconds it is worth to come again; undefined where time changes nothing. */
export const retryAfterOf = ({ answer, details }: DomainError): number | undefined =>
  details?.retry_after ?? (answer.http === 429 ? SOME_SECONDS : undefined);

/** One field of a request that did not validate. */
export interface FieldIssue {
  readonly field: string;
  readonly problem: string;
}

/** Something that would be lost: a path, commit, stash, operation or session. */
export interface AtStake {
  readonly kind: string;
  readonly what: string;
}

export interface ErrorDetails {
  readonly fields?: readonly FieldIssue[];
  /** Why an operation is refused that would lose work. */
  readonly at_stake?: readonly AtStake[];
  readonly retry_after?: number;
  readonly [name: string]: unknown;
}

/** What went wrong, in terms every transport can tell. */
export class DomainError extends Error {
  /**
   * @param code stable, from {@link ERRORS}
   * @param message public text: shown to the caller, so no internal reason; a secret that got into it is masked
   * @param options `details` are public and masked too; `cause` is internal and only logged; `reason` is internal and goes into the
   *   audit trail: a fixed word of ours such as `alg_not_allowed`, never anything a caller sent
   */
  constructor(
    readonly code: ErrorCode,
    message: string,
    options: { details?: ErrorDetails; cause?: unknown; reason?: string } = {},
  ) {
    super(mask(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'DomainError';
    this.details = maskDetails(options.details);
    this.reason = options.reason;
  }

  readonly details: ErrorDetails | undefined;
  readonly reason: string | undefined;

  get answer(): Answer {
    return ERRORS[this.code];
  }
}

/** A copy with every text in it masked, a list of what is at stake in its full length. */
function maskDetails(details: ErrorDetails | undefined): ErrorDetails | undefined {
  if (details === undefined) return undefined;
  const { at_stake: stake, ...rest } = details;
  return {
    ...(maskValue(rest) as ErrorDetails),
    ...(stake && { at_stake: stake.map(({ kind, what }) => ({ kind, what: mask(what) })) }),
  };
}

/** Is this string one of our codes? Used where a code arrives over the link. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERRORS, value);
}
