import { Metadata, type status as Status } from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import { type DomainError, retryAfterOf } from '../kernel/errors.js';
import { clip } from './clip.js';

/** A status travels in trailers, which clients bound as a whole: what a caller chose must not make it too long to arrive. */
const MAX_MESSAGE = 256;
/** What is at stake is listed in full on REST. */
const MAX_VIOLATIONS = 20;
const MAX_SUBJECT = 128;

const TYPES = 'type.googleapis.com/google.rpc.';

/** google.rpc.ErrorInfo and google.rpc.Status, the standard carriers of typed errors on gRPC. */
const errorInfo = new protobuf.Type('ErrorInfo')
  .add(new protobuf.Field('reason', 1, 'string'))
  .add(new protobuf.Field('domain', 2, 'string'))
  .add(new protobuf.MapField('metadata', 3, 'string', 'string'));
/** google.rpc.PreconditionFailure, for what is in the way. */
const violation = new protobuf.Type('Violation')
  .add(new protobuf.Field('type', 1, 'string'))
  .add(new protobuf.Field('subject', 2, 'string'));
const preconditionFailure = new protobuf.Type('PreconditionFailure')
  .add(violation)
  .add(new protobuf.Field('violations', 1, 'Violation', 'repeated'));
const any = new protobuf.Type('Any')
  .add(new protobuf.Field('type_url', 1, 'string'))
  .add(new protobuf.Field('value', 2, 'bytes'));
const status = new protobuf.Type('Status')
  .add(new protobuf.Field('code', 1, 'int32'))
  .add(new protobuf.Field('message', 2, 'string'))
  .add(new protobuf.Field('details', 3, 'Any', 'repeated'));
new protobuf.Root().define('google.rpc').add(errorInfo).add(preconditionFailure).add(any).add(status);

/**
 * A domain error as the end of a gRPC call: status code, public message, and `grpc-status-details-bin` with an
 * ErrorInfo whose `reason` is our code; of WOULD_LOSE_WORK also the first of what is at stake, as a PreconditionFailure.
 */
export function toGrpcStatus(
  error: DomainError,
  requestId: string,
): { code: Status; details: string; metadata: Metadata } {
  const message = clip(error.message, MAX_MESSAGE);
  const info = errorInfo
    .encode({ reason: error.code, domain: 'gatehouse', metadata: { request_id: requestId, ...fieldsOf(error) } })
    .finish();
  const details = [{ type_url: `${TYPES}ErrorInfo`, value: info }, ...stakeOf(error)];
  const metadata = new Metadata();
  const encoded = status.encode({ code: error.answer.grpc, message, details }).finish();
  metadata.set('grpc-status-details-bin', Buffer.from(encoded));
  const retryAfter = retryAfterOf(error);
  if (retryAfter !== undefined) metadata.set('retry-after', String(retryAfter));
  return { code: error.answer.grpc, details: message, metadata };
}

/** What an operation would lose, if that is why it is refused. */
function stakeOf({ details }: DomainError): { type_url: string; value: Uint8Array }[] {
  const stake = details?.at_stake ?? [];
  if (stake.length === 0) return [];
  const violations = stake
    .slice(0, MAX_VIOLATIONS)
    .map(({ kind, what }) => ({ type: kind, subject: clip(what, MAX_SUBJECT) }));
  return [{ type_url: `${TYPES}PreconditionFailure`, value: preconditionFailure.encode({ violations }).finish() }];
}

/** The invalid fields of a request, `field.<name>` → problem. */
function fieldsOf(error: DomainError): Record<string, string> {
  return Object.fromEntries((error.details?.fields ?? []).map(({ field, problem }) => [`field.${field}`, problem]));
}
