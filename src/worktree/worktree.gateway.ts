import { UseFilters } from '@nestjs/common';
import { ConnectedSocket, MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { PinoLogger } from 'nestjs-pino';
import type { WebSocket } from 'ws';
import { z } from 'zod';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { Authenticated, RequirePermission } from '../authorization/decorators.js';
import { ChangeFeed } from '../database/change-feed.js';
import { ErrorFilter } from '../transport/error-filter.js';
import { connectionOf, type GatewayPaths } from '../transport/ws-adapter.js';
import type { Watched } from '../watch/socket-watch.js';
import { Watches } from '../watch/watches.js';
import { WorktreeStore } from './worktree-store.js';
import { toResource, toView } from './worktree-view.js';

const bareSchema = z.strictObject({});

/** What changes of worktrees, on `/ws`. docs/protocol.md. */
@UseFilters(ErrorFilter)
@WebSocketGateway<GatewayPaths>({ path: '/ws', paths: ['/ws', '/ws/pty'] })
export class WorktreeGateway {
  readonly #watches: Watches;

  constructor(
    private readonly store: WorktreeStore,
    feed: ChangeFeed,
    authorization: AuthorizationService,
    logger: PinoLogger,
  ) {
    const kind = {
      topic: 'worktree',
      permission: 'worktree:view',
      missed: 'worktrees_missed',
      look: (id: string) => this.#look(id),
    } as const;
    this.#watches = new Watches(feed, authorization, kind, logger);
  }

  /** From the answer on the client is told of every change of a worktree that it may view. */
  @RequirePermission('worktree:view')
  @SubscribeMessage('watch_worktrees')
  watch(@ConnectedSocket() client: WebSocket, @MessageBody({ schema: bareSchema }) _body: object): object {
    this.#watches.watch(connectionOf(client));
    return { type: 'worktrees_watched' };
  }

  @Authenticated()
  @SubscribeMessage('unwatch_worktrees')
  unwatch(@ConnectedSocket() client: WebSocket, @MessageBody({ schema: bareSchema }) _body: object): object {
    this.#watches.unwatch(connectionOf(client));
    return { type: 'worktrees_unwatched' };
  }

  async #look(id: string): Promise<Watched | null> {
    const row = await this.store.look(id);
    if (row === null) return null;
    return { resource: toResource(row), message: { type: 'worktree_changed', worktree: toView(row) } };
  }
}
