import type { Principal } from '../kernel/principal.js';
import { memberKey, membersOf } from './bindings.js';
import type { Permission } from './permissions.js';
import { denialsMeeting } from './denial-index.js';
import type { Policy } from './policy.js';
import { canonicalRole } from './roles.js';
import { parseScopes, type Scope } from './scopes.js';

/** What a principal has under one policy, whatever it is about to do. */
export interface Grants {
  /** Roles that count, by canonical name; for a key its own. */
  readonly roles: readonly string[];
  /** Permission → the role that gives it. For a key what its owner has not is left out, and so is what is denied. */
  readonly held: ReadonlyMap<Permission, string>;
  /** What a key's roles hold and its owner does not. */
  readonly beyondOwner: ReadonlySet<Permission>;
  /** Denied permission → the number of the rule in the policy's list. */
  readonly denied: ReadonlyMap<Permission, number>;
  /** Null when the credential is not narrowed. */
  readonly scopes: readonly Scope[] | null;
}

/** What was found, and by what beside the deny rules. */
interface Found {
  readonly roles: Policy['roles'];
  readonly defaultRoles: Policy['defaultRoles'];
  /** Of the bindings of the principal's tenant, one of each index. */
  readonly versions: readonly number[];
  readonly grants: Grants;
}

/** By the file's deny rules first: what was found under a file goes with it, however long the principals live. */
const found = new WeakMap<Policy['denials'], WeakMap<Principal, Found>>();

/** What the principal has under the policy; found anew only when the file or a binding of the tenant is another. */
export function grantsOf(principal: Principal, policy: Policy): Grants {
  const { roles, defaultRoles, denials } = policy;
  const ofFile = found.get(denials) ?? new WeakMap<Principal, Found>();
  found.set(denials, ofFile);
  const versions = policy.bindings.map((index) => index.versionOf(principal.tenant));
  const last = ofFile.get(principal);
  const same =
    last?.roles === roles &&
    last.defaultRoles === defaultRoles &&
    last.versions.length === versions.length &&
    last.versions.every((version, at) => version === versions[at]);
  if (same) return last.grants;
  const grants = findGrants(principal, policy);
  ofFile.set(principal, { roles, defaultRoles, versions, grants });
  return grants;
}

function findGrants(principal: Principal, policy: Policy): Grants {
  const { owner } = principal;
  const members = membersOf(principal, (owner ?? principal).groups).map(memberKey);
  const standing = rolesOfStanding(principal.tenant, (owner ?? principal).roles, members, policy);
  const roles = owner === null ? standing : knownRoles(principal.roles, policy);
  // A deny rule that names a role of the owner meets the owner's keys too, whatever roles they carry.
  const denied = denialsOf(principal.tenant, [...roles, ...standing], members, policy);
  const held = holding(roles, policy);
  const ownerHolds = owner === null ? held : holding(standing, policy);
  const beyondOwner = new Set(owner === null ? [] : [...held.keys()].filter((each) => !ownerHolds.has(each)));
  for (const permission of [...beyondOwner, ...denied.keys()]) held.delete(permission);
  return { roles, held, beyondOwner, denied, scopes: parseScopes(principal.scopes) };
}

/** The roles of a subject: what vouched for it says and what is bound to it and its groups, else the default roles. */
function rolesOfStanding(
  tenant: string,
  roles: readonly string[],
  members: readonly string[],
  policy: Policy,
): readonly string[] {
  const bound = policy.bindings.flatMap((index) => index.rolesOf(tenant, members));
  const all = [...roles, ...bound];
  return knownRoles(all.length > 0 ? all : policy.defaultRoles, policy);
}

/** Without repetition, and without what the policy does not know. */
const knownRoles = (roles: readonly string[], policy: Policy): readonly string[] => [
  ...new Set(roles.map(canonicalRole).filter((role) => policy.roles.has(role))),
];

/** What these roles hold, each permission with the first role that gives it. */
function holding(roles: readonly string[], policy: Policy): Map<Permission, string> {
  const held = new Map<Permission, string>();
  for (const role of roles) {
    for (const permission of policy.roles.get(role) ?? []) if (!held.has(permission)) held.set(permission, role);
  }
  return held;
}

function denialsOf(
  tenant: string,
  roles: readonly string[],
  members: readonly string[],
  { denials }: Policy,
): ReadonlyMap<Permission, number> {
  const denied = new Map<Permission, number>();
  for (const number of denialsMeeting(denials, roles, members)) {
    const denial = denials[number];
    if (denial === undefined || (denial.tenant !== null && denial.tenant !== tenant)) continue;
    for (const permission of denial.permissions) if (!denied.has(permission)) denied.set(permission, number);
  }
  return denied;
}
