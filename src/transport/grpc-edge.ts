import {
  type Metadata,
  ResponderBuilder,
  type ServerInterceptingCallInterface,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
  type ServerMethodDefinition,
} from '@grpc/grpc-js';
import { within } from '../kernel/current-context.js';
import { DomainError } from '../kernel/errors.js';
import type { Log } from '../kernel/log.js';
import type { AuditTrail } from '../kernel/audit.js';
import type { Authenticator, Credential } from '../kernel/authenticator.js';
import type { InFlight } from '../kernel/in-flight.js';
import type { RateLimits } from '../kernel/rate-limits.js';
import type { RequestContext } from '../kernel/request-context.js';
import type { ClientAddresses } from './client-address.js';
import { credentialFrom } from './credential.js';
import { toDomainError } from './error-mapping.js';
import { attachContext } from './execution-context.js';
import { toGrpcStatus } from './grpc-status.js';
import { newContext } from './new-context.js';
import type { Site } from './site/site.js';
import { noteStranger } from './strangers.js';

import { verifiedSubject } from './tls/client-certificates.js';
import { UNREADABLE } from './unreadable-message.js';

/** Tells a caller whose key was rotated until when it still works. */
const ROTATED_METADATA = 'x-api-key-rotated';
/** The standard health service: probes have no credential, as on `/health/live`. */
const PUBLIC_SERVICE = '/grpc.health.v1.Health/';

/** Names and values of a call's headers, together. */
const MAX_HEADER_BYTES = 16 * 1024;

type Call = ServerInterceptingCallInterface;

/** What the gate in front of gRPC asks. */
export interface GrpcGate {
  readonly authenticator: Authenticator;
  readonly inFlight: InFlight;
  readonly addresses: ClientAddresses;
  readonly limits: RateLimits;
  readonly site: Site;
  readonly audit: AuditTrail;
  readonly logger: Log;
}

/**
 * The gate in front of gRPC: authenticates every call, unary and streaming, health and reflection included, before its
 * first message is delivered. A guard alone would not do: a stream it refuses gets no status.
 */
export function grpcGate(gate: GrpcGate): ServerInterceptor {
  const { inFlight, addresses, logger } = gate;
  return (method: ServerMethodDefinition<unknown, unknown>, call: Call) => {
    let context: RequestContext;
    const isPublic = method.path.startsWith(PUBLIC_SERVICE);
    // A stop waits for calls that have arrived; streams are told to end.
    const counted = !isPublic && !method.requestStream && !method.responseStream;
    let ended: (() => void) | undefined;
    // Each of these comes from the connection's own events, so each is put within the call anew.
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        context = contextOfCall(call, metadata, addresses);
        attachContext(metadata, context);
        within(context, () => {
          // grpc-js holds the messages of the call until `next`.
          const proceed = (): void => {
            next(metadata);
          };
          admit(gate, call, { metadata, context, isPublic }).then(proceed, (thrown: unknown) => {
            const error = toDomainError(thrown);
            if (error.code === 'INTERNAL_ERROR') logger.error({ err: thrown }, 'gRPC gate failed');
            call.sendStatus(toGrpcStatus(error, context.requestId));
          });
        });
      })
      .withOnReceiveMessage((message, next) => {
        if (message === UNREADABLE) {
          call.sendStatus(toGrpcStatus(unreadable(), context.requestId));
          return;
        }
        if (counted) ended ??= inFlight.begin();
        within(context, () => {
          next(message);
        });
      })
      .withOnReceiveHalfClose((next) => {
        within(context, next);
      })
      .withOnCancel(() => ended?.())
      .build();
    const responder = new ResponderBuilder()
      .withStart((next) => {
        next(listener);
      })
      .withSendMetadata((metadata, next) => {
        const grace = context.credential?.graceUntil ?? null;
        if (grace !== null) metadata.set(ROTATED_METADATA, grace.toISOString());
        next(metadata);
      })
      .withSendStatus((status, next) => {
        next(status);
        ended?.();
      })
      .build();
    return new ServerInterceptingCall(call, responder);
  };
}

const unreadable = (): DomainError => new DomainError('MALFORMED_REQUEST', 'The message could not be read.');

/** What the gate knows of a call when it begins. */
interface Arrival {
  readonly metadata: Metadata;
  readonly context: RequestContext;
  readonly isPublic: boolean;
}

/** By one of our names, and with a credential where one is asked for. @throws DomainError */
async function admit(
  { authenticator, inFlight, limits, site, audit }: GrpcGate,
  call: Call,
  { metadata, context, isPublic }: Arrival,
): Promise<void> {
  try {
    site.requireAuthority(call.getHost());
    requireShort(metadata);
  } catch (error) {
    noteStranger(audit, context, error);
    await limits.arrive(context, 'stranger');
    throw error;
  }
  if (isPublic) return limits.arrive(context, 'health');
  inFlight.requireOpen();
  const present = (): Credential | null =>
    credentialFrom(texts(metadata, 'authorization'), texts(metadata, 'x-api-key'));
  await authenticator.authenticate(present, context);
}

/** The library bounds no headers of its own. @throws DomainError HEADERS_TOO_LARGE */
function requireShort(metadata: Metadata): void {
  let bytes = 0;
  for (const [name, values] of Object.entries(metadata.toJSON()))
    for (const value of values) bytes += name.length + Buffer.byteLength(value);
  if (bytes > MAX_HEADER_BYTES) throw new DomainError('HEADERS_TOO_LARGE', 'The headers are too large.');
}

function contextOfCall(
  call: ServerInterceptingCallInterface,
  metadata: Metadata,
  addresses: ClientAddresses,
): RequestContext {
  const peer = call
    .getPeer()
    .replace(/:\d+$/, '')
    .replace(/^\[(.*)\]$/, '$1');
  return newContext({
    transport: 'grpc',
    remoteAddress: addresses.of(peer, texts(metadata, 'x-forwarded-for')),
    requestId: texts(metadata, 'x-request-id')[0],
    traceparent: texts(metadata, 'traceparent')[0],
    userAgent: texts(metadata, 'user-agent')[0],
    clientCertificate: verifiedSubject(call.getConnectionInfo()),
  });
}

const texts = (metadata: Metadata, name: string): string[] =>
  metadata.get(name).map((value) => (typeof value === 'string' ? value : value.toString('utf8')));
