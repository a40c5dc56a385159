import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { codeOf, rest } from '../support/rest.js';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-policy-'));
const path = join(folder, 'permissions.yaml');
/** As editors and mounted secrets do it: another file under the same name. */
function put(text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

const FIRST = `
role_permissions: { typist: [CreateSession, ViewSession, SendInput] }
role_bindings:
  - { role: typist, subjects: [{ provider: gatehouse, name: tina }] }
  - { role: operator, groups: [{ provider: gatehouse, name: ops }] }
  - { role: admin, tenant: acme, subjects: [{ provider: gatehouse, name: ann }] }
default_roles: [viewer]
deny: [{ permissions: ['audit:*'], subjects: [{ provider: gatehouse, name: root }] }]
`;

describe('permissions.yaml of a running gateway', () => {
  let gateway: TestGateway;
  const root = token({ sub: 'root', roles: ['admin'] });
  const who = (sub: string, change: Record<string, unknown> = {}): string => token({ sub, roles: [], ...change });

  beforeAll(async () => {
    put(FIRST);
    gateway = await TestGateway.start({ POLICY_CONFIG: path });
  });
  afterAll(async () => {
    await gateway.remove();
    rmSync(folder, { recursive: true });
  });

  const effective = async (credential: string): Promise<{ roles: string[]; permissions: string[] }> =>
    (await rest(gateway, credential, 'GET', '/api/v1/policy/effective')).body as never;
  const rolesOf = async (credential: string): Promise<string[]> => (await effective(credential)).roles;

  it('a wrong one stops the start, every mistake named', async () => {
    const wrong = join(folder, 'wrong.yaml');
    writeFileSync(wrong, 'default_roles: [root]\nrole_permissions: { viewer: [pty:kill] }\n');
    const other = await TestGateway.prepare({ POLICY_CONFIG: wrong });
    await expect(other.launch()).rejects.toThrow(/default_roles\.0: there is no role root/);
    expect(other.stdout).toContain('role_permissions.viewer.0: viewer is built in');
    await other.remove();
  });

  it('gives roles to subjects, to groups, per tenant, and else the default ones', async () => {
    expect(await effective(who('tina'))).toEqual({
      roles: ['typist'],
      permissions: ['pty:create', 'pty:view', 'pty:input'],
    });
    expect(await rolesOf(who('otto', { groups: ['ops'] }))).toEqual(['operator']);
    expect(await rolesOf(who('ann', { tenant: 'acme' }))).toEqual(['admin']);
    expect(await rolesOf(who('ann'))).toEqual(['viewer']);
  });

  it('lists its bindings before the stored ones, of one’s own tenant, over pages', async () => {
    const bindings = '/api/v1/policy/bindings';
    const member = { kind: 'subject', provider: 'gatehouse', name: 'stored' };
    await rest(gateway, root, 'PUT', bindings, { role: 'viewer', member });
    const seen: unknown[] = [];
    let cursor = '';
    for (let pages = 0; pages < 5; pages += 1) {
      const { body } = await rest(gateway, root, 'GET', `${bindings}?limit=1${cursor}`);
      for (const each of body['items'] as { role: string; source: string; member: { name: string } }[]) {
        seen.push([each.source, each.role, each.member.name]);
      }
      const next = body['next_cursor'];
      if (typeof next !== 'string') break;
      cursor = `&cursor=${next}`;
    }
    expect(seen).toEqual([
      ['file', 'typist', 'tina'],
      ['file', 'operator', 'ops'],
      ['stored', 'viewer', 'stored'],
      // Whose the first administrator's key is.
      ['stored', 'admin', 'admin'],
    ]);
    const tina = { role: 'typist', member: { ...member, name: 'tina' } };
    expect((await rest(gateway, root, 'DELETE', bindings, tina)).status).toBe(404);
  });

  it('its deny rules win over an administrator', async () => {
    const question = { subject: 'root', roles: ['admin'], groups: [], permission: 'audit:read' };
    const { body } = await rest(gateway, root, 'POST', '/api/v1/policy/explain', question);
    expect(body).toMatchObject({ allow: false, rule: 'deny:0', roles: ['admin'] });
    expect((await effective(root)).permissions.filter((each) => each.startsWith('audit:'))).toEqual([]);
    // Nor do they bind to others what they have not.
    const member = { kind: 'subject', provider: 'gatehouse', name: 'friend' };
    const answer = await rest(gateway, root, 'PUT', '/api/v1/policy/bindings', { role: 'auditor', member });
    expect([answer.status, codeOf(answer)]).toEqual([403, 'PERMISSION_DENIED']);
  });

  it('a wrong edit changes nothing and is loud', async () => {
    put(FIRST.replace('[viewer]', '[root]'));
    const [event] = await gateway.audit({ action: 'config.rejected' });
    expect(event).toMatchObject({ success: false, resource: `file:${path}`, level: 'error' });
    expect(JSON.stringify(event?.['metadata'])).toContain('default_roles.0: there is no role root');
    await until('its line in the log', () =>
      gateway.log.some(({ level, msg }) => level === 'error' && String(msg).includes('policy file is wrong')),
    );
    expect(await rolesOf(who('tina'))).toEqual(['typist']);
    expect(await rolesOf(who('nobody'))).toEqual(['viewer']);
  });

  it('an emptied file takes no rule away', async () => {
    const before = (await gateway.audit({ action: 'config.rejected' })).length;
    put('');
    const events = await gateway.audit({ action: 'config.rejected' }, before + 1);
    expect(JSON.stringify(events)).toContain('the file is empty');
    expect((await effective(root)).permissions).not.toContain('audit:read');
  });

  it('a right edit is in force without a restart, and on record', async () => {
    put(`
role_permissions: { typist: [pty:view], user: [pty:view] }
role_bindings: [{ role: typist, subjects: [{ provider: gatehouse, name: tina }] }]`);
    const [event] = await gateway.audit({ action: 'policy.changed' });
    expect(event).toMatchObject({ success: true, resource: `file:${path}` });
    await until('the new policy', async () => (await effective(who('tina'))).permissions.length === 1);
    expect(await rolesOf(who('otto', { groups: ['ops'] }))).toEqual([]);
    expect(await rolesOf(who('nobody'))).toEqual([]);
    expect((await effective(token())).permissions).toEqual(['pty:view']);
    expect((await effective(root)).permissions).toContain('audit:read');
    const refused = await rest(gateway, token(), 'POST', '/api/v1/sessions', {});
    expect([refused.status, codeOf(refused)]).toEqual([403, 'PERMISSION_DENIED']);
  });

  it('a file that is taken away changes nothing', async () => {
    rmSync(path);
    await gateway.audit({ action: 'config.rejected' }, 3);
    expect((await effective(token())).permissions).toEqual(['pty:view']);
  });
});
