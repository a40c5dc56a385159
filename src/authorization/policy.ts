import type { Principal } from '../kernel/principal.js';
import { anyOf, isPermission, type Permission } from './permissions.js';
import { roleHolds } from './roles.js';

/** A thing that has an owner. What features tell the policy about a session; nothing else of it matters here. */
export interface Resource {
  readonly kind: string;
  readonly id: string;
  readonly tenant: string;
  readonly ownerProvider: string;
  readonly ownerSubject: string;
}

/** The decision and the rule behind it. */
export interface Verdict {
  readonly allow: boolean;
  readonly rule: string;
  /** When refused: may the caller know that the resource exists? If not, the answer is "not found". */
  readonly visible: boolean;
}

/**
 * May this principal do this? Pure: the same question has the same answer. Deny by default.
 *
 * A permission never bypasses ownership; only its `_any` form does. Another tenant's resource does not exist.
 * @param resource null when the permission is not about one resource
 */
export function decide(principal: Principal, permission: Permission, resource: Resource | null): Verdict {
  if (resource === null) {
    return holds(principal, permission, null) ? allow(`role:${permission}`) : deny(`no_role:${permission}`, true);
  }
  if (resource.tenant !== principal.tenant) return deny('other_tenant', false);
  const wide = anyOf(permission);
  if (wide !== null && holds(principal, wide, resource)) return allow(`any:${wide}`);
  const owner = resource.ownerProvider === principal.provider && resource.ownerSubject === principal.subject;
  const visible = owner || mayViewAll(principal, permission, resource);
  if (!owner) return deny('not_owner', visible);
  return holds(principal, permission, resource) ? allow(`owner:${permission}`) : deny(`no_role:${permission}`, visible);
}

/** Does the caller hold the `view_any` permission of the area that `permission` belongs to? */
function mayViewAll(principal: Principal, permission: Permission, resource: Resource): boolean {
  const view = `${permission.slice(0, permission.indexOf(':'))}:view_any`;
  return isPermission(view) && holds(principal, view, resource);
}

/** Roles ∩ scopes: scopes only narrow. */
function holds(principal: Principal, permission: Permission, resource: Resource | null): boolean {
  if (!principal.roles.some((role) => roleHolds(role, permission))) return false;
  return principal.scopes === null || principal.scopes.some((scope) => covers(scope, permission, resource));
}

/** `pty:view`, `pty:*`, or either limited to one resource with `@<id>`. */
function covers(scope: string, permission: Permission, resource: Resource | null): boolean {
  const at = scope.indexOf('@');
  const name = at < 0 ? scope : scope.slice(0, at);
  if (at >= 0 && scope.slice(at + 1) !== resource?.id) return false;
  return name === permission || (name.endsWith(':*') && permission.startsWith(name.slice(0, -1)));
}

const allow = (rule: string): Verdict => ({ allow: true, rule, visible: true });
const deny = (rule: string, visible: boolean): Verdict => ({ allow: false, rule, visible });
