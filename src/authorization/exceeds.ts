import type { Principal } from '../kernel/principal.js';
import { anyOf, PERMISSIONS, type Permission } from './permissions.js';
import { type Grants, grantsOf } from './grants.js';
import { type Binding, memberKey } from './bindings.js';
import type { Policy } from './policy.js';
import { canonicalRole } from './roles.js';
import { covers, parseScopes } from './scopes.js';

/** What somebody asks for: a key, a token, or for somebody else a role. */
export interface Wanted {
  /** Null: what the caller has. */
  readonly roles: readonly string[] | null;
  /** Null: not narrowed. */
  readonly scopes: readonly string[] | null;
}

/**
 * Would this credential be able to do what the caller is not? Nobody hands out more than they have.
 *
 * Deny rules that meet everybody of the tenant, or the wanted roles, are taken to meet the credential as well; others
 * are not, since it may come to act for somebody else.
 * @returns the first permission that the caller lacks, with `@<resource>` where it was asked for one only; `*` when the
 *   caller is narrowed and the credential would not be; null when it is no more than the caller has
 */
export function exceeds(caller: Principal, wanted: Wanted, policy: Policy): string | null {
  const grants = grantsOf(caller, policy);
  const credential = wanted.roles === null ? sameAs(grants) : ofRoles(caller.tenant, wanted.roles, policy);
  const firstLacking = (asked: ReadonlySet<Permission>, resource: string | null): Permission | undefined =>
    PERMISSIONS.find(
      (each) => asked.has(each) && credential.held.has(each) && lacks(grants, credential, each, resource),
    );
  const scopes = parseScopes(wanted.scopes);
  if (scopes === null) return firstLacking(credential.held, null) ?? (caller.scopes === null ? null : '*');
  for (const { permissions, resource } of scopes) {
    const lacking = firstLacking(permissions, resource);
    if (lacking !== undefined) return resource === null ? lacking : `${lacking}@${resource}`;
  }
  return null;
}

/** What the wanted credential would hold, and what would be denied to it, as far as is certain. */
interface Credential {
  readonly held: ReadonlySet<Permission>;
  readonly denied: ReadonlySet<Permission>;
}

const sameAs = ({ held, denied }: Grants): Credential => ({
  held: new Set(held.keys()),
  denied: new Set(denied.keys()),
});

function ofRoles(tenant: string, names: readonly string[], policy: Policy): Credential {
  const roles = names.map(canonicalRole);
  const rules = policy.denials.filter(
    (denial) =>
      (denial.tenant === null || denial.tenant === tenant) &&
      (denial.whom === null || roles.some((role) => denial.whom?.roles.has(role))),
  );
  const denied = new Set(rules.flatMap(({ permissions }) => [...permissions]));
  const held = new Set(roles.flatMap((role) => [...(policy.roles.get(role) ?? [])]));
  return { held: new Set([...held].filter((permission) => !denied.has(permission))), denied };
}

/**
 * Is it something that the caller has not, on this resource or (null) on all? So is an `_any` form whose plain form is
 * denied to the caller but would not be to the credential: it would do the same.
 */
function lacks(grants: Grants, credential: Credential, permission: Permission, resource: string | null): boolean {
  if (!grants.held.has(permission) || !covers(grants.scopes, permission, resource)) return true;
  return [...grants.denied.keys()].some((denied) => anyOf(denied) === permission && !credential.denied.has(denied));
}

/**
 * The first permission that the caller lacks and that taking this role away could give back to somebody: what deny rules
 * refuse to those who have the role. Null when there is none.
 */
export function liftedBeyond(caller: Principal, role: string, policy: Policy): Permission | null {
  const grants = grantsOf(caller, policy);
  const lifted = policy.denials
    .filter(({ whom }) => whom?.roles.has(canonicalRole(role)) === true)
    .flatMap(({ permissions }) => [...permissions]);
  return lifted.find((permission) => !grants.held.has(permission) || !covers(grants.scopes, permission, null)) ?? null;
}

/**
 * The first thing that the caller lacks and that taking this stored binding away could give: those whose only role it was
 * have the default roles afterwards. What else a token or another group gives them is not known here, and not relied on.
 * @returns as {@link exceeds}
 */
export function fallsBackBeyond(caller: Principal, { tenant, role, member }: Binding, policy: Policy): string | null {
  if (policy.defaultRoles.length === 0) return null;
  const bound = policy.bindings.flatMap((index) => index.rolesOf(tenant, [memberKey(member)]).map(canonicalRole));
  // The same role can be bound in the file too, where it stays.
  const at = bound.indexOf(canonicalRole(role));
  const left = bound.filter((_, index) => index !== at);
  return at < 0 || left.length > 0 ? null : exceeds(caller, { roles: policy.defaultRoles, scopes: null }, policy);
}
