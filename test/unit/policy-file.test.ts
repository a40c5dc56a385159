import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { BindingIndex, memberKey } from '../../src/authorization/bindings.js';
import { type FilePolicy, openPolicyFile } from '../../src/authorization/policy-file.js';
import { BUILT_IN_ROLES } from '../../src/authorization/roles.js';
import { type Config, ConfigurationError } from '../../src/config/load.js';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-policy-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const open = (path: string): FilePolicy => openPolicyFile({ POLICY_CONFIG: path } as Config).value;

function read(text: string): FilePolicy {
  const path = join(folder, 'permissions.yaml');
  writeFileSync(path, text);
  return open(path);
}

/** Every mistake of a file, without the name of the file. */
function mistakesOf(text: string): readonly string[] {
  try {
    read(text);
  } catch (error) {
    if (!(error instanceof ConfigurationError)) throw error;
    return error.problems.map((line) => line.slice(line.indexOf('permissions.yaml: ') + 'permissions.yaml: '.length));
  }
  return [];
}

describe('permissions.yaml', () => {
  it('without a file, and with an empty one, there are the built-in roles and nothing else', () => {
    for (const found of [open(join(folder, 'none.yaml')), read(''), read('# nothing\n')]) {
      expect(found).toEqual({ roles: BUILT_IN_ROLES, bindings: [], defaultRoles: [], denials: [] });
    }
  });

  it('the example is right', () => {
    const found = open('config/permissions.example.yaml');
    expect(found.roles.get('deployer')).toContain('worktree:remove_any');
    expect(found.roles.get('user')).not.toContain('api_key:create');
    expect(found.defaultRoles).toEqual(['viewer']);
    expect(found.denials).toHaveLength(2);
    const member = { kind: 'group', provider: 'backstage', name: 'group:default/release' } as const;
    expect(BindingIndex.of(found.bindings).rolesOf('acme', [memberKey(member)])).toEqual(['deployer']);
  });

  it('old names, areas and readonly are understood', () => {
    const found = read(`
role_permissions:
  typist: [CreateSession, view_session, SendInput, list_all_sessions]
  readonly: [ViewSession]
  reviewer: ['audit:*']
role_bindings: [{ role: readonly, subjects: [{ provider: okta, name: carol }] }]
default_roles: [readonly, typist]
ownership_rules: { sessions: true, agents: true }
deny: [{ permissions: [KillAnySession], tenant: acme, roles: [readonly], groups: [{ provider: okta, name: ops }] }]`);
    expect([...(found.roles.get('typist') ?? [])]).toEqual(['pty:create', 'pty:view', 'pty:input', 'pty:list_all']);
    expect([...(found.roles.get('viewer') ?? [])]).toEqual(['pty:view']);
    expect(found.roles.has('readonly')).toBe(false);
    expect(found.roles.get('reviewer')?.size).toBe(5);
    expect(found.bindings).toEqual([
      { tenant: 'default', role: 'viewer', member: { kind: 'subject', provider: 'okta', name: 'carol' } },
    ]);
    expect(found.defaultRoles).toEqual(['viewer', 'typist']);
    expect(found.denials).toEqual([
      {
        permissions: new Set(['pty:kill_any']),
        tenant: 'acme',
        whom: {
          members: new Set([memberKey({ kind: 'group', provider: 'okta', name: 'ops' })]),
          roles: new Set(['viewer']),
        },
      },
    ]);
  });

  it.each([
    ['a field that there is not', 'roles: {}', 'Unrecognized key: "roles"'],
    ['a list instead of an object', '- a', '(file): '],
    ['text that is no YAML', 'deny: [', 'Flow sequence'],
    ['a key twice', 'deny: []\ndeny: []', '"deny" is there twice, at line'],
    ['an alias', 'default_roles: &a [user]\ndeny: *a', 'aliases'],
    [
      'a permission that there is not',
      'role_permissions: { a: [pty:view, pty:attach] }',
      'role_permissions.a.1: there is no permission "pty:attach"',
    ],
    [
      'an area that there is not',
      'role_permissions: { a: ["ptys:*"] }',
      'role_permissions.a.0: there is no permission',
    ],
    ['everything', 'role_permissions: { a: ["*"] }', 'role_permissions.a.0: there is no permission'],
    ['a scope', 'role_permissions: { a: ["pty:view@x"] }', 'role_permissions.a.0: there is no permission'],
    ['permissions that are no list', 'role_permissions: { a: pty:view }', 'role_permissions.a: '],
    ['no permissions', 'role_permissions: { a: }', 'role_permissions.a: '],
    [
      'a built-in role that is widened',
      'role_permissions: { viewer: [pty:view, pty:input] }',
      'role_permissions.viewer.1: viewer is built in and can only be narrowed; it does not hold pty:input',
    ],
    [
      'the same by its other name',
      'role_permissions: { readonly: ["pty:*"] }',
      'role_permissions.readonly.0: readonly is built in',
    ],
    [
      'one role under two names',
      'role_permissions: { readonly: [], viewer: [] }',
      'role_permissions.readonly: the same role as viewer',
    ],
    ['a role with capitals', 'role_permissions: { Deployer: [] }', 'role_permissions.Deployer: '],
    [
      'a role of an object’s own name',
      'role_permissions: { __proto__: [pty:view] }',
      'nothing can be called __proto__',
    ],
    ['a role that is too long', `role_permissions: { ${'a'.repeat(65)}: [] }`, `role_permissions.${'a'.repeat(65)}: `],
    [
      'a binding of an unknown role',
      'role_bindings: [{ role: root, subjects: [{ provider: a, name: b }] }]',
      'role_bindings.0.role: there is no role root',
    ],
    ['a binding of nobody', 'role_bindings: [{ role: user }]', 'role_bindings.0: names neither'],
    ['a binding of an empty list', 'role_bindings: [{ role: user, subjects: [] }]', 'role_bindings.0.subjects: '],
    [
      'a subject without a provider',
      'role_bindings: [{ role: user, subjects: [{ name: b }] }]',
      'role_bindings.0.subjects.0.provider: ',
    ],
    [
      'a subject that is only a name',
      'role_bindings: [{ role: user, subjects: [bob] }]',
      'role_bindings.0.subjects.0: ',
    ],
    [
      'a name that is a number',
      'role_bindings: [{ role: user, groups: [{ provider: a, name: 1 }] }]',
      'role_bindings.0.groups.0.name: ',
    ],
    ['a field of a binding that there is not', 'role_bindings: [{ role: user, group: [] }]', 'role_bindings.0: '],
    ['an unknown default role', 'default_roles: [user, root]', 'default_roles.1: there is no role root'],
    ['ownership that is turned off', 'ownership_rules: false', 'ownership_rules: only true'],
    [
      'ownership that is turned off for something',
      'ownership_rules: { sessions: false }',
      'ownership_rules: only true',
    ],
    ['a rule that names nobody', 'deny: [{ permissions: [pty:kill] }]', 'deny.0: names nobody'],
    ['a rule that names nothing', 'deny: [{ everyone: true, permissions: [] }]', 'deny.0.permissions: '],
    [
      'a rule for everyone and somebody',
      'deny: [{ everyone: true, roles: [user], permissions: [pty:kill] }]',
      'deny.0: names everyone and somebody',
    ],
    ['a rule not for everyone', 'deny: [{ everyone: false, permissions: [pty:kill] }]', 'deny.0.everyone: '],
    [
      'a rule for an unknown role',
      'deny: [{ roles: [user, root], permissions: [pty:kill] }]',
      'deny.0.roles.1: there is no role root',
    ],
  ])('%s is refused, and told where', (_, text, told) => {
    expect(mistakesOf(text).join('\n')).toContain(told);
  });

  it('every mistake is told, not the first alone', () => {
    expect(
      mistakesOf('default_roles: [root]\nrole_bindings: [{ role: boss, groups: [{ provider: a, name: b }] }]'),
    ).toHaveLength(2);
  });
});
