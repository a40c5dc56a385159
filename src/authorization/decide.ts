import type { Principal } from '../kernel/principal.js';
import { type Grants, grantsOf } from './grants.js';
import { anyOf, type Permission, sightOf } from './permissions.js';
import type { Policy, Resource, ResourceShare } from './policy.js';
import { covers } from './scopes.js';

/** The decision and the rule behind it. */
export interface Verdict {
  readonly allow: boolean;
  /**
   * Allowed: `role:<role>`, `owner:<role>` (their own), `any:<permission>`, `share:<level>`. Refused: `other_tenant`,
   * `deny:<number of the rule>`, `not_owner`, `no_role:<permission>`, `beyond_owner:<permission>` (a key's owner does not
   * hold it), `scope`.
   */
  readonly rule: string;
  /** When refused: may the caller know that the resource exists? If not, the answer is "not found". */
  readonly visible: boolean;
}

/** What a share lets its grantee do, if the grantee's roles hold it. Signals, the end and sharing stay with the owner. */
const SHARED: Readonly<Record<ResourceShare['level'], readonly Permission[]>> = {
  view: ['pty:view'],
  input: ['pty:view', 'pty:input', 'pty:resize'],
};

/**
 * May this principal do this? Pure: the same question has the same answer. Deny by default.
 *
 * A permission never bypasses ownership; only its `_any` form does. Another tenant's resource does not exist.
 * @param resource null when the permission is not about one resource
 * @param now milliseconds since 1970, for shares that end
 */
export function decide(
  principal: Principal,
  permission: Permission,
  resource: Resource | null,
  policy: Policy,
  now: number,
): Verdict {
  const grants = grantsOf(principal, policy);
  if (resource === null) return about(grants, permission, null, { prefix: 'role', visible: true });
  if (resource.tenant !== principal.tenant) return deny('other_tenant', false);
  const owner = resource.ownerProvider === principal.provider && resource.ownerSubject === principal.subject;
  const shares = owner ? [] : sharesWith(principal, resource, now);
  const seesAll = sightOf(permission).some((sight) => holds(grants, sight, resource.id));
  const visible = owner || shares.length > 0 || seesAll;
  const rule = grants.denied.get(permission);
  if (rule !== undefined) return deny(`deny:${rule}`, visible);
  const wide = anyOf(permission);
  if (wide !== null && holds(grants, wide, resource.id)) return allow(`any:${wide}`);
  if (owner) return about(grants, permission, resource.id, { prefix: 'owner', visible });
  const share = shares.find(({ level }) => SHARED[level].includes(permission));
  if (share === undefined) return deny('not_owner', visible);
  const verdict = about(grants, permission, resource.id, { prefix: 'share', visible });
  return verdict.allow ? allow(`share:${share.level}`) : verdict;
}

/** Is it held, not denied, and let through by the scopes? */
const holds = (grants: Grants, permission: Permission, id: string | null): boolean =>
  grants.held.has(permission) && covers(grants.scopes, permission, id);

/** The verdict of roles and scopes alone, with the reason of a refusal. */
function about(
  grants: Grants,
  permission: Permission,
  id: string | null,
  { prefix, visible }: { readonly prefix: string; readonly visible: boolean },
): Verdict {
  const rule = grants.denied.get(permission);
  if (rule !== undefined) return deny(`deny:${rule}`, visible);
  if (grants.beyondOwner.has(permission)) return deny(`beyond_owner:${permission}`, visible);
  const role = grants.held.get(permission);
  if (role === undefined) return deny(`no_role:${permission}`, visible);
  return covers(grants.scopes, permission, id) ? allow(`${prefix}:${role}`) : deny('scope', visible);
}

/** The shares of the resource that are with this principal and have not ended. */
function sharesWith(principal: Principal, { shares }: Resource, now: number): readonly ResourceShare[] {
  const { groups } = principal.owner ?? principal;
  return shares.filter(
    ({ kind, provider, name, expiresAt }) =>
      provider === principal.provider &&
      (kind === 'subject' ? name === principal.subject : groups.includes(name)) &&
      (expiresAt === null || expiresAt.getTime() > now),
  );
}

const allow = (rule: string): Verdict => ({ allow: true, rule, visible: true });
const deny = (rule: string, visible: boolean): Verdict => ({ allow: false, rule, visible });
