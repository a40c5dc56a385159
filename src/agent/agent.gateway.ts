import { UseFilters } from '@nestjs/common';
import { ConnectedSocket, MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import type { WebSocket } from 'ws';
import { z } from 'zod';
import { Audited } from '../audit/audited.decorator.js';
import { RequirePermission } from '../authorization/decorators.js';
import { AuditTrail } from '../kernel/audit.js';
import type { CallerContext } from '../kernel/request-context.js';
import { Expensive } from '../rate-limit/expensive.js';
import { Caller } from '../transport/caller.js';
import { ErrorFilter } from '../transport/error-filter.js';
import { connectionOf, type GatewayPaths } from '../transport/ws-adapter.js';
import { agentSchema, answerBody, messageSchema, type StartCommand, startSchema } from './agent.schema.js';
import { AgentStarts, type StartedAgent, startFacts } from './agent-starts.js';
import type { AgentView } from './agent-view.js';
import { AgentWatches } from './agent-watches.js';
import { AgentsService } from './agents.service.js';

/** A message's own `id` is the caller's, to find its answer by: the agent is named otherwise. */
const named = { agent: agentSchema.shape.id };
const onAgent = { resource: 'agent', field: 'agent' } as const;
const messageMessage = z.strictObject({ ...named, ...messageSchema.omit({ id: true }).shape });
const bareMessage = z.strictObject(named);
/** What names the agent, and the answer, each by its own rule. */
const answerMessage = z
  .looseObject(named)
  .transform(({ agent, ...answer }) => ({ agent, answer }))
  .pipe(z.object({ agent: named.agent, answer: answerBody }));
const nothing = z.strictObject({});

/** Agents over WebSocket, on the same socket as sessions. docs/protocol.md. */
@UseFilters(ErrorFilter)
@WebSocketGateway<GatewayPaths>({ path: '/ws', paths: ['/ws'] })
export class AgentGateway {
  constructor(
    private readonly agents: AgentsService,
    private readonly starts: AgentStarts,
    private readonly watches: AgentWatches,
    private readonly audit: AuditTrail,
  ) {}

  /** From now on this socket is told of every agent that its caller may see, whenever it changes. */
  @RequirePermission('agent:view')
  @SubscribeMessage('watch_agents')
  watch(@ConnectedSocket() client: WebSocket, @MessageBody({ schema: nothing }) _request: object): object {
    this.watches.watch(connectionOf(client));
    return { type: 'watching_agents' };
  }

  @RequirePermission('agent:view')
  @SubscribeMessage('unwatch_agents')
  unwatch(@ConnectedSocket() client: WebSocket, @MessageBody({ schema: nothing }) _request: object): object {
    this.watches.unwatch(connectionOf(client));
    return { type: 'unwatched_agents' };
  }

  /** It may take as long as making a worktree does, and so is done aside. */
  @Expensive()
  @RequirePermission('agent:start')
  @SubscribeMessage('agent_start')
  start(
    @ConnectedSocket() client: WebSocket,
    @MessageBody({ schema: startSchema }) command: StartCommand,
    @Caller() caller: CallerContext,
  ): void {
    const attempt = {
      action: 'agent.start',
      resource: ({ id }: StartedAgent) => `agent:${id}`,
      metadata: startFacts,
    } as const;
    const gone = new AbortController();
    const leave = (): void => {
      gone.abort();
    };
    client.once('close', leave);
    connectionOf(client).aside(async () => {
      try {
        const agent = await this.audit.outcome(caller, attempt, () => this.starts.start(caller, command, gone.signal));
        return { type: 'agent_started', agent };
      } finally {
        client.off('close', leave);
      }
    });
  }

  @RequirePermission('agent:message', onAgent)
  @Audited('agent.message', 'agent', 'agent')
  @SubscribeMessage('agent_message')
  async message(
    @MessageBody({ schema: messageMessage }) { agent, ...command }: z.output<typeof messageMessage>,
    @Caller() caller: CallerContext,
  ): Promise<object> {
    await this.agents.message(caller, { id: agent, ...command });
    return { type: 'agent_told', agent };
  }

  @RequirePermission('agent:approve', onAgent)
  @Audited('agent.approval_answered', 'agent', 'agent')
  @SubscribeMessage('agent_answer')
  async answer(
    @MessageBody({ schema: answerMessage }) { agent, answer }: z.output<typeof answerMessage>,
    @Caller() caller: CallerContext,
  ): Promise<{ type: 'agent_answered'; agent: AgentView }> {
    return { type: 'agent_answered', agent: await this.agents.answer(caller, { id: agent, ...answer }) };
  }

  /** It takes as long as the agent does to end. */
  @RequirePermission('agent:stop', onAgent)
  @SubscribeMessage('agent_stop')
  stop(
    @ConnectedSocket() client: WebSocket,
    @MessageBody({ schema: bareMessage }) { agent: id }: z.output<typeof bareMessage>,
    @Caller() caller: CallerContext,
  ): void {
    const attempt = { action: 'agent.stop', resource: `agent:${id}` } as const;
    connectionOf(client).aside(async () => {
      const agent = await this.audit.outcome(caller, attempt, () => this.agents.stop(caller, { id }));
      return { type: 'agent_stopped', agent };
    });
  }
}
