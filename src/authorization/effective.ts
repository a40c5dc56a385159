import type { Principal } from '../kernel/principal.js';
import { grantsOf } from './grants.js';
import { type Permission, PERMISSIONS } from './permissions.js';
import type { Policy } from './policy.js';

/** What a principal has. */
export interface Effective {
  /** The roles that count, by canonical name. */
  readonly roles: readonly string[];
  /** `pty:view`, or `pty:view@<id>` where a scope limits it to one resource. */
  readonly permissions: readonly string[];
}

/** Roles ∩ scopes ∩ (for a key) what its owner has, less what is denied; in the order of the list of permissions. */
export function effectiveOf(principal: Principal, policy: Policy): Effective {
  const { roles, held, scopes } = grantsOf(principal, policy);
  const named = (permission: Permission): string[] => {
    if (scopes === null) return [permission];
    const letting = scopes.filter(({ permissions }) => permissions.has(permission));
    if (letting.some(({ resource }) => resource === null)) return [permission];
    return [...new Set(letting.map(({ resource }) => `${permission}@${String(resource)}`))];
  };
  return { roles, permissions: PERMISSIONS.filter((permission) => held.has(permission)).flatMap(named) };
}
