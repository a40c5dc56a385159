import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { makeKey } from '../support/api-keys.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { rest, startSession } from '../support/rest.js';
import { answer, WebhookReceiver } from '../support/webhook-receiver.js';

const PATH = '/services/T000/B000/path-that-is-a-secret';
const root = token({ sub: 'root', roles: ['admin'] });
const RULES = [
  { name: 'failing', kind: 'count', actions: ['auth.failed'], at_least: 3, within_seconds: 60 },
  {
    ...{ name: 'admin-key', kind: 'any', actions: ['api_key.create'] },
    where: { success: true, metadata: { roles: 'admin' } },
    send_to: ['default', 'security'],
  },
  { name: 'dormant', kind: 'dormant', days: 90 },
  {
    ...{ name: 'started', kind: 'any', actions: ['pty.start'], group_by: 'tenant', repeat_after_seconds: 8 },
    where: { user_id: ['tess', 'tom'] },
  },
];

describe('alerts', () => {
  let gateway: TestGateway;
  let [chat, security]: WebhookReceiver[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-alerts-'));
  const file = join(folder, 'alerts.yaml');
  const receivers = (): { chat: WebhookReceiver; security: WebhookReceiver } => {
    if (chat === undefined || security === undefined) throw new Error('not started');
    return { chat, security };
  };
  /** In one step, as editors do. JSON is YAML. */
  const put = (content: unknown): void => {
    writeFileSync(`${file}.new`, JSON.stringify(content));
    renameSync(`${file}.new`, file);
  };
  const destinations = { security: { webhook: 'ALERT_WEBHOOK_SECURITY' } };

  beforeAll(async () => {
    [chat, security] = [await WebhookReceiver.start(), await WebhookReceiver.start()];
    put({ destinations, rules: RULES });
    gateway = await TestGateway.start({
      ALERTS_CONFIG: file,
      SLACK_WEBHOOK_URL: chat.url + PATH,
      ALERT_WEBHOOK_SECURITY: security.url + PATH,
    });
  });
  afterAll(async () => {
    await gateway.remove();
    for (const each of [chat, security]) await each?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('tell of failing credentials of one address, once', async () => {
    for (const credential of [null, 'nonsense', `gh_test_${'a'.repeat(16)}_${'b'.repeat(49)}`, token({ aud: 'other' })])
      await rest(gateway, credential, 'GET', '/api/v1/sessions');
    const [found, ...more] = await receivers().chat.has('alert failing');
    expect(found).toContain('3 times auth.failed within 60 s, of one address');
    expect(found).toContain('tenant default, user unknown, address 127.0.0.1');
    await gateway.audit({ action: 'auth.failed' }, 4);
    expect(more).toEqual([]);
  });

  it('tell of an administrator’s key wherever the rule says, and show no secret and no mention', async () => {
    const { key } = await makeKey(gateway, root, { roles: ['user'] });
    const name = '<!channel> & friends';
    const made = await makeKey(gateway, root, { roles: ['admin', 'user'], name });
    for (const receiver of Object.values(receivers())) {
      const [found] = await receiver.has(made.id);
      expect(found).toContain('*Gatehouse alert admin-key*: api_key.create');
      expect(found).toContain('&lt;!channel&gt; &amp; friends');
      expect(found).toContain('user root');
      for (const secret of [key, made.key, root]) expect(receiver.texts.join()).not.toContain(secret);
    }
    const rows = await gateway.audit({ action: 'api_key.create', resource: `api_key:${made.id}` });
    // The first administrator's key was told as well, and the user's was not.
    expect(receivers().security.texts).toHaveLength(2);
    expect(receivers().security.texts[1]).toContain(String(rows[0]?.['id']));
  });

  it('tell of the first use of an account that was not seen for long, and of no new one', async () => {
    await gateway.query(`SELECT audit_make_month(now() - interval '100 days')`);
    const [name, token_] = ['dora', `p_${'d'.repeat(22)}`];
    await gateway.query(
      `INSERT INTO audit_names (token, tenant, provider, subject, kind, value)
       VALUES ($1, 'default', 'gatehouse', $2, 'user_id', $2)`,
      [token_, name],
    );
    await gateway.query(
      `INSERT INTO audit_events (id, timestamp, tenant, user_id, principal_kind, action, success, level, transport,
         remote_addr, request_id, metadata, node, seq, prev_hash, hash, canonical)
       VALUES (gen_random_uuid(), now() - interval '100 days', 'default', $1, 'user', 'auth.success', true, 'info',
         'rest', 'p_x', 'r', '{}', 'old-node', 1, '', '', '')`,
      [token_],
    );
    for (const sub of ['novel', name]) await rest(gateway, token({ sub }), 'GET', '/api/v1/auth/info');
    const [found] = await receivers().chat.has('alert dormant');
    expect(found).toContain('an account is used that was not seen for 100 days');
    expect(found).toContain('user dora');
    // They are looked up one after the other, and the other one came first.
    expect(receivers().chat.texts.filter((text) => text.includes('user novel'))).toEqual([]);
  });

  it('tell tenants apart, and what is repeated with its number', async () => {
    const [tess, tom] = [token({ sub: 'tess', tenant: 'acme' }), token({ sub: 'tom' })];
    for (const each of [tess, tom, tess, tess]) await startSession(gateway, each, { command: ['/bin/true'] });
    const acme = await receivers().chat.has('tenant acme, user tess', 2, 40_000);
    expect(acme[0]).not.toContain('more times');
    expect(acme[1]).toContain('Met 2 more times within 8 s');
    expect(await receivers().chat.has('tenant default, user tom')).toHaveLength(1);
  });

  it('go on by the rules of before after a wrong edit, which is on record, and by the new ones after a right one', async () => {
    put({ rules: [{ name: 'r', kind: 'any', actions: ['no.such'] }] });
    const [rejected] = await gateway.audit({ action: 'config.rejected', resource: `file:${file}` });
    expect(rejected).toMatchObject({ success: false, level: 'error' });
    expect(JSON.stringify(rejected?.['metadata'])).toContain('rules.0.actions.0: there is no action');
    const first = await makeKey(gateway, root, { roles: ['admin'] });
    await receivers().security.has(first.id);
    put({ rules: [{ name: 'bound', kind: 'any', actions: ['policy.role_assigned'] }] });
    const [reloaded] = await gateway.audit({ action: 'config.reloaded', resource: `file:${file}` });
    expect(reloaded).toMatchObject({ success: true, metadata: { rules: 1 } });
    const second = await makeKey(gateway, root, { roles: ['admin'] });
    const member = { kind: 'subject', provider: 'gatehouse', name: 'zed' };
    await rest(gateway, root, 'PUT', '/api/v1/policy/bindings', { role: 'viewer', member });
    await receivers().chat.has('alert bound');
    expect(receivers().chat.texts.join()).not.toContain(second.id);
  });

  it('hold nothing up when nobody takes them, and follow no redirect', async () => {
    const rules = [{ name: 'each', kind: 'any', actions: ['pty.start'], send_to: ['default', 'security'] }];
    const reloads = (await gateway.audit({ action: 'config.reloaded' })).length;
    put({ destinations, rules });
    await gateway.audit({ action: 'config.reloaded' }, reloads + 1);
    receivers().chat.answering = false;
    const before = receivers().security.received.length;
    receivers().security.answers.push(answer(302, { location: `${receivers().security.url}/elsewhere` }));
    const bob = token({ sub: 'bob' });
    for (let index = 0; index < 8; index += 1) await startSession(gateway, bob, { command: ['/bin/true'] });
    await until('all are sent', () => receivers().security.received.length === before + 8);
    expect(receivers().security.received.filter(({ path }) => path !== PATH)).toEqual([]);
    expect((await rest(gateway, null, 'GET', '/health')).status).toBe(200);
    expect(await gateway.audit({ action: 'pty.start', user_id: 'bob' }, 8)).toHaveLength(8);
  });

  it('tell what a destination is called in the log, never its address', async () => {
    await until('the failure', () => gateway.log.some(({ destination }) => destination === 'security'));
    expect(gateway.stdout).not.toContain('path-that-is-a-secret');
    expect(JSON.stringify(await gateway.query('SELECT * FROM audit_trail'))).not.toContain('path-that-is-a-secret');
  });
});
