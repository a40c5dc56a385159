import { Body, Controller, Delete, Get, HttpCode, Post, Put, Query } from '@nestjs/common';
import type { CallerContext } from '../kernel/request-context.js';
import { Caller } from '../transport/caller.js';
import { Authenticated, RequirePermission } from './decorators.js';
import type { Effective } from './effective.js';
import type { Explanation } from './explain.js';
import { ExplainService } from './explain.service.js';
import {
  type BindingCommand,
  bindingSchema,
  type BindingsQuery,
  bindingsQuerySchema,
  type ExplainCommand,
  explainSchema,
} from './policy.schema.js';
import { type BindingPage, PolicyService } from './policy.service.js';
import type { BindingView, PermissionView, RoleView } from './policy-view.js';

/**
 * The policy over REST. Its mutations are recorded by the service, which knows the member that a binding is for; it is in
 * the body, where the decorator of other rooms does not look.
 */
@Controller('/api/v1/policy')
export class PolicyController {
  constructor(
    private readonly policy: PolicyService,
    private readonly explanations: ExplainService,
  ) {}

  @Get('roles')
  @RequirePermission('policy:read')
  roles(): { readonly items: readonly RoleView[] } {
    return { items: this.policy.roles() };
  }

  @Get('permissions')
  @RequirePermission('policy:read')
  permissions(): { readonly items: readonly PermissionView[] } {
    return { items: this.policy.permissions() };
  }

  @Get('bindings')
  @RequirePermission('policy:read')
  bindings(
    @Caller() caller: CallerContext,
    @Query({ schema: bindingsQuerySchema }) query: BindingsQuery,
  ): Promise<BindingPage> {
    return this.policy.bindings(caller, query);
  }

  @Put('bindings')
  @RequirePermission('policy:write')
  assign(
    @Caller() caller: CallerContext,
    @Body({ schema: bindingSchema }) command: BindingCommand,
  ): Promise<BindingView> {
    return this.policy.assign(caller, command);
  }

  @Delete('bindings')
  @HttpCode(204)
  @RequirePermission('policy:write')
  async remove(
    @Caller() caller: CallerContext,
    @Body({ schema: bindingSchema }) command: BindingCommand,
  ): Promise<void> {
    await this.policy.remove(caller, command);
  }

  /** Changes nothing: what it answers is about others, so it goes in a body rather than in an address. */
  @Post('explain')
  @HttpCode(200)
  @RequirePermission('policy:read')
  explain(
    @Caller() caller: CallerContext,
    @Body({ schema: explainSchema }) command: ExplainCommand,
  ): Promise<Explanation> {
    return this.explanations.explain(caller, command);
  }

  @Get('effective')
  @Authenticated()
  effective(@Caller() caller: CallerContext): Effective {
    return this.policy.effective(caller);
  }
}
