import type { ServerDuplexStream } from '@grpc/grpc-js';
import { Controller } from '@nestjs/common';
import { GrpcMethod, GrpcStreamCall, Payload } from '@nestjs/microservices';
import { from, ignoreElements, type Observable } from 'rxjs';
import { z } from 'zod';
import { Audited } from '../audit/audited.decorator.js';
import { Authenticated, RequirePermission } from '../authorization/decorators.js';
import type { AttachRequest__Output } from '../generated/gatehouse/pty/v1/AttachRequest.js';
import type { AttachResponse } from '../generated/gatehouse/pty/v1/AttachResponse.js';
import type { ListResponse } from '../generated/gatehouse/pty/v1/ListResponse.js';
import type { Session } from '../generated/gatehouse/pty/v1/Session.js';
import type { StartResponse } from '../generated/gatehouse/pty/v1/StartResponse.js';
import type { CallerContext } from '../kernel/request-context.js';
import { Expensive } from '../rate-limit/expensive.js';
import { Call, Gone } from '../transport/call.js';
import { Caller } from '../transport/caller.js';
import { GrpcAttachments } from './grpc-attachments.js';
import {
  listSchema,
  type ListCommand,
  type ResizeCommand,
  resizeSchema,
  type SessionCommand,
  sessionSchema,
  type SignalCommand,
  signalSchema,
  type StartCommand,
  startSchema,
  type StreamOutputCommand,
  streamOutputSchema,
  type WaitCommand,
  waitSchema,
  type WriteCommand,
  writeSchema,
} from './pty.schema.js';
import type { OutputCall } from './output-stream.js';
import { PtyService } from './pty.service.js';
import { SessionStarts, startFacts } from './session-starts.js';
import { SessionWaits } from './session-waits.js';
import { plainEnum } from '../kernel/proto-values.js';
import { toProto } from './session-proto.js';

const SERVICE = 'PtyService';
const onSession = { resource: 'session', field: 'id' } as const;
/** The same list, with the state as the wire's enum. */
const listRequestSchema = z.preprocess(
  (request) =>
    typeof request === 'object' && request !== null && 'state' in request
      ? { ...request, state: plainEnum(request.state, 'SESSION_STATE_') }
      : request,
  listSchema,
);

/** Sessions over gRPC. */
@Controller()
export class PtyGrpc {
  constructor(
    private readonly sessions: PtyService,
    private readonly starts: SessionStarts,
    private readonly attachments: GrpcAttachments,
    private readonly waits: SessionWaits,
  ) {}

  @GrpcMethod(SERVICE)
  @Expensive()
  @RequirePermission('pty:create')
  @Audited('pty.start', 'session', null, startFacts)
  async start(
    @Payload({ schema: startSchema }) command: StartCommand,
    @Caller() caller: CallerContext,
  ): Promise<StartResponse> {
    const { idempotent_replay = false, ...view } = await this.starts.start(caller, command);
    return { session: toProto(view), idempotent_replay };
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('pty:view', onSession)
  async get(
    @Payload({ schema: sessionSchema }) command: SessionCommand,
    @Caller() caller: CallerContext,
  ): Promise<{ session: Session }> {
    return { session: toProto(await this.sessions.get(caller, command)) };
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('pty:view')
  async list(
    @Payload({ schema: listRequestSchema }) command: ListCommand,
    @Caller() caller: CallerContext,
  ): Promise<ListResponse> {
    const { items, next_cursor } = await this.sessions.list(caller, command);
    return { items: items.map(toProto), ...(next_cursor === null ? {} : { next_cursor }) };
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('pty:input', onSession)
  async write(
    @Payload({ schema: writeSchema }) command: WriteCommand,
    @Caller() caller: CallerContext,
  ): Promise<object> {
    await this.sessions.write(caller, command);
    return {};
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('pty:resize', onSession)
  async resize(
    @Payload({ schema: resizeSchema }) command: ResizeCommand,
    @Caller() caller: CallerContext,
  ): Promise<object> {
    await this.sessions.resize(caller, command);
    return {};
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('pty:signal', onSession)
  @Audited('pty.signal', 'session', 'id')
  async signal(
    @Payload({ schema: signalSchema }) command: SignalCommand,
    @Caller() caller: CallerContext,
  ): Promise<object> {
    await this.sessions.signal(caller, command);
    return {};
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('pty:kill', onSession)
  @Audited('pty.kill', 'session', 'id')
  async kill(
    @Payload({ schema: sessionSchema }) command: SessionCommand,
    @Caller() caller: CallerContext,
  ): Promise<{ session: Session }> {
    return { session: toProto(await this.sessions.kill(caller, command)) };
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('pty:view', onSession)
  async waitExit(
    @Payload({ schema: waitSchema }) command: WaitCommand,
    @Caller() caller: CallerContext,
    @Gone() gone: AbortSignal,
  ): Promise<{ session: Session }> {
    return { session: toProto(await this.waits.wait(caller, command, gone)) };
  }

  /**
   * What it answers goes to the call itself, which says when it has room; Nest is told only that it is over, since it
   * would collect without bound.
   */
  @GrpcMethod(SERVICE)
  @RequirePermission('pty:view', onSession)
  streamOutput(
    @Payload({ schema: streamOutputSchema }) command: StreamOutputCommand,
    @Caller() caller: CallerContext,
    @Call() call: OutputCall,
  ): Observable<never> {
    return from(this.attachments.serveOutput(call, caller, command)).pipe(ignoreElements());
  }

  /** Which session it is about only the first frame says; each frame is authorised by its own permission. */
  @GrpcStreamCall(SERVICE)
  @Authenticated()
  attach(call: ServerDuplexStream<AttachRequest__Output, AttachResponse>): void {
    this.attachments.serve(call);
  }
}
