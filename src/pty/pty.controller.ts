import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { Audited } from '../audit/audited.decorator.js';
import { RequirePermission } from '../authorization/decorators.js';
import type { CallerContext } from '../kernel/request-context.js';
import { Expensive } from '../rate-limit/expensive.js';
import { Gone } from '../transport/call.js';
import { Caller } from '../transport/caller.js';
import {
  frameSchemas,
  type ListCommand,
  listQuerySchema,
  MAX_INPUT_BYTES,
  outputQuerySchema,
  type SessionCommand,
  sessionSchema,
  type StartCommand,
  startSchema,
  waitQuerySchema,
} from './pty.schema.js';
import { PtyService, type SessionPage } from './pty.service.js';
import { SessionStarts, type StartedView, startFacts } from './session-starts.js';
import { SessionWaits } from './session-waits.js';
import type { SessionView } from './session-view.js';

const onSession = { resource: 'session', field: 'id' } as const;
/** JSON has no bytes: input is UTF-8 text here. */
const inputSchema = z.strictObject({
  data: z
    .string()
    .min(1)
    .transform((text) => Buffer.from(text, 'utf8'))
    .refine((bytes) => bytes.length <= MAX_INPUT_BYTES, `at most ${MAX_INPUT_BYTES} bytes`),
});

/** Sessions over REST. */
@Controller('/api/v1/sessions')
export class PtyController {
  constructor(
    private readonly sessions: PtyService,
    private readonly starts: SessionStarts,
    private readonly waits: SessionWaits,
  ) {}

  @Post()
  @Expensive()
  @RequirePermission('pty:create')
  @Audited('pty.start', 'session', null, startFacts)
  async start(
    @Caller() caller: CallerContext,
    @Body({ schema: startSchema }) command: StartCommand,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<StartedView> {
    const session = await this.starts.start(caller, command);
    void reply.status(session.idempotent_replay ? 200 : 201);
    return session;
  }

  @Get()
  @RequirePermission('pty:view')
  list(
    @Caller() caller: CallerContext,
    @Query({ schema: listQuerySchema }) command: ListCommand,
  ): Promise<SessionPage> {
    return this.sessions.list(caller, command);
  }

  @Get(':id')
  @RequirePermission('pty:view', onSession)
  get(
    @Caller() caller: CallerContext,
    @Param({ schema: sessionSchema }) command: SessionCommand,
  ): Promise<SessionView> {
    return this.sessions.get(caller, command);
  }

  @Delete(':id')
  @RequirePermission('pty:kill', onSession)
  @Audited('pty.kill', 'session', 'id')
  kill(
    @Caller() caller: CallerContext,
    @Param({ schema: sessionSchema }) command: SessionCommand,
  ): Promise<SessionView> {
    return this.sessions.kill(caller, command);
  }

  @Post(':id/signal')
  @HttpCode(204)
  @RequirePermission('pty:signal', onSession)
  @Audited('pty.signal', 'session', 'id')
  async signal(
    @Caller() caller: CallerContext,
    @Param({ schema: sessionSchema }) { id }: SessionCommand,
    @Body({ schema: frameSchemas.signal }) { signal }: z.output<typeof frameSchemas.signal>,
  ): Promise<void> {
    await this.sessions.signal(caller, { id, signal });
  }

  @Post(':id/resize')
  @HttpCode(204)
  @RequirePermission('pty:resize', onSession)
  async resize(
    @Caller() caller: CallerContext,
    @Param({ schema: sessionSchema }) { id }: SessionCommand,
    @Body({ schema: frameSchemas.resize }) size: z.output<typeof frameSchemas.resize>,
  ): Promise<void> {
    await this.sessions.resize(caller, { id, ...size });
  }

  @Post(':id/input')
  @HttpCode(204)
  @RequirePermission('pty:input', onSession)
  async input(
    @Caller() caller: CallerContext,
    @Param({ schema: sessionSchema }) { id }: SessionCommand,
    @Body({ schema: inputSchema }) { data }: z.output<typeof inputSchema>,
  ): Promise<void> {
    await this.sessions.write(caller, { id, data });
  }

  /** The session once it has ended, or as it is when the time is up. */
  @Get(':id/wait')
  @RequirePermission('pty:view', onSession)
  wait(
    @Caller() caller: CallerContext,
    @Param({ schema: sessionSchema }) { id }: SessionCommand,
    @Query({ schema: waitQuerySchema }) query: z.output<typeof waitQuerySchema>,
    @Gone() gone: AbortSignal,
  ): Promise<SessionView> {
    return this.waits.wait(caller, { id, ...query }, gone);
  }

  /** A piece of the retained output, as bytes; the offsets are in the headers. */
  @Get(':id/output')
  @RequirePermission('pty:view', onSession)
  async output(
    @Caller() caller: CallerContext,
    @Param({ schema: sessionSchema }) { id }: SessionCommand,
    @Query({ schema: outputQuerySchema }) query: z.output<typeof outputQuerySchema>,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Buffer> {
    const piece = await this.sessions.output(caller, { id, ...query });
    void reply.headers({
      'Content-Type': 'application/octet-stream',
      'X-Output-Offset': piece.offset,
      'X-Output-Next': piece.offset + piece.data.length,
      'X-Output-End': piece.output_next,
      'X-Output-Dropped-Before': piece.dropped_before,
    });
    return piece.data;
  }
}
