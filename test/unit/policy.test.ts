import { describe, expect, it } from '@jest/globals';
import { decide, type Verdict } from '../../src/authorization/decide.js';
import { effectiveOf } from '../../src/authorization/effective.js';
import { grantsOf } from '../../src/authorization/grants.js';
import { PERMISSIONS, type Permission } from '../../src/authorization/permissions.js';
import type { Policy, Resource } from '../../src/authorization/policy.js';
import { BUILT_IN_ROLES } from '../../src/authorization/roles.js';
import { isScope } from '../../src/authorization/scopes.js';
import type { Principal } from '../../src/kernel/principal.js';
import { policy, principal, resource, share } from '../support/policy.js';

const NOW = Date.UTC(2026, 0, 1);

/**
 * Who may do it: about no resource, to their own, to somebody else's in the tenant, to one shared with them to view, to one
 * shared with them to type in. Another tenant's: never.
 */
type Row = readonly [none: string, own: string, others: string, viewShare: string, inputShare: string];
const all = 'admin operator user viewer';
const users = 'admin operator user';
const wide = 'admin operator';
const admin = 'admin';
/** Of one's own; an `_any` form is for these. */
const personal = (own: string, any: string): Row => [own, own, any, any, any];
/** About no resource that has an owner. */
const general = (who: string): Row => [who, who, '', '', ''];
const MATRIX: Record<Permission, Row> = {
  'pty:create': general(users),
  'pty:view': [all, all, wide, all, all],
  'pty:input': [users, users, wide, wide, users],
  'pty:resize': [users, users, wide, wide, users],
  'pty:signal': personal(users, wide),
  'pty:kill': personal(users, wide),
  'pty:share': personal(users, wide),
  'pty:list_all': general(wide),
  'pty:view_any': general(wide),
  'pty:input_any': general(wide),
  'pty:resize_any': general(wide),
  'pty:signal_any': general(wide),
  'pty:kill_any': general(wide),
  'pty:share_any': general(wide),
  'agent:start': general(users),
  'agent:start_auto': general(admin),
  'agent:view': personal(all, wide),
  'agent:message': personal(users, wide),
  'agent:stop': personal(users, wide),
  'agent:approve': personal(users, wide),
  'agent:view_any': general(wide),
  'agent:message_any': general(wide),
  'agent:stop_any': general(wide),
  'agent:approve_any': general(wide),
  'worktree:create': general(users),
  'worktree:view': personal(all, wide),
  'worktree:write': personal(users, wide),
  'worktree:remove': personal(users, wide),
  'worktree:view_any': general(wide),
  'worktree:write_any': general(wide),
  'worktree:remove_any': general(wide),
  'api_key:create': general('admin user'),
  'api_key:view': personal('admin user', admin),
  'api_key:revoke': personal('admin user', admin),
  'api_key:rotate': personal('admin user', admin),
  'api_key:list_all': general(admin),
  'api_key:manage_any': general(admin),
  'secrets:view': general(admin),
  'secrets:write': general(admin),
  'secrets:rekey': general(admin),
  'recording:read': general(admin),
  'recording:delete': general(admin),
  'audit:read': general('admin operator auditor'),
  'audit:export': general('admin auditor'),
  'audit:verify': general('admin auditor'),
  'audit:subject_export': general('admin auditor'),
  'audit:subject_erase': general(admin),
  'policy:read': general('admin auditor'),
  'policy:write': general(admin),
  'token:mint': general(admin),
  'token:revoke': general(wide),
  'config:read': general(admin),
  'metrics:read': general(admin),
};

const verdict = (
  who: Partial<Principal>,
  permission: Permission,
  on: Resource | null = null,
  by: Policy = policy(),
): Verdict => decide(principal(who), permission, on, by, NOW);
const may = (who: Partial<Principal>, permission: Permission, on: Resource | null = null, by?: Policy): boolean =>
  verdict(who, permission, on, by).allow;
const holders = (permission: Permission, on: Resource | null): string =>
  [...BUILT_IN_ROLES.keys()].filter((role) => may({ roles: [role] }, permission, on)).join(' ');

const bobs = resource({ ownerSubject: 'bob' });

