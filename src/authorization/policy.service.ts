import { Inject, Injectable } from '@nestjs/common';
import { SecurityFeed } from '../database/security-feed.js';
import { AuditTrail } from '../kernel/audit.js';
import type { Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import { newId } from '../kernel/ids.js';
import type { CallerContext } from '../kernel/request-context.js';
import { CLOCK } from '../kernel/tokens.js';
import { AuthorizationService } from './authorization.service.js';
import { BindingStore } from './binding-store.js';
import type { Binding } from './bindings.js';
import type { Effective } from './effective.js';
import { fallsBackBeyond, liftedBeyond } from './exceeds.js';
import { anyOf, PERMISSIONS } from './permissions.js';
import type { BindingCommand, BindingsQuery } from './policy.schema.js';
import { PolicyState } from './policy-state.js';
import { type BindingView, fileView, type PermissionView, type RoleView, storedView } from './policy-view.js';
import { BUILT_IN_ROLES, canonicalRole } from './roles.js';

/** A page of bindings. */
export interface BindingPage {
  readonly items: readonly BindingView[];
  readonly next_cursor: string | null;
}

/** The policy as its administrators see it, and the bindings that they make. */
@Injectable()
export class PolicyService {
  constructor(
    private readonly policy: PolicyState,
    private readonly authorization: AuthorizationService,
    private readonly store: BindingStore,
    private readonly feed: SecurityFeed,
    private readonly audit: AuditTrail,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  roles(): readonly RoleView[] {
    return [...this.policy.current.roles].map(([name, permissions]) => ({
      name,
      built_in: BUILT_IN_ROLES.has(name),
      permissions: PERMISSIONS.filter((permission) => permissions.has(permission)),
    }));
  }

  permissions(): readonly PermissionView[] {
    const roles = [...this.policy.current.roles];
    return PERMISSIONS.map((name) => ({
      name,
      any: anyOf(name),
      roles: roles.flatMap(([role, permissions]) => (permissions.has(name) ? [role] : [])),
    }));
  }

  effective({ principal }: CallerContext): Effective {
    return this.authorization.effective(principal);
  }

  /** The bindings of the caller's tenant: first those of the file in its order, then the stored ones, last first. */
  async bindings({ principal: { tenant } }: CallerContext, { limit, cursor }: BindingsQuery): Promise<BindingPage> {
    if ('stored' in cursor) {
      const { items, next_cursor } = await this.#storedPage(tenant, cursor.stored, limit);
      return { items, next_cursor };
    }
    const ofFile = this.policy.ofFile.bindings.filter((binding) => binding.tenant === tenant);
    const end = Math.min(cursor.file + limit, ofFile.length);
    const items = ofFile.slice(cursor.file, end).map(fileView);
    const room = limit - items.length;
    const stored = await this.#storedPage(tenant, null, room);
    const more = end < ofFile.length || (room === 0 && stored.more);
    return { items: [...items, ...stored.items], next_cursor: more ? `file:${end}` : stored.next_cursor };
  }

  /**
   * Binds a role of the policy in the caller's tenant; what is bound already stays as it is.
   * @throws DomainError INVALID_ARGUMENT for an unknown role, PERMISSION_DENIED when it holds more than the caller has,
   *   BINDING_LIMIT
   */
  assign(context: CallerContext, command: BindingCommand): Promise<BindingView> {
    const { principal } = context;
    const binding = bindingOf(context, command);
    const attempt = { action: 'policy.role_assigned', ...named(binding) } as const;
    return this.audit.outcome(context, attempt, async () => {
      this.#requireKnown(binding.role);
      const over = this.authorization.exceeds(principal, { roles: [binding.role], scopes: null });
      if (over !== null) throw tooMuch('binding_exceeds_caller');
      const made = { id: newId(), createdBy: principal.subject, createdAt: new Date(this.clock.now()) };
      const row = await this.store.put(binding, made);
      await this.feed.catchUp();
      return storedView(row);
    });
  }

  /**
   * Takes a stored binding of the caller's tenant away, also one of a role that is no longer known.
   * @throws DomainError NOT_FOUND when there is none, PERMISSION_DENIED when deny rules for the role refuse to its
   *   holders what the caller has not either, or when the default roles, which take its place, hold more than the caller
   */
  remove(context: CallerContext, command: BindingCommand): Promise<void> {
    const binding = bindingOf(context, command);
    const attempt = { action: 'policy.role_removed', ...named(binding) } as const;
    return this.audit.outcome(context, attempt, async () => {
      const { principal } = context;
      const policy = this.policy.current;
      const gained = liftedBeyond(principal, binding.role, policy) ?? fallsBackBeyond(principal, binding, policy);
      if (gained !== null) throw tooMuch('removal_exceeds_caller');
      if (!(await this.store.remove(binding))) throw new DomainError('NOT_FOUND', 'There is no such binding.');
      await this.feed.catchUp();
    });
  }

  async #storedPage(tenant: string, before: string | null, limit: number): Promise<BindingPage & { more: boolean }> {
    // One more than asked tells whether there is a next page.
    const rows = await this.store.list(tenant, before, limit + 1);
    const page = rows.slice(0, limit);
    const more = rows.length > page.length;
    return { items: page.map(storedView), next_cursor: more ? (page.at(-1)?.id ?? null) : null, more };
  }

  #requireKnown(role: string): void {
    if (this.policy.current.roles.has(role)) return;
    const fields = [{ field: 'role', problem: 'there is no such role' }];
    throw new DomainError('INVALID_ARGUMENT', 'role: there is no such role', { details: { fields } });
  }
}

/** The tenant is always the caller's. */
const bindingOf = ({ principal }: CallerContext, { role, member }: BindingCommand): Binding => ({
  tenant: principal.tenant,
  role: canonicalRole(role),
  member,
});

/** What goes on record of a binding. */
const named = ({ role, member }: Binding) => ({
  resource: `role:${role}`,
  metadata: {
    member_kind: member.kind,
    member_provider: member.provider,
    member: member.kind === 'group' ? member.name : { provider: member.provider, subject: member.name },
  },
});

const tooMuch = (reason: string): DomainError =>
  new DomainError('PERMISSION_DENIED', 'Nobody gives more than they have themselves.', { reason });
