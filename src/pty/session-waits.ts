import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { LiveStreams } from '../authorization/live-streams.js';
import { AuditTrail } from '../kernel/audit.js';
import { DomainError } from '../kernel/errors.js';
import type { CallerContext } from '../kernel/request-context.js';
import { decideAnew } from './decide-anew.js';
import type { WaitCommand } from './pty.schema.js';
import { PtyService } from './pty.service.js';
import { SessionEnds } from './session-ends.js';
import { SessionStore } from './session-store.js';
import type { SessionView } from './session-view.js';
import { SessionWait } from './session-wait.js';

/** Calls of one gateway that wait at once, and of one principal among them. */
const MAX_WAITS = 2000;
const MAX_WAITS_EACH = 100;
/** How soon an end is noticed that this gateway is not told of: of a session on another gateway's runner. */
const LOOK_EVERY_MS = 1000;

/** Calls that wait for the end of a session. */
@Injectable()
export class SessionWaits implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #waits = new Map<string, Set<SessionWait>>();
  /** How many there are of each principal. */
  readonly #of = new Map<string, number>();
  #count = 0;
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  #draining = false;

  constructor(
    private readonly sessions: PtyService,
    private readonly store: SessionStore,
    private readonly authorization: AuthorizationService,
    private readonly streams: LiveStreams,
    private readonly audit: AuditTrail,
    private readonly logger: PinoLogger,
    ends: SessionEnds,
  ) {
    ends.onRecorded((id) => {
      this.#wake(id);
    });
  }

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => void this.#look(), LOOK_EVERY_MS).unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
  }

  /**
   * Waits until the session has ended, at most so many seconds.
   * @param gone aborted when nobody waits for the answer any more
   * @returns the session as it is then
   * @throws DomainError WAIT_LIMIT; GOING_AWAY; PERMISSION_DENIED, SESSION_EXPIRED, TOKEN_REVOKED and the like when what
   *   the call rests on is taken back meanwhile
   */
  async wait(context: CallerContext, { id, timeout_seconds }: WaitCommand, gone: AbortSignal): Promise<SessionView> {
    const { tenant } = context.principal;
    const resource = await this.store.owner(tenant, id);
    if (resource === null) return this.authorization.refuseUnknown(context, 'pty:view', 'session', id);
    const wait = new SessionWait(context, resource, (each) => void this.#recheck(each));
    const leave = this.#enter(wait, id);
    try {
      // Looked at after it was entered, so that no end falls between the two.
      const now = await this.sessions.get(context, { id });
      if (now.ended_at !== null) return now;
      await wait.until(timeout_seconds, gone);
      return gone.aborted ? now : await this.sessions.get(context, { id });
    } finally {
      leave();
    }
  }

  /** Before a stop: every wait ends, and its caller comes back elsewhere. */
  drain(): void {
    this.#draining = true;
    for (const waits of this.#waits.values()) {
      for (const wait of waits) wait.end(stopping());
    }
  }

  #enter(wait: SessionWait, id: string): () => void {
    if (this.#draining) throw stopping();
    const { tenant, provider, subject } = wait.context.principal;
    const principal = JSON.stringify([tenant, provider, subject]);
    const own = this.#of.get(principal) ?? 0;
    if (own >= MAX_WAITS_EACH) throw new DomainError('WAIT_LIMIT', `${MAX_WAITS_EACH} of your calls wait already.`);
    if (this.#count >= MAX_WAITS) throw new DomainError('WAIT_LIMIT', 'Too many calls wait already.');
    this.#count += 1;
    this.#of.set(principal, own + 1);
    const waits = this.#waits.get(id) ?? new Set<SessionWait>();
    this.#waits.set(id, waits.add(wait));
    const ended = this.streams.add(wait);
    return () => {
      ended();
      this.#count -= 1;
      const left = (this.#of.get(principal) ?? 1) - 1;
      if (left === 0) this.#of.delete(principal);
      else this.#of.set(principal, left);
      waits.delete(wait);
      if (waits.size === 0 && this.#waits.get(id) === waits) this.#waits.delete(id);
    };
  }

  #wake(id: string): void {
    for (const wait of this.#waits.get(id) ?? []) wait.wake();
  }

  async #look(): Promise<void> {
    const ids = [...this.#waits.keys()];
    if (this.#looking || ids.length === 0) return;
    this.#looking = true;
    try {
      const live = await this.store.stillLive(ids);
      for (const id of ids) if (!live.has(id)) this.#wake(id);
    } catch (error) {
      // Its caller is told when the time is up; until then it is tried again.
      this.logger.debug({ err: error }, 'sessions that are waited for could not be looked at');
    } finally {
      this.#looking = false;
    }
  }

  async #recheck(wait: SessionWait): Promise<void> {
    const { context } = wait;
    const decide = (): ReturnType<AuthorizationService['decide']> =>
      this.authorization.decide(context.principal, 'pty:view', wait.resource);
    if (await decideAnew(this.store, wait, () => decide().allow)) return;
    this.audit.note(context, {
      ...{ action: 'authz.downgraded', resource: `session:${wait.resource.id}`, success: false },
      ...{ reason: 'PERMISSION_DENIED', metadata: { to: 'ended', permission: 'pty:view', rule: decide().rule } },
    });
    wait.end(new DomainError('PERMISSION_DENIED', 'This session may not be viewed any more.'));
  }
}

const stopping = (): DomainError => new DomainError('GOING_AWAY', 'The server is stopping.');