describe('policy', () => {
  it.each(PERMISSIONS)('%s is held by exactly the roles of the matrix', (permission) => {
    const shared = (level: 'view' | 'input'): Resource => ({ ...bobs, shares: [share({ level })] });
    const found = [null, resource(), bobs, shared('view'), shared('input')].map((on) => holders(permission, on));
    expect(found).toEqual(MATRIX[permission]);
    const foreign = [resource(), bobs, shared('input')].map((on) => holders(permission, { ...on, tenant: 'other' }));
    expect(foreign).toEqual(['', '', '']);
    expect(holders(permission, resource({ ownerProvider: 'okta' }))).toBe(MATRIX[permission][2]);
  });

  it('unknown roles, and names that every object has, grant nothing', () => {
    for (const role of ['root', 'Admin', 'admin ', '', '__proto__', 'constructor', 'toString']) {
      expect(may({ roles: [role] }, 'pty:view', resource())).toBe(false);
    }
  });

  it('readonly is another name of viewer', () => {
    expect(verdict({ roles: ['readonly'] }, 'pty:view', resource())).toMatchObject({
      allow: true,
      rule: 'owner:viewer',
    });
  });

  it('scopes only narrow', () => {
    const scoped = (scopes: string[], permission: Permission, roles = ['user']): boolean =>
      may({ scopes, roles }, permission, resource());
    expect(scoped(['pty:view'], 'pty:view')).toBe(true);
    expect(scoped(['pty:view'], 'pty:input')).toBe(false);
    expect(scoped(['pty:*'], 'pty:input')).toBe(true);
    expect(scoped(['agent:*'], 'pty:input')).toBe(false);
    expect(scoped(['pty:view@s1'], 'pty:view')).toBe(true);
    expect(scoped(['pty:*@s1'], 'pty:input')).toBe(true);
    expect(scoped(['pty:view@s2'], 'pty:view')).toBe(false);
    expect(scoped([], 'pty:view')).toBe(false);
    expect(scoped(['pty:input'], 'pty:input', ['viewer'])).toBe(false);
    expect(may({ scopes: ['pty:create@s1'] }, 'pty:create')).toBe(false);
  });

  it.each([
    ...[
      '*',
      '*:*',
      'pty:',
      'pty',
      ':*',
      'PTY:VIEW',
      'pty:view ',
      ' pty:view',
      'pty:vie*',
      'pty:v:*',
      'pt:*',
      'pty:*:*',
    ],
    ...[
      'pty:view@',
      'pty:view@s1 ',
      'pty:view@s1\n',
      'pty:view@@s1',
      'pty:view@*',
      '@s1',
      'ViewSession',
      '__proto__:*',
      '',
    ],
  ])('the trick %j covers nothing', (trick) => {
    expect(may({ scopes: [trick], roles: ['admin'] }, 'pty:view', resource())).toBe(false);
  });

  it('a scope is what covers something', () => {
    for (const text of ['pty:view', 'pty:*', 'pty:view@s1', 'worktree:create@github.com/acme/app', 'pty:kill_any']) {
      expect([text, isScope(text)]).toEqual([text, true]);
    }
    for (const text of ['pty:attach', 'CreateSession', 'ptys:*', 'pty:*@', `pty:view@${'x'.repeat(257)}`]) {
      expect([text, isScope(text)]).toEqual([text, false]);
    }
  });

  it('somebody else’s resource is hidden from those who may not view all', () => {
    expect(verdict({}, 'pty:kill', bobs)).toMatchObject({ allow: false, visible: false, rule: 'not_owner' });
    expect(verdict({ roles: ['viewer'] }, 'pty:kill', resource())).toMatchObject({
      visible: true,
      rule: 'no_role:pty:kill',
    });
    expect(verdict({ roles: ['admin'] }, 'pty:kill', resource({ tenant: 'x' }))).toMatchObject({ visible: false });
    const watcher = policy({
      roles: new Map([['watcher', new Set<Permission>(['pty:view_any', 'api_key:list_all'])]]),
    });
    expect(verdict({ roles: ['watcher'] }, 'pty:kill', bobs, watcher)).toMatchObject({ allow: false, visible: true });
    expect(verdict({ roles: ['watcher'] }, 'api_key:revoke', bobs, watcher)).toMatchObject({ visible: true });
    expect(verdict({ roles: ['watcher'] }, 'agent:stop', bobs, watcher)).toMatchObject({ visible: false });
  });

  it('a share is for whom it names, until it ends, and is visible to them', () => {
    const shared = (change: Parameters<typeof share>[0]): Resource => ({ ...bobs, shares: [share(change)] });
    expect(verdict({}, 'pty:view', shared({}))).toMatchObject({ allow: true, rule: 'share:view' });
    expect(verdict({}, 'pty:input', shared({ level: 'input' }))).toMatchObject({ allow: true, rule: 'share:input' });
    expect(verdict({}, 'pty:kill', shared({ level: 'input' }))).toMatchObject({ allow: false, visible: true });
    expect(verdict({ roles: ['viewer'] }, 'pty:input', shared({ level: 'input' }))).toMatchObject({
      ...{ allow: false, rule: 'no_role:pty:input', visible: true },
    });
    expect(may({}, 'pty:view', shared({ name: 'bob' }))).toBe(false);
    expect(may({}, 'pty:view', shared({ provider: 'okta' }))).toBe(false);
    expect(may({}, 'pty:view', shared({ kind: 'group' }))).toBe(false);
    expect(may({ groups: ['ops'] }, 'pty:view', shared({ kind: 'group', name: 'ops' }))).toBe(true);
    expect(may({}, 'pty:view', shared({ expiresAt: new Date(NOW + 1) }))).toBe(true);
    expect(verdict({}, 'pty:view', shared({ expiresAt: new Date(NOW) }))).toMatchObject({
      allow: false,
      visible: false,
    });
    expect(verdict({ scopes: ['agent:*'] }, 'pty:view', shared({}))).toMatchObject({ allow: false, rule: 'scope' });
  });

  it('roles come from the token and from bindings of the subject and its groups, in their tenant and provider only', () => {
    const bind = (
      kind: 'subject' | 'group',
      name: string,
      change: { tenant?: string; provider?: string } = {},
    ): Policy =>
      policy({}, [
        {
          tenant: change.tenant ?? 'default',
          role: 'operator',
          member: { kind, provider: change.provider ?? 'gatehouse', name },
        },
      ]);
    const kills = (by: Policy): boolean => may({ groups: ['ops'] }, 'pty:kill', bobs, by);
    expect(kills(bind('subject', 'alice'))).toBe(true);
    expect(kills(bind('group', 'ops'))).toBe(true);
    expect(kills(bind('group', 'alice'))).toBe(false);
    expect(kills(bind('subject', 'ops'))).toBe(false);
    expect(kills(bind('subject', 'alice', { tenant: 'other' }))).toBe(false);
    expect(kills(bind('group', 'ops', { provider: 'okta' }))).toBe(false);
  });

  it('default roles are for those without any other', () => {
    const by = policy({ defaultRoles: ['viewer'] }, [
      { tenant: 'default', role: 'auditor', member: { kind: 'subject', provider: 'gatehouse', name: 'carol' } },
    ]);
    expect(may({ roles: [] }, 'pty:view', resource(), by)).toBe(true);
    expect(may({ roles: ['auditor'] }, 'pty:view', resource(), by)).toBe(false);
    expect(may({ roles: ['unheard-of'] }, 'pty:view', resource(), by)).toBe(false);
    expect(may({ roles: [], subject: 'carol' }, 'pty:view', resource({ ownerSubject: 'carol' }), by)).toBe(false);
  });

  it('a key has what its own roles and its owner both hold at present', () => {
    const key = { keyId: 'k', method: 'api_key', kind: 'service' } as const;
    const owned = (roles: string[], owner: string[], by?: Policy): Verdict =>
      verdict({ ...key, roles, owner: { roles: owner, groups: ['ops'] } }, 'pty:kill', bobs, by);
    expect(owned(['admin'], ['admin']).allow).toBe(true);
    expect(owned(['user'], ['admin']).allow).toBe(false);
    expect(owned(['admin'], ['user'])).toMatchObject({ allow: false, rule: 'not_owner' });
    expect(verdict({ ...key, roles: ['admin'], owner: { roles: ['user'], groups: [] } }, 'audit:read')).toMatchObject({
      ...{ allow: false, rule: 'beyond_owner:audit:read' },
    });
    expect(owned([], ['admin']).allow).toBe(false);
    const bound = policy({ defaultRoles: ['admin'] }, [
      { tenant: 'default', role: 'admin', member: { kind: 'group', provider: 'gatehouse', name: 'ops' } },
    ]);
    expect(owned(['admin'], ['user'], bound).allow).toBe(true);
    // What is bound to the owner, and the default roles, are the owner's: the key has its own roles only.
    expect(owned(['user'], ['user'], bound).allow).toBe(false);
    expect(owned([], [], bound).allow).toBe(false);
  });

  it('a change is in force for a principal that was decided about before, and another tenant’s changes nothing', () => {
    const who = principal({ roles: [] });
    const bound = (tenant: string) => ({
      ...{ tenant, role: 'operator' },
      member: { kind: 'subject', provider: 'gatehouse', name: 'alice' } as const,
    });
    const before = policy();
    const kills = (by: Policy): boolean => decide(who, 'pty:kill', bobs, by, NOW).allow;
    const [index] = before.bindings;
    if (index === undefined) throw new Error('no index');
    const after = (tenant: string): Policy => ({
      ...before,
      bindings: [index.with({ added: [bound(tenant)], removed: [] })],
    });
    expect([kills(before), kills(after('default')), kills(before)]).toEqual([false, true, false]);
    expect(grantsOf(who, after('other'))).toBe(grantsOf(who, before));
    expect(grantsOf(who, { ...before, defaultRoles: ['operator'] }).roles).toEqual(['operator']);
    expect(grantsOf(who, { ...before, denials: [] })).not.toBe(grantsOf(who, before));
  });

  it('what somebody has in all is told with the resources that scopes limit it to', () => {
    const scopes = ['pty:view', 'pty:*@s1', 'pty:input@s2', 'audit:read'];
    expect(effectiveOf(principal({ roles: ['viewer', 'auditor'], scopes }), policy())).toEqual({
      roles: ['viewer', 'auditor'],
      permissions: ['pty:view', 'audit:read'],
    });
    expect(effectiveOf(principal({ scopes: ['pty:input@s2', 'pty:input@s1'] }), policy()).permissions).toEqual([
      'pty:input@s2',
      'pty:input@s1',
    ]);
  });
});
