/**
 * How long a decision takes with 10,000 bindings, on what `npm run build` made: node test/bench/policy.mjs
 * Each decision is timed by itself, so a figure includes the clock's own cost.
 */
import { BindingIndex } from '../../dist/src/authorization/bindings.js';
import { decide } from '../../dist/src/authorization/decide.js';
import { PERMISSIONS } from '../../dist/src/authorization/permissions.js';
import { BUILT_IN_ROLES } from '../../dist/src/authorization/roles.js';

const BINDINGS = 10_000;
const DECISIONS = 200_000;

const roles = [...BUILT_IN_ROLES.keys()];
const bindings = Array.from({ length: BINDINGS }, (_, number) => ({
  tenant: `tenant-${String(number % 7)}`,
  role: roles[number % roles.length],
  member: {
    kind: number % 2 === 0 ? 'group' : 'subject',
    provider: 'okta',
    name: number % 2 === 0 ? `group-${String(number)}` : `subject-${String(number)}`,
  },
}));
const member = (name) => JSON.stringify(['subject', 'okta', name]);
const policy = {
  roles: BUILT_IN_ROLES,
  bindings: [BindingIndex.of(bindings.slice(0, BINDINGS / 2)), BindingIndex.of(bindings.slice(BINDINGS / 2))],
  defaultRoles: ['viewer'],
  denials: Array.from({ length: 20 }, (_, number) => ({
    permissions: new Set(['pty:kill']),
    tenant: null,
    whom: { members: new Set([member(`subject-${String(number * 11)}`)]), roles: new Set() },
  })),
};

const principal = (number) => ({
  ...{ subject: `subject-${String(number % BINDINGS)}`, tenant: `tenant-${String(number % 7)}`, provider: 'okta' },
  roles: number % 3 === 0 ? ['user'] : [],
  groups: Array.from({ length: 20 }, (_, index) => `group-${String((number * 31 + index * 2) % BINDINGS)}`),
  scopes: number % 4 === 0 ? ['pty:*', 'agent:view', 'worktree:view@w1'] : null,
  ...{ method: 'jwt', kind: 'user', credentialId: null, keyId: null, owner: null, issuedAt: null, expiresAt: null },
});
const resource = (number) => ({
  ...{ kind: 'session', id: `s${String(number)}`, tenant: `tenant-${String(number % 7)}`, ownerProvider: 'okta' },
  ownerSubject: `subject-${String((number * 3) % BINDINGS)}`,
  shares: [{ kind: 'group', provider: 'okta', name: `group-${String(number * 2)}`, level: 'input', expiresAt: null }],
});

/** Times DECISIONS decisions, each by a caller that `caller` gives. */
function measure(name, caller) {
  const took = new Float64Array(DECISIONS);
  let allowed = 0;
  for (let number = 0; number < DECISIONS; number += 1) {
    const who = caller(number);
    const permission = PERMISSIONS[number % PERMISSIONS.length];
    const on = number % 3 === 0 ? null : resource(number);
    const began = performance.now();
    if (decide(who, permission, on, policy, 0).allow) allowed += 1;
    took[number] = performance.now() - began;
  }
  took.sort();
  const at = (share) => took[Math.floor(DECISIONS * share)] * 1000;
  const figures = [0.5, 0.99, 0.999].map((share) => `p${String(share * 100)} ${at(share).toFixed(2)} µs`).join('  ');
  console.log(`${name}: ${figures}  (${String(allowed)} of ${String(DECISIONS)} allowed)`);
}

const known = Array.from({ length: 1000 }, (_, number) => principal(number));
const warm = (number) => known[number % known.length];
for (let number = 0; number < 20_000; number += 1) decide(warm(number), 'pty:view', resource(number), policy, 0);
measure(`a caller seen before, ${String(BINDINGS)} bindings`, warm);
measure(`a new caller every time, ${String(BINDINGS)} bindings`, principal);

/** The worst that limits allow: 1,000 people with 256 groups each, 1,000 deny rules, and a binding that changes. */
const busy = Array.from({ length: 1000 }, (_, number) => ({
  ...principal(number),
  ...{ tenant: 'tenant-0', groups: Array.from({ length: 256 }, (_, index) => `group-${String(number + index)}`) },
}));
const denials = Array.from({ length: 1000 }, (_, number) => ({
  permissions: new Set(['pty:kill']),
  ...{ tenant: null, whom: { members: new Set([member(`nobody-${String(number)}`)]), roles: new Set() } },
}));
function again(name, by) {
  const began = performance.now();
  for (const who of busy) decide(who, 'pty:view', null, by, 0);
  console.log(`1,000 people decided about, ${name}: ${(performance.now() - began).toFixed(0)} ms`);
}
const crowded = { ...policy, denials };
const changedIn = (tenant) => {
  const added = [{ tenant, role: 'viewer', member: { kind: 'subject', provider: 'okta', name: 'new' } }];
  return { ...crowded, bindings: [crowded.bindings[0], crowded.bindings[1].with({ added, removed: [] })] };
};
again('for the first time', crowded);
again('after a change in another tenant', changedIn('tenant-1'));
again('after a change in their tenant', changedIn('tenant-0'));
