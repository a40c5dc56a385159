import { describe, expect, it } from '@jest/globals';
import { PERMISSIONS, type Permission } from '../../src/authorization/permissions.js';
import { decide, type Resource } from '../../src/authorization/policy.js';
import { BUILT_IN_ROLES } from '../../src/authorization/roles.js';
import type { Principal } from '../../src/kernel/principal.js';

const principal = (change: Partial<Principal> = {}): Principal => ({
  subject: 'alice',
  tenant: 'default',
  roles: ['user'],
  groups: [],
  scopes: null,
  method: 'jwt',
  provider: 'gatehouse',
  credentialId: null,
  expiresAt: null,
  kind: 'user',
  ...change,
});

const resource = (change: Partial<Resource> = {}): Resource => ({
  kind: 'session',
  id: 's1',
  tenant: 'default',
  ownerProvider: 'gatehouse',
  ownerSubject: 'alice',
  ...change,
});

/** Who may do it: without a resource, to their own, to somebody else's in the tenant. Another tenant's: never. */
type Row = readonly [none: string, own: string, others: string];
const user = 'admin operator user';
const viewing = 'admin operator user viewer';
const wide = 'admin operator';
const MATRIX: Record<Permission, Row> = {
  'pty:create': [user, user, ''],
  'pty:view': [viewing, viewing, wide],
  'pty:input': [user, user, wide],
  'pty:resize': [user, user, wide],
  'pty:signal': [user, user, wide],
  'pty:kill': [user, user, wide],
  'pty:list_all': [wide, wide, ''],
  'pty:view_any': [wide, wide, ''],
  'pty:input_any': [wide, wide, ''],
  'pty:resize_any': [wide, wide, ''],
  'pty:signal_any': [wide, wide, ''],
  'pty:kill_any': [wide, wide, ''],
};

const holders = (permission: Permission, on: Resource | null): string =>
  BUILT_IN_ROLES.filter((role) => decide(principal({ roles: [role] }), permission, on).allow).join(' ');

describe('policy', () => {
  it.each(PERMISSIONS)('%s is held by exactly the roles of the matrix', (permission) => {
    const others = resource({ ownerSubject: 'bob' });
    expect([holders(permission, null), holders(permission, resource()), holders(permission, others)]).toEqual(
      MATRIX[permission],
    );
    expect(holders(permission, resource({ tenant: 'other' }))).toBe('');
    expect(holders(permission, resource({ ownerProvider: 'okta' }))).toBe(MATRIX[permission][2]);
  });

  it('unknown roles, and names that every object has, grant nothing', () => {
    for (const role of ['root', 'Admin', 'admin ', '', '__proto__', 'constructor', 'toString']) {
      expect(decide(principal({ roles: [role] }), 'pty:view', resource()).allow).toBe(false);
    }
  });

  it('scopes only narrow', () => {
    const scoped = (scopes: string[], permission: Permission, roles = ['user']): boolean =>
      decide(principal({ scopes, roles }), permission, resource()).allow;
    expect(scoped(['pty:view'], 'pty:view')).toBe(true);
    expect(scoped(['pty:view'], 'pty:input')).toBe(false);
    expect(scoped(['pty:*'], 'pty:input')).toBe(true);
    expect(scoped(['pty:view@s1'], 'pty:view')).toBe(true);
    expect(scoped(['pty:view@s2'], 'pty:view')).toBe(false);
    expect(scoped([], 'pty:view')).toBe(false);
    expect(scoped(['pty:input'], 'pty:input', ['viewer'])).toBe(false);
    for (const trick of ['*', 'pty:', 'pty', ':*', 'PTY:VIEW', 'pty:view ', 'pty:vie*'])
      expect(scoped([trick], 'pty:view')).toBe(false);
  });

  it('somebody else’s session is hidden from those who may not view all', () => {
    const others = resource({ ownerSubject: 'bob' });
    expect(decide(principal(), 'pty:kill', others)).toMatchObject({ allow: false, visible: false });
    expect(decide(principal({ roles: ['viewer'] }), 'pty:kill', resource())).toMatchObject({
      allow: false,
      visible: true,
    });
    expect(decide(principal({ roles: ['admin'] }), 'pty:kill', resource({ tenant: 'x' }))).toMatchObject({
      visible: false,
    });
  });
});
