import { Injectable } from '@nestjs/common';
import { AuthorizationService } from '../authorization/authorization.service.js';
import type { GetDiffResponse__Output } from '../generated/gatehouse/runner/v1/GetDiffResponse.js';
import type { CallerContext } from '../kernel/request-context.js';
import type { Resource } from '../authorization/policy.js';
import type { SessionEntity } from '../pty/session.entity.js';
import { SessionStore } from '../pty/session-store.js';
import { RunnerWorktreeClient } from '../runner-link/runner-worktree-client.js';
import {
  type DiffView,
  type LogView,
  type StatusView,
  toDiff,
  toLog,
  toRepository,
  toRescue,
  toStatus,
  type RepositoryView,
  type RescueView,
} from './git-views.js';
import { repositoryResource } from './repository-resource.js';
import { WorktreeAccess } from './worktree-access.js';
import type {
  DiffCommand,
  ListCommand,
  LogCommand,
  RescuesCommand,
  StatusCommand,
  WorktreeCommand,
} from './worktree.schema.js';
import { WorktreeStore } from './worktree-store.js';
import { toView, type WorktreeView } from './worktree-view.js';

/** Sessions that a status names. */
const MAX_SESSIONS = 100;

export interface Page<T> {
  readonly items: readonly T[];
  readonly next_cursor: string | null;
}

export interface Repositories {
  readonly items: readonly RepositoryView[];
  readonly truncated: boolean;
}

/** What can be seen of worktrees, on any transport. */
@Injectable()
export class WorktreeReadingService {
  constructor(
    private readonly store: WorktreeStore,
    private readonly access: WorktreeAccess,
    private readonly runner: RunnerWorktreeClient,
    private readonly sessions: SessionStore,
    private readonly authorization: AuthorizationService,
  ) {}

  /** Those that the caller may make worktrees of. @throws DomainError PERMISSION_DENIED when he may of none, whatever there is */
  async repositories(context: CallerContext): Promise<Repositories> {
    const { principal } = context;
    const { permissions } = this.authorization.effective(principal);
    // With `worktree:create@<repository>` there may be one; without either nobody has the runner look through its disk.
    const narrowed = permissions.some((each) => each.startsWith('worktree:create@'));
    if (!narrowed) this.authorization.require(context, 'worktree:create', null);
    const { repositories = [], truncated = false } = await this.runner.repositories();
    const may = (name: string): boolean =>
      this.authorization.allows(principal, 'worktree:create', repositoryResource(principal, name));
    const items = repositories.map(toRepository).filter(({ name, path }) => may(name) || may(path));
    if (items.length === 0) this.authorization.require(context, 'worktree:create', null);
    return { items, truncated };
  }

  async get(context: CallerContext, { id }: WorktreeCommand): Promise<WorktreeView> {
    return toView(await this.access.find(context, id));
  }

  /** The caller's own, or the whole tenant's with `worktree:view_any`. */
  async list(context: CallerContext, command: ListCommand): Promise<Page<WorktreeView>> {
    const { principal } = context;
    const { limit } = command;
    // One more than asked tells whether there is a next page.
    const rows = await this.store.list(principal.tenant, this.#whose(context), { ...command, limit: limit + 1 });
    const shown = rows.slice(0, limit);
    return { items: shown.map(toView), next_cursor: rows.length > limit ? (shown.at(-1)?.id ?? null) : null };
  }

  /** What is changed in it, and what lives in it. */
  async status(context: CallerContext, { id, disk_use }: StatusCommand): Promise<StatusView> {
    const { principal } = context;
    await this.access.ready(context, id);
    const live = await this.sessions.liveIn(principal.tenant, id);
    const seen = live.filter((row) => this.authorization.allows(principal, 'pty:view', sessionResource(row)));
    return toStatus(await this.runner.status({ id, disk_use }), {
      live_sessions: live.length,
      sessions: seen
        .slice(0, MAX_SESSIONS)
        .map(({ id: session, name, ownerSubject: owner }) => ({ id: session, name, owner })),
    });
  }

  async diff(context: CallerContext, { id, against, path }: DiffCommand): Promise<DiffView> {
    await this.access.ready(context, id);
    const answer: GetDiffResponse__Output = await this.runner.diff({
      id,
      ...(against === undefined ? {} : { against }),
      ...(path === undefined ? {} : { path }),
    });
    return toDiff(answer);
  }

  async log(context: CallerContext, { id, limit, after, since_base }: LogCommand): Promise<LogView> {
    await this.access.ready(context, id);
    return toLog(await this.runner.log({ id, limit, since_base, ...(after === undefined ? {} : { after }) }));
  }

  /** What forced removals have put aside and the runner still keeps. */
  async rescues(context: CallerContext, command: RescuesCommand): Promise<Page<RescueView>> {
    const { limit } = command;
    const rows = await this.store.rescued(context.principal.tenant, this.#whose(context), {
      ...command,
      limit: limit + 1,
    });
    const kept = new Map((await this.runner.rescues()).map((rescue) => [rescue.id, rescue]));
    const shown = rows.slice(0, limit);
    const items = shown.flatMap((row) => {
      const rescue = kept.get(row.rescueId ?? '');
      return rescue === undefined ? [] : [toRescue(rescue, row)];
    });
    return { items, next_cursor: rows.length > limit ? (shown.at(-1)?.id ?? null) : null };
  }

  /** Whose worktrees the caller sees in a list; null: everybody's of the tenant. */
  #whose({ principal }: CallerContext): CallerContext['principal'] | null {
    return this.authorization.allows(principal, 'worktree:view_any', null) ? null : principal;
  }
}

const sessionResource = ({ id, tenant, ownerProvider, ownerSubject }: SessionEntity): Resource => ({
  ...{ kind: 'session', id, tenant, ownerProvider, ownerSubject },
  shares: [],
});
