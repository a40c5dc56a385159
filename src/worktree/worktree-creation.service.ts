import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { AuthorizationService } from '../authorization/authorization.service.js';
import { CONFIG, type Config } from '../config/load.js';
import type { CreateWorktreeResponse__Output } from '../generated/gatehouse/runner/v1/CreateWorktreeResponse.js';
import type { AuditMetadata } from '../kernel/audit.js';
import type { Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import type { CallerContext } from '../kernel/request-context.js';
import { CLOCK, RUNNER_ID } from '../kernel/tokens.js';
import { RequestHash } from '../pty/request-hash.js';
import { RunnerWorktreeClient } from '../runner-link/runner-worktree-client.js';
import { madeFacts } from './made-facts.js';
import { repositoryResource } from './repository-resource.js';
import { WorktreeCommands } from './worktree-commands.js';
import type { WorktreeEntity } from './worktree.entity.js';
import type { CreateCommand } from './worktree.schema.js';
import { WorktreeStore } from './worktree-store.js';
import { toView, type WorktreeView } from './worktree-view.js';

/** How long a repeated request waits for the first one. */
const FIRST_CREATE_MS = 60_000;
const LOOK_EVERY_MS = 100;

/** A worktree that was made: by this call, or by an earlier one that had the same request id. */
export interface CreatedView extends WorktreeView {
  /** Paths that were copied into it; none when an earlier call made it. */
  readonly copied: readonly string[];
  readonly idempotent_replay?: true;
}

/** What the trail says of a creation. */
export const createFacts = ({
  repository,
  branch,
  idempotent_replay,
}: Pick<CreatedView, 'repository' | 'branch'> & { readonly idempotent_replay?: boolean }): AuditMetadata => ({
  repository,
  branch,
  // A repeated one made nothing.
  ...(idempotent_replay === true ? { idempotent_replay } : {}),
});

/** Makes worktrees, and each only once for all requests that its owner gave the same id. */
@Injectable()
export class WorktreeCreationService {
  constructor(
    private readonly store: WorktreeStore,
    private readonly runner: RunnerWorktreeClient,
    private readonly commands: WorktreeCommands,
    private readonly authorization: AuthorizationService,
    private readonly requests: RequestHash,
    @Inject(RUNNER_ID) private readonly runnerId: string,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Makes a worktree and starts its setup command, which goes on after the answer. A setup that cannot be started is told
   * in the answer; the worktree stays.
   * @throws DomainError PERMISSION_DENIED; WORKTREE_LIMIT; IDEMPOTENCY_CONFLICT; RUNNER_UNAVAILABLE, also when the first call
   *   with the same request id is not over in time; what the runner refuses with: REPOSITORY_NOT_ALLOWED, REF_NOT_FOUND,
   *   BRANCH_IN_USE, REMOTE_UNREACHABLE, GIT_FAILED, GIT_TIMEOUT, DISK_FULL
   */
  async create(context: CallerContext, command: CreateCommand): Promise<CreatedView> {
    const { principal } = context;
    this.authorization.admit(context, 'worktree:create', repositoryResource(principal, command.repository));
    // One's own is refused at once; that it may be run goes on record when it is.
    if (command.setup.length > 0) this.authorization.require(context, 'pty:create', null);
    for (;;) {
      const row = this.#newRow(context, command);
      const first = await this.store.insert(row);
      if (first === null) return this.#make(context, row, command);
      this.#requireSame(first, command);
      const settled = await this.#settled(first);
      if (settled !== null) return { ...toView(settled), copied: [], idempotent_replay: true };
    }
  }

  async #make(context: CallerContext, row: WorktreeEntity, command: CreateCommand): Promise<CreatedView> {
    const made = await this.#ask(row, command);
    const { worktree, copied = [], setup = [], teardown = [] } = made;
    const argv = command.setup.length > 0 ? command.setup : setup;
    // Should this gateway end before it is started, that is what became of it.
    const setupFailure = argv.length > 0 ? 'interrupted' : null;
    const ready = await this.store.markReady(row, { ...madeFacts(worktree), setup: argv, teardown, setupFailure });
    if (ready === null) {
      // It took so long that it was given up; what nobody knows of must not stay.
      await this.runner.remove({ id: row.id }).catch(() => undefined);
      throw new DomainError('RUNNER_UNAVAILABLE', 'The worktree was not made in time.');
    }
    await this.commands.setup(context, ready);
    return { ...toView((await this.store.find(ready.tenant, ready.id)) ?? ready), copied };
  }

  /** Where it is not known whether the runner made it, the row stays: it is settled when the runner tells. */
  async #ask(row: WorktreeEntity, command: CreateCommand): Promise<CreateWorktreeResponse__Output> {
    const { base_ref, existing_branch, repository, name, fetch, copy } = command;
    try {
      return await this.runner.create({
        ...{ id: row.id, repository, name, fetch, copy },
        tenant: tenantFolder(row.tenant),
        ...(base_ref === undefined ? {} : { base_ref }),
        ...(existing_branch === undefined ? {} : { existing_branch }),
        branch_prefix: this.config.WORKTREE_BRANCH_PREFIX,
      });
    } catch (error) {
      const code = error instanceof DomainError ? error.code : 'INTERNAL_ERROR';
      if (code !== 'RUNNER_UNAVAILABLE') await this.store.markFailed(row, code);
      throw error;
    }
  }

  #requireSame(first: WorktreeEntity, command: CreateCommand): void {
    const { tenant, ownerProvider, ownerSubject, requestId } = first;
    const by = { tenant, ownerProvider, ownerSubject, requestId: requestId ?? '' };
    if (this.requests.matches(first.requestHash, by, contentOf(command))) return;
    throw new DomainError('IDEMPOTENCY_CONFLICT', 'This request_id was used for another request.');
  }

  /** The worktree once it is made; null when that failed. @throws DomainError RUNNER_UNAVAILABLE when it takes too long */
  async #settled({ tenant, id }: WorktreeEntity): Promise<WorktreeEntity | null> {
    const deadline = performance.now() + FIRST_CREATE_MS;
    for (;;) {
      const row = await this.store.find(tenant, id);
      if (row === null || row.state === 'failed') return null;
      if (row.state !== 'creating') return row;
      if (performance.now() > deadline) throw stillCreating();
      await setTimeout(LOOK_EVERY_MS);
    }
  }

  #newRow({ principal }: CallerContext, command: CreateCommand): WorktreeEntity {
    const { tenant, provider: ownerProvider, subject: ownerSubject } = principal;
    const { request_id: requestId = null, name, repository } = command;
    const by = { tenant, ownerProvider, ownerSubject };
    const now = new Date(this.clock.now());
    return {
      ...{ id: newId(), runner: this.runnerId, ...by, name, repository },
      ...{ state: 'creating', stateAt: now, createdAt: now, removedAt: null },
      ...{ path: '', branch: '', baseRef: '', baseCommit: '', adoptedBranch: false },
      ...{ setup: [], teardown: [], setupSessionId: null, setupFailure: null, failure: null },
      ...{
        requestId,
        requestHash: requestId === null ? null : this.requests.of({ ...by, requestId }, contentOf(command)),
      },
      ...{ rescueId: null, rescueRef: null, rescueUntil: null },
    };
  }
}

const contentOf = (command: CreateCommand): readonly unknown[] => [
  [command.repository, command.name, command.base_ref ?? null, command.existing_branch ?? null],
  [command.fetch, command.copy, command.setup],
];

const stillCreating = (): DomainError =>
  new DomainError('RUNNER_UNAVAILABLE', 'The worktree of this request_id is still being made; ask again.', {
    details: { retry_after: 2 },
  });

/** A folder's name for the tenant, of which two tenants have never the same. */
export function tenantFolder(tenant: string): string {
  if (/^[a-z0-9]{1,40}$/.test(tenant)) return tenant;
  const slug = tenant.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  // With a dash, which none of the names above has.
  return `t-${slug.slice(0, 24)}-${createHash('sha256').update(tenant).digest('hex').slice(0, 16)}`.replace(/-+/g, '-');
}
