import type { Principal } from '../kernel/principal.js';
import { memberKey, membersOf } from './bindings.js';
import { decide } from './decide.js';
import { grantsOf } from './grants.js';
import { anyOf, type Permission } from './permissions.js';
import type { Policy, Resource } from './policy.js';

/** A verdict and how it came about. */
export interface Explanation {
  readonly allow: boolean;
  /** As in `Verdict`. */
  readonly rule: string;
  /** The roles that count. */
  readonly roles: readonly string[];
  /** Sentences for people: where each role comes from, who holds the permission, what stands in the way. */
  readonly reasons: readonly string[];
}

/** Where bindings of a policy are, in the order of its indexes. */
const SOURCES = ['the policy file', 'a stored binding'];

/** Explains the decision that {@link decide} makes. */
export function explain(
  principal: Principal,
  permission: Permission,
  resource: Resource | null,
  policy: Policy,
  now: number,
): Explanation {
  const { allow, rule } = decide(principal, permission, resource, policy, now);
  const { roles } = grantsOf(principal, policy);
  const reasons = [
    ...sourcesOf(principal, policy),
    ...ofPermission(principal, permission, policy),
    ...(resource === null ? [] : [ofOwner(principal, resource)]),
    inWords(rule),
  ];
  return { allow, rule, roles, reasons };
}

/** What each kind of rule says; it is given what follows the colon. */
const RULES: Readonly<Record<string, (what: string) => string>> = {
  role: (role) => `Allowed: the role ${role} holds it.`,
  owner: (role) => `Allowed: the role ${role} holds it, on what is one’s own.`,
  any: (permission) => `Allowed: ${permission} reaches every resource of the tenant.`,
  share: (level) => `Allowed: its owner shared it, level ${level}.`,
  other_tenant: () => 'Refused: the resource is another tenant’s.',
  deny: (number) => `Refused: rule ${number} under "deny" of the policy file, counted from 0, wins over every role.`,
  not_owner: () => 'Refused: it is somebody else’s, and not shared for this.',
  no_role: (permission) => `Refused: no role that counts holds ${permission}.`,
  beyond_owner: (permission) => `Refused: the owner of the key does not hold ${permission} at present.`,
  scope: () => 'Refused: the scopes of the credential do not cover it.',
};

function inWords(rule: string): string {
  const [kind = '', ...what] = rule.split(':');
  return RULES[kind]?.(what.join(':')) ?? rule;
}

function sourcesOf(principal: Principal, policy: Policy): string[] {
  const { owner, tenant } = principal;
  const standing = owner ?? principal;
  const bound = policy.bindings.flatMap((index, at) =>
    membersOf(principal, standing.groups).flatMap((member) =>
      index
        .rolesOf(tenant, [memberKey(member)])
        .map((role) => ({ role, why: `bound to the ${member.kind} ${member.name} by ${SOURCES[at] ?? 'a binding'}` })),
    ),
  );
  const vouched = standing.roles.map((role) => ({ role, why: 'vouched for by the token' }));
  const all = [...vouched, ...bound];
  const roles = all.length > 0 ? all : policy.defaultRoles.map((role) => ({ role, why: 'a default role' }));
  const whose = owner === null ? 'Role' : 'Role of the owner';
  return [
    ...(owner === null ? [] : principal.roles.map((role) => `Role of the key: ${role}.`)),
    ...(roles.length === 0 ? [`${whose}: none.`] : roles.map(({ role, why }) => `${whose}: ${role}, ${why}.`)),
  ];
}

function ofPermission(principal: Principal, permission: Permission, policy: Policy): string[] {
  const { held, scopes } = grantsOf(principal, policy);
  const wide = anyOf(permission);
  const asked = wide === null ? [permission] : [permission, wide];
  return [
    ...asked.map((each) => {
      const role = held.get(each);
      return role === undefined ? `${each} is not held.` : `${each} is held through the role ${role}.`;
    }),
    scopes === null ? 'No scopes narrow it.' : `Narrowed to the scopes: ${principal.scopes?.join(', ') || 'none'}.`,
  ];
}

const ofOwner = (principal: Principal, { ownerProvider, ownerSubject, kind }: Resource): string =>
  ownerProvider === principal.provider && ownerSubject === principal.subject
    ? `The ${kind} is their own.`
    : `The ${kind} is owned by ${ownerSubject} of ${ownerProvider}.`;
