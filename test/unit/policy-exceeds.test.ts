import { describe, expect, it } from '@jest/globals';
import { type Binding, memberKey } from '../../src/authorization/bindings.js';
import { decide } from '../../src/authorization/decide.js';
import { exceeds, fallsBackBeyond, liftedBeyond, type Wanted } from '../../src/authorization/exceeds.js';
import { anyOf, PERMISSIONS, type Permission } from '../../src/authorization/permissions.js';
import type { Denial, Policy, Resource } from '../../src/authorization/policy.js';
import { BUILT_IN_ROLES } from '../../src/authorization/roles.js';
import type { Principal } from '../../src/kernel/principal.js';
import { policy, principal, resource, share } from '../support/policy.js';

const NOW = Date.UTC(2026, 0, 1);
const ROUNDS = 1500;

/** Numbers that are the same in every run (mulberry32). */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const CUSTOM: readonly Permission[] = ['pty:view', 'pty:view_any', 'pty:kill', 'api_key:manage_any', 'audit:read'];
const ROLES = [...BUILT_IN_ROLES.keys(), 'custom', 'readonly', 'unheard-of'];
const SCOPES = [
  ...[
    'pty:view',
    'pty:*',
    'pty:kill',
    'pty:view_any',
    'pty:view@s1',
    'pty:*@s2',
    'pty:kill_any@s1',
    'agent:*',
    'audit:read',
  ],
  ...['api_key:*', 'api_key:view@s1', '*', 'pty:view@', 'policy:*'],
];
const RESOURCES: readonly (Resource | null)[] = [
  null,
  resource(),
  resource({ id: 's2' }),
  resource({ ownerSubject: 'bob' }),
  resource({ id: 's3', ownerSubject: 'bob' }),
  resource({ id: 's2', ownerSubject: 'bob', shares: [share({ level: 'input' })] }),
  resource({ ownerSubject: 'bob', shares: [share({ kind: 'group', name: 'ops' })] }),
  resource({ tenant: 'other' }),
];

/** Made-up cases of everything that has a part in a decision. */
class Cases {
  readonly #below: (below: number) => number;

  constructor(seed: number) {
    this.#below = random(seed);
  }

