import { Body, Controller, Get, HttpCode, Param, Post, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { Audited } from '../audit/audited.decorator.js';
import { RequirePermission } from '../authorization/decorators.js';
import type { CallerContext } from '../kernel/request-context.js';
import { Expensive } from '../rate-limit/expensive.js';
import { Gone } from '../transport/call.js';
import { Caller } from '../transport/caller.js';
import {
  type AgentCommand,
  agentSchema,
  answerBody,
  type ListCommand,
  listQuerySchema,
  messageSchema,
  resumeSchema,
  type StartCommand,
  startSchema,
} from './agent.schema.js';
import { AgentStarts, type StartedAgent, startFacts } from './agent-starts.js';
import type { AgentView } from './agent-view.js';
import { type AgentPage, AgentsService } from './agents.service.js';
import { type ProviderList, Providers } from './providers/providers.js';

export const onAgent = { resource: 'agent', field: 'id' } as const;

const messageBody = messageSchema.omit({ id: true });
const resumeBody = resumeSchema.omit({ id: true });

/** Agents over REST. */
@Controller('/api/v1/agents')
export class AgentController {
  constructor(
    private readonly agents: AgentsService,
    private readonly starts: AgentStarts,
    private readonly providers: Providers,
  ) {}

  @Get('providers')
  @RequirePermission('agent:view')
  listProviders(): Promise<ProviderList> {
    return this.providers.list();
  }

  @Post()
  @Expensive()
  @RequirePermission('agent:start')
  @Audited('agent.start', 'agent', null, startFacts)
  async start(
    @Caller() caller: CallerContext,
    @Body({ schema: startSchema }) command: StartCommand,
    @Gone() gone: AbortSignal,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<StartedAgent> {
    const agent = await this.starts.start(caller, command, gone);
    void reply.status(agent.idempotent_replay ? 200 : 201);
    return agent;
  }

  @Get()
  @RequirePermission('agent:view')
  list(@Caller() caller: CallerContext, @Query({ schema: listQuerySchema }) command: ListCommand): Promise<AgentPage> {
    return this.agents.list(caller, command);
  }

  @Get(':id')
  @RequirePermission('agent:view', onAgent)
  get(@Caller() caller: CallerContext, @Param({ schema: agentSchema }) command: AgentCommand): Promise<AgentView> {
    return this.agents.get(caller, command);
  }

  @Post(':id/message')
  @HttpCode(204)
  @RequirePermission('agent:message', onAgent)
  @Audited('agent.message', 'agent', 'id')
  async message(
    @Caller() caller: CallerContext,
    @Param({ schema: agentSchema }) { id }: AgentCommand,
    @Body({ schema: messageBody }) body: z.output<typeof messageBody>,
  ): Promise<void> {
    await this.agents.message(caller, { id, ...body });
  }

  @Post(':id/answer')
  @HttpCode(200)
  @RequirePermission('agent:approve', onAgent)
  @Audited('agent.approval_answered', 'agent', 'id')
  answer(
    @Caller() caller: CallerContext,
    @Param({ schema: agentSchema }) { id }: AgentCommand,
    @Body({ schema: answerBody }) body: z.output<typeof answerBody>,
  ): Promise<AgentView> {
    return this.agents.answer(caller, { id, ...body });
  }

  @Post(':id/stop')
  @HttpCode(200)
  @RequirePermission('agent:stop', onAgent)
  @Audited('agent.stop', 'agent', 'id')
  stop(@Caller() caller: CallerContext, @Param({ schema: agentSchema }) command: AgentCommand): Promise<AgentView> {
    return this.agents.stop(caller, command);
  }

  /** What it does to the agent that is there needs `agent:message` on it; that it starts a program, the service asks. */
  @Post(':id/resume')
  @HttpCode(200)
  @Expensive()
  @RequirePermission('agent:message', onAgent)
  @Audited('agent.start', 'agent', 'id', startFacts)
  resume(
    @Caller() caller: CallerContext,
    @Param({ schema: agentSchema }) { id }: AgentCommand,
    @Body({ schema: resumeBody }) body: z.output<typeof resumeBody>,
  ): Promise<AgentView> {
    return this.starts.resume(caller, { id, ...body });
  }
}
