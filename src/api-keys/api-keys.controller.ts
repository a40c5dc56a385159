import { Body, Controller, Delete, Get, Headers, HttpCode, Param, Patch, Post, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import type { z } from 'zod';
import { Audited } from '../audit/audited.decorator.js';
import { RequirePermission } from '../authorization/decorators.js';
import type { AuditMetadata } from '../kernel/audit.js';
import type { CallerContext } from '../kernel/request-context.js';
import { Expensive } from '../rate-limit/expensive.js';
import { Caller } from '../transport/caller.js';
import { parse } from '../transport/validation.js';
import type { ApiKeyView } from './api-key-view.js';
import {
  type CreateCommand,
  createSchema,
  idempotencySchema,
  keySchema,
  type ListCommand,
  listSchema,
  type RevokeCommand,
  revokeSchema,
  type RotateCommand,
  rotateSchema,
  type UpdateCommand,
  updateSchema,
} from './api-keys.schema.js';
import { KeyLifecycle, type KeyPage, type NewKeyView, type ReplayView } from './key-lifecycle.service.js';
import { KeyRotation } from './key-rotation.service.js';

const onKey = { resource: 'api_key', field: 'id' } as const;
type KeyCommand = z.output<typeof keySchema>;

/** What the trail says of a key that was made or changed: what it is worth, and for whom. */
const facts = (key: ApiKeyView | ReplayView): AuditMetadata => ({
  name: key.name,
  owner: { provider: key.owner_provider, subject: key.owner },
  roles: key.roles,
  scopes: key.scopes,
  expires_at: key.expires_at,
  // A repeated creation made nothing.
  ...('idempotent_replay' in key ? { idempotent_replay: true } : {}),
});

/** API keys over REST. The text of a key is in the answer that makes it, and in no other. */
@Controller('/api/v1/api-keys')
export class ApiKeysController {
  constructor(
    private readonly keys: KeyLifecycle,
    private readonly rotation: KeyRotation,
  ) {}

  @Post()
  @Expensive()
  @RequirePermission('api_key:create')
  @Audited('api_key.create', 'api_key', null, facts)
  async create(
    @Caller() caller: CallerContext,
    @Body({ schema: createSchema }) command: CreateCommand,
    @Headers('idempotency-key') name: string | undefined,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<NewKeyView | ReplayView> {
    const { 'Idempotency-Key': parsed = null } = parse(idempotencySchema, { 'Idempotency-Key': name });
    const answer = await this.keys.create(caller, command, parsed);
    void reply.status('idempotent_replay' in answer ? 200 : 201);
    return answer;
  }

  @Get()
  @RequirePermission('api_key:view')
  list(@Caller() caller: CallerContext, @Query({ schema: listSchema }) command: ListCommand): Promise<KeyPage> {
    return this.keys.list(caller, command);
  }

  @Get(':id')
  @RequirePermission('api_key:view', onKey)
  get(@Caller() caller: CallerContext, @Param({ schema: keySchema }) { id }: KeyCommand): Promise<ApiKeyView> {
    return this.keys.get(caller, id);
  }

  /** It only takes away, as revoking does, and needs the same permission. */
  @Patch(':id')
  @RequirePermission('api_key:revoke', onKey)
  @Audited('api_key.update', 'api_key', 'id', facts)
  update(
    @Caller() caller: CallerContext,
    @Param({ schema: keySchema }) { id }: KeyCommand,
    @Body({ schema: updateSchema }) command: UpdateCommand,
  ): Promise<ApiKeyView> {
    return this.keys.update(caller, id, command);
  }

  @Post(':id/rotate')
  @Expensive()
  @RequirePermission('api_key:rotate', onKey)
  @Audited('api_key.rotate', 'api_key', 'id', ({ id }: NewKeyView) => ({ rotated_to: id }))
  rotate(
    @Caller() caller: CallerContext,
    @Param({ schema: keySchema }) { id }: KeyCommand,
    @Body({ schema: rotateSchema }) command: RotateCommand,
  ): Promise<NewKeyView> {
    return this.rotation.rotate(caller, id, command);
  }

  @Delete(':id')
  @HttpCode(200)
  @RequirePermission('api_key:revoke', onKey)
  @Audited('api_key.revoke', 'api_key', 'id', ({ revoked_reason }: ApiKeyView) => ({ revoked_reason }))
  revoke(
    @Caller() caller: CallerContext,
    @Param({ schema: keySchema }) { id }: KeyCommand,
    @Body({ schema: revokeSchema }) command: RevokeCommand,
  ): Promise<ApiKeyView> {
    return this.keys.revoke(caller, id, command);
  }
}
