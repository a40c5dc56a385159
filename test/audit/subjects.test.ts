import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { ask, type Item, itemsOf } from '../support/audit-events.js';
import { TestGateway, token } from '../support/gateway.js';
import { codeOf, rest, startSession } from '../support/rest.js';

describe('what the trail has about somebody', () => {
  let gateway: TestGateway;
  const admin = token({ sub: 'root', roles: ['admin'] });
  const bob = token({ sub: 'bob/ö' });
  const subject = encodeURIComponent('bob/ö');
  const path = `subjects/${subject}`;
  const lines = (text: string): Item[] =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Item);
  const erase = (who: string, query = '') => rest(gateway, who, 'DELETE', `/api/v1/audit/${path}${query}`);
  const bind = (name: string, provider = 'gatehouse') =>
    rest(gateway, admin, 'PUT', '/api/v1/policy/bindings', {
      ...{ role: 'viewer', member: { kind: 'subject', provider, name } },
    });

  beforeAll(async () => {
    gateway = await TestGateway.start();
    await startSession(gateway, bob, { command: ['/bin/true'] });
    await startSession(gateway, token(), { command: ['/bin/true'] });
    await bind('bob/ö');
    await bind('carol');
  });
  afterAll(() => gateway.remove());

  it('is what they did and where others name them, and nothing else', async () => {
    const answer = await ask(gateway, admin, `${path}/export`);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, expect.stringContaining('ndjson')]);
    const events = lines(answer.text);
    const did = events.filter(({ user_id }) => user_id === 'bob/ö').map(({ action }) => action);
    expect(did).toEqual(expect.arrayContaining(['auth.success', 'pty.start']));
    const named = events.filter(({ user_id }) => user_id !== 'bob/ö');
    expect(named.map(({ action }) => action)).toContain('policy.role_assigned');
    expect(named.every(({ metadata }) => Object.values(metadata as object).includes('bob/ö'))).toBe(true);
    expect(answer.text).not.toContain('carol');
    const [row] = await gateway.audit({ action: 'audit.exported', user_id: 'root' });
    expect(row).toMatchObject({ success: true, metadata: { subject: 'bob/ö', rows: events.length, format: 'ndjson' } });
  });

  it('of a name that several providers have needs the provider', async () => {
    await bind('twin', 'okta');
    await bind('twin', 'gatehouse');
    const which = await ask(gateway, admin, 'subjects/twin/export');
    expect([which.status, codeOf(which)]).toEqual([422, 'INVALID_ARGUMENT']);
    expect(which.text).toContain('"field":"provider"');
    const one = await ask(gateway, admin, 'subjects/twin/export', { provider: 'okta' });
    // That somebody takes it out names them too.
    const told = lines(one.text).map(({ action }) => String(action));
    expect(told.filter((action) => action !== 'audit.read')).toEqual(['policy.role_assigned']);
  });

  it('is for who holds the permission, and erasing is for administrators', async () => {
    const auditor = token({ sub: 'eve', roles: ['auditor'] });
    expect((await ask(gateway, token(), `${path}/export`)).status).toBe(403);
    expect((await ask(gateway, auditor, `${path}/export`)).status).toBe(200);
    expect((await erase(auditor)).status).toBe(403);
  });

  it('of nobody, and of another tenant’s people, is not found', async () => {
    expect(codeOf(await ask(gateway, admin, 'subjects/nobody/export'))).toBe('NOT_FOUND');
    const elsewhere = token({ sub: 'ada', roles: ['admin'], tenant: 'acme' });
    expect(codeOf(await ask(gateway, elsewhere, `${path}/export`))).toBe('NOT_FOUND');
    expect(codeOf(await erase(elsewhere))).toBe('NOT_FOUND');
  });

  it('has no name any more after an erasure, while no event has changed', async () => {
    const all = () =>
      gateway.query('SELECT id, hash, canonical, user_id, metadata FROM audit_events ORDER BY node, seq');
    const before = await all();
    const theirs = itemsOf(await ask(gateway, admin, 'events', { user_id: 'bob/ö', limit: '100' })).map(({ id }) => id);
    expect(theirs.length).toBeGreaterThan(1);
    const answer = await erase(admin, '?provider=gatehouse');
    expect([answer.status, Number(answer.body['names'])]).toEqual([200, expect.any(Number)]);
    expect((await all()).slice(0, before.length)).toEqual(before);
    expect(itemsOf(await ask(gateway, admin, 'events', { user_id: 'bob/ö' }))).toEqual([]);
    const shown = itemsOf(await ask(gateway, admin, 'events', { limit: '100' }));
    const erased = shown.filter(({ id }) => theirs.includes(id));
    expect(erased).toHaveLength(theirs.length);
    for (const { user_id, remote_addr } of erased) {
      expect(user_id).toMatch(/^p_/);
      expect(remote_addr).toMatch(/^p_/);
    }
    expect(JSON.stringify(shown)).not.toContain('bob/ö');
    // Who has the token from an event finds the others that have it.
    const same = itemsOf(
      await ask(gateway, admin, 'events', { user_id: String(erased[0]?.['user_id']), limit: '100' }),
    );
    expect(same.map(({ id }) => id)).toEqual(theirs);
    expect(codeOf(await ask(gateway, admin, `${path}/export`))).toBe('NOT_FOUND');
    expect((await gateway.query('SELECT 1 FROM audit_names WHERE subject = $1', ['bob/ö'])).length).toBe(0);
  });

  it('was erased on record, without the name', async () => {
    const [row] = await gateway.audit({ action: 'audit.pruned', success: true });
    expect(row).toMatchObject({ user_id: 'root', resource: null, metadata: { erased_names: expect.any(Number) } });
    expect(JSON.stringify(row)).not.toContain('bob');
  });

  it('begins anew when somebody who was erased comes back', async () => {
    const id = await startSession(gateway, bob, { command: ['/bin/true'] });
    const [event] = itemsOf(await ask(gateway, admin, 'events', { resource: `session:${id}`, action: 'pty.start' }));
    expect(event?.['user_id']).toBe('bob/ö');
    expect(itemsOf(await ask(gateway, admin, 'events', { user_id: 'bob/ö', action: 'pty.start' }))).toHaveLength(1);
  });
});
