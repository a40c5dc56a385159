import { Controller } from '@nestjs/common';
import { GrpcMethod, Payload } from '@nestjs/microservices';
import { from, ignoreElements, type Observable } from 'rxjs';
import { z } from 'zod';
import { Audited } from '../audit/audited.decorator.js';
import { RequirePermission } from '../authorization/decorators.js';
import type { Agent } from '../generated/gatehouse/agent/v1/Agent.js';
import type { ListProvidersResponse } from '../generated/gatehouse/agent/v1/ListProvidersResponse.js';
import type { ListResponse } from '../generated/gatehouse/agent/v1/ListResponse.js';
import type { StartResponse } from '../generated/gatehouse/agent/v1/StartResponse.js';
import type { AuditMetadata } from '../kernel/audit.js';
import { plainEnum } from '../kernel/proto-values.js';
import type { CallerContext } from '../kernel/request-context.js';
import { Expensive } from '../rate-limit/expensive.js';
import { Call, Gone } from '../transport/call.js';
import { Caller } from '../transport/caller.js';
import { onAgent } from './agent.controller.js';
import { providerToProto, toProto } from './agent-proto.js';
import {
  type AgentCommand,
  agentSchema,
  type AnswerCommand,
  answerSchema,
  type ListCommand,
  listSchema,
  type MessageCommand,
  messageSchema,
  type ResumeCommand,
  resumeSchema,
  type StartCommand,
  startSchema,
  type WatchCommand,
  watchSchema,
} from './agent.schema.js';
import { AgentStarts } from './agent-starts.js';
import { AgentStreams, type WatchCall } from './agent-streams.js';
import { AgentsService } from './agents.service.js';
import { Providers } from './providers/providers.js';

const SERVICE = 'AgentService';

/** The same request, with enums of the wire as plain names. */
const plain = <T extends z.ZodType>(member: string, prefix: 'AGENT_STATE_' | 'APPROVE_', schema: T) =>
  z.preprocess((request) => {
    if (typeof request !== 'object' || request === null || !(member in request)) return request;
    const { [member]: value, ...others } = request as Record<string, unknown>;
    const name = plainEnum(value, prefix);
    return name === undefined ? others : { ...others, [member]: name };
  }, schema);
const startRequest = plain('approve', 'APPROVE_', startSchema);
const listRequest = plain('state', 'AGENT_STATE_', listSchema);
/** protobuf tells by the name of a oneof which of it there is. */
const answerRequest = z.preprocess(
  (request) =>
    typeof request === 'object' && request !== null
      ? Object.fromEntries(Object.entries(request).filter(([member]) => member !== 'answer'))
      : request,
  answerSchema,
);

/** What the trail says of a start, by the answer on the wire. */
const wireFacts = ({ agent, idempotent_replay }: StartResponse): AuditMetadata => ({
  ...{ provider: agent?.provider ?? null, approve: agent?.approve === 'APPROVE_AUTO' ? 'auto' : 'ask' },
  ...{ session: agent?.session_id ?? null, worktree: agent?.worktree_id ?? null },
  ...((agent?.resumes ?? 0) > 0 ? { resumes: agent?.resumes ?? 0 } : {}),
  ...(idempotent_replay === true ? { idempotent_replay } : {}),
});

/** Agents over gRPC. */
@Controller()
export class AgentGrpc {
  constructor(
    private readonly agents: AgentsService,
    private readonly starts: AgentStarts,
    private readonly providers: Providers,
    private readonly streams: AgentStreams,
  ) {}

  @GrpcMethod(SERVICE)
  @RequirePermission('agent:view')
  async listProviders(): Promise<ListProvidersResponse> {
    const { items } = await this.providers.list();
    return { providers: items.map(providerToProto) };
  }

  @GrpcMethod(SERVICE)
  @Expensive()
  @RequirePermission('agent:start')
  @Audited('agent.start', 'agent', null, wireFacts)
  async start(
    @Payload({ schema: startRequest }) command: StartCommand,
    @Caller() caller: CallerContext,
    @Gone() gone: AbortSignal,
  ): Promise<StartResponse> {
    const { idempotent_replay = false, ...view } = await this.starts.start(caller, command, gone);
    return { agent: toProto(view), idempotent_replay };
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('agent:view')
  async list(
    @Payload({ schema: listRequest }) command: ListCommand,
    @Caller() caller: CallerContext,
  ): Promise<ListResponse> {
    const { items, next_cursor } = await this.agents.list(caller, command);
    return { agents: items.map(toProto), ...(next_cursor === null ? {} : { next_cursor }) };
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('agent:view', onAgent)
  async get(
    @Payload({ schema: agentSchema }) command: AgentCommand,
    @Caller() caller: CallerContext,
  ): Promise<{ agent: Agent }> {
    return { agent: toProto(await this.agents.get(caller, command)) };
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('agent:message', onAgent)
  @Audited('agent.message', 'agent', 'id')
  async message(
    @Payload({ schema: messageSchema }) command: MessageCommand,
    @Caller() caller: CallerContext,
  ): Promise<object> {
    await this.agents.message(caller, command);
    return {};
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('agent:approve', onAgent)
  @Audited('agent.approval_answered', 'agent', 'id')
  async answer(
    @Payload({ schema: answerRequest }) command: AnswerCommand,
    @Caller() caller: CallerContext,
  ): Promise<{ agent: Agent }> {
    return { agent: toProto(await this.agents.answer(caller, command)) };
  }

  @GrpcMethod(SERVICE)
  @RequirePermission('agent:stop', onAgent)
  @Audited('agent.stop', 'agent', 'id')
  async stop(
    @Payload({ schema: agentSchema }) command: AgentCommand,
    @Caller() caller: CallerContext,
  ): Promise<{ agent: Agent }> {
    return { agent: toProto(await this.agents.stop(caller, command)) };
  }

  /** What it does to the agent that is there needs `agent:message` on it; that it starts a program, the service asks. */
  @GrpcMethod(SERVICE)
  @Expensive()
  @RequirePermission('agent:message', onAgent)
  @Audited('agent.start', 'agent', 'id', wireFacts)
  async resume(
    @Payload({ schema: resumeSchema }) command: ResumeCommand,
    @Caller() caller: CallerContext,
  ): Promise<StartResponse> {
    return { agent: toProto(await this.starts.resume(caller, command)) };
  }

  /** What it answers goes to the call itself, which says when it has room; Nest is told only that it is over. */
  @GrpcMethod(SERVICE)
  @RequirePermission('agent:view')
  watchAgent(
    @Payload({ schema: watchSchema }) command: WatchCommand,
    @Caller() caller: CallerContext,
    @Call() call: WatchCall,
  ): Observable<never> {
    return from(this.streams.serve(call, caller, command)).pipe(ignoreElements());
  }
}
