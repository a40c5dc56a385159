import { Controller } from '@nestjs/common';
import { GrpcMethod, Payload } from '@nestjs/microservices';
import { z } from 'zod';
import { Audited } from '../audit/audited.decorator.js';
import { RequirePermission } from '../authorization/decorators.js';
import type { SessionShare } from '../generated/gatehouse/pty/v1/SessionShare.js';
import type { CallerContext } from '../kernel/request-context.js';
import { Caller } from '../transport/caller.js';
import { type SessionCommand, sessionSchema } from './pty.schema.js';
import { plainEnum, timestamp } from '../kernel/proto-values.js';
import { type ShareCommand, shareSchema, type UnshareCommand, unshareSchema } from './share.schema.js';
import { SharingService, type ShareView } from './sharing.service.js';
import { shareFacts } from './sharing.controller.js';

const SERVICE = 'PtyService';
const onSession = { resource: 'session', field: 'id' } as const;

/** google.protobuf.Timestamp as a client sends it, for the rule of the same field elsewhere. */
const protoTime = z.object({ seconds: z.int(), nanos: z.int().min(0).max(999_999_999) });
/** RFC 3339 has years of four digits. */
const MAX_SECONDS = 253_402_300_799;

/** The same command, with enums and times as the wire has them. */
const shareRequestSchema = z.preprocess((request) => {
  if (typeof request !== 'object' || request === null) return request;
  const { grantee, level, expires_at: ends } = request as Record<string, unknown>;
  const kind = typeof grantee === 'object' && grantee !== null && 'kind' in grantee ? grantee.kind : undefined;
  return {
    ...request,
    ...(typeof grantee === 'object' ? { grantee: { ...grantee, kind: plainEnum(kind, 'GRANTEE_KIND_') } } : {}),
    level: plainEnum(level, 'SHARE_LEVEL_'),
    ...(ends === undefined ? {} : { expires_at: rfc3339(ends) }),
  };
}, shareSchema);

/** Sharing over gRPC. */
@Controller()
export class SharingGrpc {
  constructor(private readonly sharing: SharingService) {}

  @GrpcMethod(SERVICE)
  @RequirePermission('pty:share', onSession)
  @Audited('pty.share', 'session', 'id', ({ view }: { view: ShareView }) => shareFacts(view))
  async share(
    @Payload({ schema: shareRequestSchema }) command: ShareCommand,
    @Caller() caller: CallerContext,
  ): Promise<{ share: SessionShare; view: ShareView }> {
    const view = await this.sharing.share(caller, command);
    return { share: toProto(view), view };
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('pty:share', onSession)
  async listShares(
    @Payload({ schema: sessionSchema }) command: SessionCommand,
    @Caller() caller: CallerContext,
  ): Promise<{ items: SessionShare[] }> {
    return { items: (await this.sharing.list(caller, command)).items.map(toProto) };
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('pty:share', onSession)
  @Audited('pty.unshare', 'session', 'id')
  async unshare(
    @Payload({ schema: unshareSchema }) command: UnshareCommand,
    @Caller() caller: CallerContext,
  ): Promise<object> {
    await this.sharing.unshare(caller, command);
    return {};
  }
}

/** What is no time is left for the schema to refuse. */
function rfc3339(value: unknown): unknown {
  const time = protoTime.safeParse(value);
  if (!time.success || Math.abs(time.data.seconds) > MAX_SECONDS) return value;
  return new Date(time.data.seconds * 1000 + time.data.nanos / 1_000_000).toISOString();
}

function toProto({ grantee, level, expires_at, created_at, ...same }: ShareView): SessionShare {
  const kind = grantee.kind === 'subject' ? 'GRANTEE_KIND_SUBJECT' : 'GRANTEE_KIND_GROUP';
  return {
    ...same,
    grantee: { ...grantee, kind },
    level: level === 'view' ? 'SHARE_LEVEL_VIEW' : 'SHARE_LEVEL_INPUT',
    ...(expires_at === null ? {} : { expires_at: timestamp(expires_at) }),
    created_at: timestamp(created_at),
  };
}
