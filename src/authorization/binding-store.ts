import { Injectable } from '@nestjs/common';
import { type EntityManager, In, LessThan } from 'typeorm';
import { TenantScope } from '../database/tenant-scope.js';
import { DomainError } from '../kernel/errors.js';
import type { Binding } from './bindings.js';
import { RoleBindingEntity } from './role-binding.entity.js';
import { namesOfRole } from './roles.js';
import { MAX_BINDINGS, StoredBindings } from './stored-bindings.js';

/** Bindings that one tenant can make. */
const MAX_OF_TENANT = 10_000;
/** Left free of what all gateways can load, for those that are made at the same moment. */
const ROOM_KEPT = 10_000;
/** First key of the advisory lock that serialises the counting of one tenant's bindings. */
const LIMIT_LOCK = 0x67617462;

/** A binding that is made: who makes it, its id and time are new. */
export type NewBinding = Pick<RoleBindingEntity, 'id' | 'createdBy' | 'createdAt'>;

/** The `role_bindings` table, as a tenant's administrators see and change it. */
@Injectable()
export class BindingStore {
  constructor(
    private readonly tenants: TenantScope,
    private readonly known: StoredBindings,
  ) {}

  /** A page of the tenant's bindings, by id, last first. */
  list(tenant: string, before: string | null, limit: number): Promise<RoleBindingEntity[]> {
    return this.tenants.within(tenant, (manager) =>
      manager.find(RoleBindingEntity, {
        where: { tenant, ...(before === null ? {} : { id: LessThan(before) }) },
        order: { id: 'DESC' },
        take: limit,
      }),
    );
  }

  /**
   * Makes the binding, unless there is the same one already, and returns the one that there is.
   * @throws DomainError BINDING_LIMIT
   */
  put(binding: Binding, made: NewBinding): Promise<RoleBindingEntity> {
    return this.tenants.within(binding.tenant, async (manager) => {
      await manager.query('SELECT pg_advisory_xact_lock($1, hashtext($2))', [LIMIT_LOCK, binding.tenant]);
      const before = await manager.findOneBy(RoleBindingEntity, anyNameOf(binding));
      if (before !== null) return before;
      await this.#requireRoom(manager, binding.tenant);
      const row: RoleBindingEntity = { ...columnsOf(binding), ...made };
      await manager.insert(RoleBindingEntity, row);
      return row;
    });
  }

  /** Takes the binding away; false when there is none. */
  async remove(binding: Binding): Promise<boolean> {
    const { affected } = await this.tenants.within(binding.tenant, (manager) =>
      manager.delete(RoleBindingEntity, anyNameOf(binding)),
    );
    return typeof affected === 'number' && affected > 0;
  }

  async #requireRoom(manager: EntityManager, tenant: string): Promise<void> {
    const ofTenant = await manager.countBy(RoleBindingEntity, { tenant });
    if (ofTenant < MAX_OF_TENANT && this.known.complete && this.known.count < MAX_BINDINGS - ROOM_KEPT) return;
    throw new DomainError(
      'BINDING_LIMIT',
      'There are as many bindings as are allowed. Bind groups rather than people.',
    );
  }
}

const columnsOf = ({ tenant, role, member }: Binding) => ({
  tenant,
  role,
  memberKind: member.kind,
  memberProvider: member.provider,
  member: member.name,
});

/** The binding under whichever name of its role it was stored. */
const anyNameOf = (binding: Binding) => ({ ...columnsOf(binding), role: In(namesOfRole(binding.role)) });
