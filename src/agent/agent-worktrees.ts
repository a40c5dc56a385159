import { setTimeout } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { OwnershipRegistry } from '../authorization/ownership.js';
import { AuditTrail } from '../kernel/audit.js';
import { DomainError } from '../kernel/errors.js';
import type { CallerContext } from '../kernel/request-context.js';
import type { SessionEntity } from '../pty/session.entity.js';
import { SessionStore } from '../pty/session-store.js';
import { type CreatedView, createFacts, WorktreeCreationService } from '../worktree/worktree-creation.service.js';
import { WorktreeRemovalService } from '../worktree/worktree-removal.service.js';
import type { StartCommand } from './agent.schema.js';

/** Longest setup that a start waits for. */
const SETUP_MS = 600_000;
const LOOK_EVERY_MS = 200;

/** Where an agent is to start. */
export interface Place {
  /** Null: in no worktree. */
  readonly worktreeId: string | null;
  /**
   * Waits for the setup of one that was made; null: there is none.
   * @param gone aborted when nobody waits for the answer any more
   * @throws DomainError START_FAILED when it fails, which leaves the worktree: `details` name it and the session that has the
   *   setup's output; what the credential is refused with when it was taken back meanwhile
   */
  readonly setUp: ((gone: AbortSignal) => Promise<void>) | null;
  /** Takes back what was made for an agent that did not start. */
  readonly undo: () => Promise<void>;
}

const nothingMade = (): Promise<void> => Promise.resolve();

/** The worktrees that agents start in: one that is there, or one made for them. */
@Injectable()
export class AgentWorktrees {
  constructor(
    private readonly creation: WorktreeCreationService,
    private readonly removal: WorktreeRemovalService,
    private readonly sessions: SessionStore,
    private readonly authorization: AuthorizationService,
    private readonly ownership: OwnershipRegistry,
    private readonly audit: AuditTrail,
    private readonly logger: PinoLogger,
  ) {}

  /**
   * May this caller have a program change things in that worktree?
   * @throws DomainError NOT_FOUND, PERMISSION_DENIED
   */
  async requireWrite(caller: CallerContext, id: string): Promise<void> {
    const resource = await this.ownership.resolve('worktree', id, caller);
    if (resource === null) this.authorization.refuseUnknown(caller, 'worktree:write', 'worktree', id);
    this.authorization.admit(caller, 'worktree:write', resource);
  }

  /** The worktree that a start names, which its caller may write; or a new one. @throws DomainError what making one throws */
  async place(caller: CallerContext, { worktree_id, create_worktree }: StartCommand): Promise<Place> {
    if (worktree_id !== undefined) return { worktreeId: worktree_id, setUp: null, undo: nothingMade };
    if (create_worktree === undefined) return { worktreeId: null, setUp: null, undo: nothingMade };
    const made = await this.audit.outcome(
      caller,
      { action: 'worktree.create', resource: ({ id }: CreatedView) => `worktree:${id}`, metadata: createFacts },
      () => this.creation.create(caller, create_worktree),
    );
    // What a failed setup has left is for its owner to look at.
    let keep = false;
    const setUp = async (gone: AbortSignal): Promise<void> => {
      keep = true;
      await this.#setUp(caller, made, gone);
      keep = false;
    };
    return { worktreeId: made.id, setUp, undo: () => (keep ? nothingMade() : this.#remove(caller, made.id)) };
  }

  async #setUp(caller: CallerContext, made: CreatedView, gone: AbortSignal): Promise<void> {
    const { id: worktree_id, setup_session_id, setup_failure } = made;
    const failed = (message: string) =>
      new DomainError('START_FAILED', message, { details: { worktree_id, setup_session_id } });
    if (setup_failure !== null) throw failed('The setup of the worktree could not be started.');
    if (setup_session_id === null) return;
    const setup = await this.#end(caller.principal.tenant, setup_session_id, gone);
    if (setup === null) throw failed('The setup of the worktree takes too long; it goes on.');
    if (setup.exitCode !== 0) throw failed('The setup of the worktree failed.');
    // It may have taken minutes.
    await caller.credential?.revalidate();
  }

  /** The setup's session once it has ended; null when that takes too long, or nobody waits any more. */
  async #end(tenant: string, id: string, gone: AbortSignal): Promise<SessionEntity | null> {
    const deadline = performance.now() + SETUP_MS;
    for (;;) {
      const session = await this.sessions.find(tenant, id);
      if (session?.endedAt) return session;
      if (session === null || gone.aborted || performance.now() > deadline) return null;
      await setTimeout(LOOK_EVERY_MS);
    }
  }

  /** Never by force: what the setup left there may be somebody's. */
  async #remove(caller: CallerContext, id: string): Promise<void> {
    await this.removal.remove(caller, { id, force: false, delete_branch: true }).catch((error: unknown) => {
      this.logger.warn({ err: error, worktree: id }, 'a worktree made for an agent that did not start stays');
    });
  }
}