  some<T>(from: readonly T[], most: number): T[] {
    return Array.from({ length: this.#below(most + 1) }, () => from[this.#below(from.length)] as T);
  }

  often = (times: number, of: number): boolean => this.#below(of) < times;

  policy(): Policy {
    const bindings = this.some(ROLES, 2).map((role): Binding => ({
      ...{ tenant: 'default', role },
      member: {
        provider: 'gatehouse',
        ...(this.often(1, 2) ? { kind: 'group', name: 'ops' } : { kind: 'subject', name: 'alice' }),
      },
    }));
    return policy(
      {
        roles: new Map([...BUILT_IN_ROLES, ['custom', new Set(CUSTOM)]]),
        defaultRoles: this.some(ROLES, 1),
        denials: this.some([0, 1], 2).map(() => this.denial()),
      },
      bindings,
    );
  }

  denial(): Denial {
    const members = this.some([memberKey({ kind: 'subject', provider: 'gatehouse', name: 'alice' })], 1);
    const roles = new Set(this.some([...BUILT_IN_ROLES.keys()], 2));
    return {
      permissions: new Set(this.some(PERMISSIONS, 4)),
      tenant: this.often(1, 3) ? 'default' : null,
      whom: this.often(1, 4) ? null : { members: new Set(members), roles },
    };
  }

  caller(): Principal {
    const standing = { roles: this.some(ROLES, 2), groups: this.some(['ops'], 1) };
    const scopes = this.often(1, 2) ? null : this.some(SCOPES, 4);
    if (this.often(1, 2)) return principal({ ...standing, scopes });
    return principal({ roles: this.some(ROLES, 2), scopes, keyId: 'k', method: 'api_key', owner: standing });
  }

  wanted(): Wanted {
    return {
      roles: this.often(1, 4) ? null : this.some(ROLES, 2),
      scopes: this.often(1, 4) ? null : this.some(SCOPES, 3),
    };
  }
}

/** The credential that was wanted: a key of the caller's own, or a token with the caller's roles. */
const minted = (caller: Principal, { roles, scopes }: Wanted): Principal => ({
  ...caller,
  scopes,
  ...(roles === null
    ? {}
    : { roles, keyId: 'new', owner: caller.owner ?? { roles: caller.roles, groups: caller.groups } }),
});

describe('nobody hands out more than they have', () => {
  it('what is not said to exceed never may what the caller may not, over made-up policies', () => {
    let granted = 0;
    for (let seed = 0; seed < ROUNDS; seed += 1) {
      const cases = new Cases(seed);
      const [by, caller, wanted] = [cases.policy(), cases.caller(), cases.wanted()];
      if (exceeds(caller, wanted, by) !== null) continue;
      const made = minted(caller, wanted);
      for (const permission of PERMISSIONS) {
        for (const on of RESOURCES) {
          if (!decide(made, permission, on, by, NOW).allow) continue;
          granted += 1;
          if (decide(caller, permission, on, by, NOW).allow) continue;
          throw new Error(`case ${seed}: ${permission} on ${JSON.stringify(on)} was handed out and not held`);
        }
      }
    }
    expect(granted).toBeGreaterThan(ROUNDS);
  });

  it('what is said to exceed would indeed be more, where no rule denies', () => {
    let refused = 0;
    for (let seed = 0; seed < ROUNDS; seed += 1) {
      const cases = new Cases(seed);
      const by = { ...cases.policy(), denials: [] };
      const [caller, wanted] = [cases.caller(), cases.wanted()];
      const over = exceeds(caller, wanted, by);
      if (over === null || over === '*') continue;
      refused += 1;
      const [permission, id] = over.split('@') as [Permission, string | undefined];
      const on = id === undefined ? null : resource({ id });
      const wide = anyOf(permission);
      if (wide !== null && decide(caller, wide, on, by, NOW).allow) continue;
      expect([seed, over, decide(caller, permission, on, by, NOW).allow]).toEqual([seed, over, false]);
      if (wanted.roles === null) continue;
      const unbounded = { ...minted(caller, wanted), owner: { roles: ['admin'], groups: [] } };
      expect([seed, over, decide(unbounded, permission, on, by, NOW).allow]).toEqual([seed, over, true]);
    }
    expect(refused).toBeGreaterThan(ROUNDS / 10);
  });

  const user = principal();
  it.each([
    ['a role that holds more', user, { roles: ['operator'], scopes: null }, 'pty:list_all'],
    ['a role that holds as much', user, { roles: ['user'], scopes: null }, null],
    ['a role that holds less', user, { roles: ['viewer'], scopes: null }, null],
    ['a role that is more, narrowed to what the caller has', user, { roles: ['admin'], scopes: ['pty:view'] }, null],
    ['a role that is more, narrowed to something else', user, { roles: ['admin'], scopes: ['audit:*'] }, 'audit:read'],
    ['no role at all', user, { roles: [], scopes: null }, null],
    ['no scope at all', user, { roles: ['admin'], scopes: [] }, null],
    ['a scope that is none', user, { roles: ['admin'], scopes: ['*'] }, null],
    [
      'the same, by one who is narrowed',
      principal({ scopes: ['pty:view'] }),
      { roles: null, scopes: ['pty:view'] },
      null,
    ],
    [
      'no scopes, by one who is narrowed',
      principal({ scopes: ['pty:view'] }),
      { roles: ['viewer'], scopes: null },
      'agent:view',
    ],
    [
      'no scopes, by one narrowed to all there is',
      principal({ roles: ['viewer'], scopes: ['pty:*'] }),
      { roles: [], scopes: null },
      '*',
    ],
    [
      'every resource, by one who has one',
      principal({ scopes: ['pty:view@s1'] }),
      { roles: null, scopes: ['pty:view'] },
      'pty:view',
    ],
    [
      'another resource',
      principal({ scopes: ['pty:view@s1'] }),
      { roles: null, scopes: ['pty:view@s2'] },
      'pty:view@s2',
    ],
    ['the same resource', principal({ scopes: ['pty:*@s1'] }), { roles: null, scopes: ['pty:view@s1'] }, null],
    [
      'an area, by one who has a part',
      principal({ scopes: ['pty:view'] }),
      { roles: null, scopes: ['pty:*'] },
      'pty:create',
    ],
  ] as const)('%s', (_, caller, wanted, over) => {
    expect(exceeds(caller, wanted, policy())).toBe(over);
  });

  it('what is denied to everybody is in nobody’s way, what is denied to the caller is', () => {
    const denying = (whom: Denial['whom']): Policy =>
      policy({ denials: [{ permissions: new Set<Permission>(['pty:kill']), tenant: null, whom }] });
    const caller = principal({ roles: ['admin', 'auditor'] });
    expect(exceeds(caller, { roles: ['admin'], scopes: null }, denying(null))).toBeNull();
    const members = new Set([memberKey({ kind: 'subject', provider: 'gatehouse', name: 'alice' })]);
    expect(exceeds(caller, { roles: ['admin'], scopes: null }, denying({ members, roles: new Set() }))).toBe(
      'pty:kill',
    );
    const byRole = denying({ members: new Set(), roles: new Set(['auditor']) });
    expect(exceeds(caller, { roles: ['user'], scopes: null }, byRole)).toBe('pty:kill');
    expect(exceeds(caller, { roles: ['user', 'auditor'], scopes: null }, byRole)).toBeNull();
    expect(exceeds(caller, { roles: ['admin'], scopes: ['pty:kill_any'] }, byRole)).toBe('pty:kill_any');
  });

  it('a role that deny rules name is not taken away by one whom they refuse the same', () => {
    const whom = { members: new Set<string>(), roles: new Set(['auditor']) };
    const by = policy({ denials: [{ permissions: new Set<Permission>(['pty:kill']), tenant: null, whom }] });
    expect(liftedBeyond(principal({ roles: ['admin'] }), 'auditor', by)).toBeNull();
    expect(liftedBeyond(principal({ roles: ['admin', 'auditor'] }), 'auditor', by)).toBe('pty:kill');
    expect(liftedBeyond(principal({ roles: ['admin'], scopes: ['policy:*'] }), 'auditor', by)).toBe('pty:kill');
    expect(liftedBeyond(principal({ roles: ['viewer'] }), 'user', by)).toBeNull();
  });

  it('a member’s last role is not taken away by one who has less than the default roles that take its place', () => {
    const bound = (role: string): Binding => ({
      ...{ tenant: 'default', role },
      member: { kind: 'subject', provider: 'gatehouse', name: 'carol' },
    });
    const falls = (caller: Principal, removed: Binding, all: Binding[], defaultRoles = ['operator']): string | null =>
      fallsBackBeyond(caller, removed, policy({ defaultRoles }, all));
    const [viewer, user] = [bound('viewer'), bound('user')];
    expect(falls(principal(), viewer, [viewer])).toBe('pty:list_all');
    expect(falls(principal(), viewer, [bound('readonly')])).toBe('pty:list_all');
    expect(falls(principal({ roles: ['admin'], scopes: ['policy:*'] }), viewer, [viewer])).toBe('pty:create');
    expect(falls(principal({ roles: ['operator'] }), viewer, [viewer])).toBeNull();
    expect(falls(principal(), viewer, [viewer, user])).toBeNull();
    expect(falls(principal(), viewer, [user])).toBeNull();
    expect(falls(principal(), viewer, [viewer], [])).toBeNull();
  });
});
