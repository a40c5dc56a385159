import { describe, expect, it } from '@jest/globals';
import { memberKey } from '../../src/authorization/bindings.js';
import { decide, type Verdict } from '../../src/authorization/decide.js';
import type { Permission } from '../../src/authorization/permissions.js';
import type { Policy, Resource } from '../../src/authorization/policy.js';
import type { Principal } from '../../src/kernel/principal.js';
import { policy, principal, resource } from '../support/policy.js';

const NOW = Date.UTC(2026, 0, 1);
const verdict = (
  who: Partial<Principal>,
  permission: Permission,
  on: Resource | null = null,
  by: Policy = policy(),
): Verdict => decide(principal(who), permission, on, by, NOW);
const may = (who: Partial<Principal>, permission: Permission, on: Resource | null = null, by?: Policy): boolean =>
  verdict(who, permission, on, by).allow;
const bobs = resource({ ownerSubject: 'bob' });

describe('what is denied', () => {
  describe('by rules', () => {
    const denying = (
      permissions: Permission[],
      whom: Policy['denials'][number]['whom'],
      tenant: string | null = null,
    ): Policy => policy({ denials: [{ permissions: new Set(permissions), tenant, whom }] });
    const member = (kind: 'subject' | 'group', name: string) => ({
      members: new Set([memberKey({ kind, provider: 'gatehouse', name })]),
      roles: new Set<string>(),
    });
    const root = { roles: ['admin'], groups: ['ops'] };

    it.each([
      ['everybody', null, null, true],
      ['everybody of the tenant', null, 'default', true],
      ['everybody of another tenant', null, 'other', false],
      ['the subject', member('subject', 'alice'), null, true],
      ['another subject', member('subject', 'bob'), null, false],
      ['a group', member('group', 'ops'), null, true],
      ['a role', { members: new Set<string>(), roles: new Set(['admin']) }, null, true],
      ['another role', { members: new Set<string>(), roles: new Set(['user']) }, null, false],
    ] as const)('one for %s', (_, whom, tenant, denied) => {
      const by = denying(['pty:kill', 'audit:read'], whom, tenant);
      expect(verdict(root, 'pty:kill', resource(), by)).toMatchObject(
        denied ? { allow: false, rule: 'deny:0' } : { allow: true },
      );
      expect(verdict(root, 'pty:kill', bobs, by).allow).toBe(!denied);
      expect(verdict(root, 'audit:read', null, by).allow).toBe(!denied);
      expect(may(root, 'pty:view', bobs, by)).toBe(true);
    });

    it('one for a role meets the keys of those who have it, whatever roles the keys carry', () => {
      const by = denying(['pty:kill'], { members: new Set(), roles: new Set(['auditor']) });
      const key = { roles: ['user'], keyId: 'k', owner: { roles: ['user', 'auditor'], groups: [] } };
      expect(verdict(key, 'pty:kill', resource(), by)).toMatchObject({ allow: false, rule: 'deny:0', visible: true });
    });

    it('denying the _any form leaves what is one’s own, and hides what only it let see', () => {
      const by = denying(['pty:view_any', 'pty:kill_any'], null);
      expect(verdict(root, 'pty:kill', resource(), by).allow).toBe(true);
      expect(verdict(root, 'pty:kill', bobs, by)).toMatchObject({ allow: false, visible: false });
    });
  });

  it('of several deny rules the first counts, whether it names everybody, a role or a member', () => {
    const rules = [
      {
        members: new Set([memberKey({ kind: 'group', provider: 'gatehouse', name: 'ops' })]),
        roles: new Set<string>(),
      },
      { members: new Set<string>(), roles: new Set(['admin']) },
      null,
    ].map((whom) => ({ permissions: new Set<Permission>(['pty:kill']), tenant: null, whom }));
    const by = policy({ denials: rules });
    const rule = (who: Partial<Principal>): string => verdict(who, 'pty:kill', null, by).rule;
    expect(rule({ roles: ['admin'], groups: ['ops'] })).toBe('deny:0');
    expect(rule({ roles: ['admin'] })).toBe('deny:1');
    expect(rule({ roles: ['user'] })).toBe('deny:2');
  });
});
