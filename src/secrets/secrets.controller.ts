import { Body, Controller, Delete, Get, HttpCode, Param, Post, Put, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { Audited } from '../audit/audited.decorator.js';
import { RequirePermission } from '../authorization/decorators.js';
import type { CallerContext } from '../kernel/request-context.js';
import type { Rekeying } from '../sealing/rekey.js';
import { Caller } from '../transport/caller.js';
import {
  type ListCommand,
  listSchema,
  type PutCommand,
  putSchema,
  type RekeyCommand,
  rekeySchema,
  type SecretCommand,
  secretSchema,
} from './secrets.schema.js';
import { type PutView, type SecretPage, SecretsService, type SecretView } from './secrets.service.js';

/** Stored secrets over REST. A value is in the request that sets it, and in no answer. */
@Controller('/api/v1/secrets')
export class SecretsController {
  constructor(private readonly secrets: SecretsService) {}

  @Put(':name')
  @RequirePermission('secrets:write')
  @Audited('secrets.set', 'secret_name', 'name', ({ created, key_id }: PutView) => ({ created, key_id }))
  async put(
    @Caller() caller: CallerContext,
    @Param({ schema: secretSchema }) { name }: SecretCommand,
    @Body({ schema: putSchema }) command: PutCommand,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<PutView> {
    const answer = await this.secrets.put(caller, name, command);
    void reply.status(answer.created ? 201 : 200);
    return answer;
  }

  @Get()
  @RequirePermission('secrets:view')
  list(@Caller() caller: CallerContext, @Query({ schema: listSchema }) command: ListCommand): Promise<SecretPage> {
    return this.secrets.list(caller, command);
  }

  @Get(':name')
  @RequirePermission('secrets:view')
  get(@Caller() caller: CallerContext, @Param({ schema: secretSchema }) { name }: SecretCommand): Promise<SecretView> {
    return this.secrets.get(caller, name);
  }

  @Delete(':name')
  @HttpCode(204)
  @RequirePermission('secrets:write')
  @Audited('secrets.delete', 'secret_name', 'name')
  async remove(
    @Caller() caller: CallerContext,
    @Param({ schema: secretSchema }) { name }: SecretCommand,
  ): Promise<void> {
    await this.secrets.remove(caller, name);
  }

  @Post('rekey')
  @HttpCode(200)
  @RequirePermission('secrets:rekey')
  @Audited('secrets.rekeyed', 'secrets', null, ({ rekeyed, unopened, key_id }: Rekeying) => ({
    ...{ rekeyed, unopened, key_id },
  }))
  rekey(@Caller() caller: CallerContext, @Body({ schema: rekeySchema }) command: RekeyCommand): Promise<Rekeying> {
    return this.secrets.rekey(caller, command);
  }
}
