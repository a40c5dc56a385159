import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { ChangeFeed } from '../database/change-feed.js';
import { Watches } from '../watch/watches.js';
import { AgentStore, toResource } from './agent-store.js';
import type { AgentView } from './agent-view.js';
import { AgentsService } from './agents.service.js';

/** What those who watch are told of a change. */
export interface AgentChanged {
  readonly type: 'agent_changed';
  readonly agent: AgentView;
}

/** What they are told when changes were missed: that they had better list. */
export const AGENTS_MISSED = 'agents_missed';

/** Who watches agents, over WebSocket and gRPC. */
@Injectable()
export class AgentWatches extends Watches {
  constructor(
    feed: ChangeFeed,
    authorization: AuthorizationService,
    agents: AgentsService,
    store: AgentStore,
    logger: PinoLogger,
  ) {
    const look = async (id: string) => {
      const row = await store.look(id);
      if (row === null) return null;
      const message: AgentChanged = { type: 'agent_changed', agent: agents.view(row) };
      return { resource: toResource(row), message };
    };
    super(feed, authorization, { topic: 'agent', permission: 'agent:view', missed: AGENTS_MISSED, look }, logger);
  }
}
