import type { Binding } from './bindings.js';
import type { Permission } from './permissions.js';
import type { RoleBindingEntity } from './role-binding.entity.js';

/** A role, as `GET /policy/roles` shows it. */
export interface RoleView {
  readonly name: string;
  readonly built_in: boolean;
  readonly permissions: readonly Permission[];
}

/** A permission, as `GET /policy/permissions` shows it. */
export interface PermissionView {
  readonly name: Permission;
  /** The permission that does the same to other people's resources. */
  readonly any: Permission | null;
  /** The roles that hold it. */
  readonly roles: readonly string[];
}

/** A binding, as the wire shows it. One of the file has neither an id nor a maker, and is changed in the file only. */
export interface BindingView {
  readonly id: string | null;
  readonly tenant: string;
  readonly role: string;
  readonly member: Binding['member'];
  readonly source: 'file' | 'stored';
  readonly created_by: string | null;
  /** RFC 3339, UTC. */
  readonly created_at: string | null;
}

export const fileView = ({ tenant, role, member }: Binding): BindingView => ({
  ...{ id: null, tenant, role, member },
  ...{ source: 'file', created_by: null, created_at: null },
});

export const storedView = (row: RoleBindingEntity): BindingView => ({
  id: row.id,
  tenant: row.tenant,
  role: row.role,
  member: { kind: row.memberKind, provider: row.memberProvider, name: row.member },
  source: 'stored',
  created_by: row.createdBy,
  created_at: row.createdAt.toISOString(),
});
