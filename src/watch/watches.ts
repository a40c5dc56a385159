import type { AuthorizationService } from '../authorization/authorization.service.js';
import type { Permission } from '../authorization/permissions.js';
import type { Resource } from '../authorization/policy.js';
import type { ChangeFeed, ChangeHearer, ChangeTopic } from '../database/change-feed.js';
import type { Log } from '../kernel/log.js';
import type { RequestContext } from '../kernel/request-context.js';
import { type Listener, SocketWatch, type Watched } from './socket-watch.js';

/** Changes that wait to be looked up; with more, watchers are told that they missed some. */
export const MAX_UNSEEN = 4096;

/** What is watched, and how it is told. */
export interface WatchedKind {
  readonly topic: ChangeTopic;
  /** Whoever has it on the thing is told. */
  readonly permission: Permission;
  /** `type` of the message to a client that may have missed some. */
  readonly missed: string;
  /** Looks a thing up, whosever it is; null when it is gone. */
  readonly look: (id: string) => Promise<Watched | null>;
}

/** A connection or stream that watches. */
export interface Watcher extends Listener {
  readonly context: RequestContext;
  /** Tells its end. */
  readonly socket: { once(event: 'close', listener: () => void): unknown };
}

/**
 * The connections and streams that watch one kind of thing. Each change is looked up once, however many watch, and told to
 * those who may see the thing at the moment they are told.
 */
export class Watches implements ChangeHearer {
  readonly #sockets = new Map<Watcher, SocketWatch>();
  /** Ids; told of twice before it was looked at, a thing is looked at once. */
  readonly #unseen = new Set<string>();
  #looking = false;

  constructor(
    feed: ChangeFeed,
    private readonly authorization: Pick<AuthorizationService, 'allows'>,
    private readonly kind: WatchedKind,
    private readonly logger: Log,
  ) {
    feed.on(kind.topic, this);
  }

  /** Tells this connection of changes from now on, until it ends. */
  watch(connection: Watcher): void {
    if (this.#sockets.has(connection)) return;
    const { permission, missed } = this.kind;
    const sees = (resource: Resource): boolean => {
      const { principal } = connection.context;
      return principal !== null && this.authorization.allows(principal, permission, resource);
    };
    this.#sockets.set(connection, new SocketWatch(connection, sees, { type: missed }));
    connection.socket.once('close', () => {
      this.unwatch(connection);
    });
  }

  unwatch(connection: Watcher): void {
    this.#sockets.get(connection)?.end();
    this.#sockets.delete(connection);
  }

  changed(id: string): void {
    if (this.#sockets.size === 0) return;
    this.#unseen.add(id);
    if (this.#unseen.size > MAX_UNSEEN) this.missed();
    else if (!this.#looking) void this.#look();
  }

  missed(): void {
    this.#unseen.clear();
    for (const socket of this.#sockets.values()) socket.missed();
  }

  async #look(): Promise<void> {
    this.#looking = true;
    for (const id of this.#unseen) {
      this.#unseen.delete(id);
      try {
        const watched = await this.kind.look(id);
        if (watched) for (const socket of this.#sockets.values()) socket.tell(id, watched);
      } catch (error) {
        this.logger.warn({ err: error }, 'a change cannot be told to those who watch');
        this.missed();
      }
    }
    this.#looking = false;
  }
}
