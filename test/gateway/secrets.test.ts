import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Keyring } from '../../src/sealing/keyring.js';
import { MAX_SECRETS, placeOf } from '../../src/sealing/sealed-secrets.js';
import { makeKey, wrongFields } from '../support/api-keys.js';
import { gatehouse as run, gatehouseInTerminal, type Outcome } from '../support/command-line.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { Authority } from '../support/link-certificates.js';
import { type Answer, codeOf, rest } from '../support/rest.js';
import { WebhookReceiver } from '../support/webhook-receiver.js';

const [OLD, NEW, GONE] = [randomBytes(32), randomBytes(32), randomBytes(32)];
const [old, next, gone] = [OLD, NEW, GONE].map((key) => new Keyring(key)) as [Keyring, Keyring, Keyring];
const root = token({ sub: 'root', roles: ['admin'] });
const acme = token({ sub: 'ada', roles: ['admin'], tenant: 'acme' });
const VALUE = 'xapp-value-that-nobody-may-see';
const HIDDEN_PATH = '/services/path-that-nobody-may-see';
const TENANTS = 7;

describe('stored secrets', () => {
  /** Its master key is the old one, as in the first round of a rotation; the later one's is the new one. */
  let gateway: TestGateway;
  let later: TestGateway;
  let [first, second]: WebhookReceiver[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-secrets-'));
  const alerts = join(folder, 'alerts.yaml');

  const call = (method: string, path = '', body?: unknown, credential = root, at = gateway): Promise<Answer> =>
    rest(at, credential, method, `/api/v1/secrets${path}`, body);
  const put = (name: string, value: string, credential = root): Promise<Answer> =>
    call('PUT', `/${name}`, { value }, credential);
  const names = async (credential = root): Promise<unknown[]> =>
    ((await call('GET', '?limit=100', undefined, credential)).body['items'] as { name: string }[]).map(
      (each) => each.name,
    );
  const gatehouse = (args: string[], { input = '', at = gateway, credential = root } = {}): Promise<Outcome> =>
    run(['secrets', ...args], { env: { GATEHOUSE_URL: at.url, GATEHOUSE_TOKEN: credential }, input });
  /** Rows as the server makes them, all at once. */
  const insert = (by: Keyring, tenant: string, ...rows: readonly string[]): Promise<unknown> =>
    gateway.query(
      `INSERT INTO sealed_secrets
       SELECT $1, unnest($2::text[]), unnest($3::bytea[]), $4, 'p', 'somebody', 'p', 'somebody', now(), now()`,
      [tenant, rows, rows.map((name) => by.seal(placeOf(tenant, name), Buffer.from(VALUE))), by.keyId],
    );
  const putAlerts = (content: unknown): void => {
    writeFileSync(`${alerts}.new`, JSON.stringify(content));
    renameSync(`${alerts}.new`, alerts);
  };

  beforeAll(async () => {
    const authority = await Authority.make();
    writeFileSync(join(folder, 'ca.pem'), authority.cert);
    const tls = await authority.issue(['localhost'], 'serverAuth', ['127.0.0.1']);
    [first, second] = [await WebhookReceiver.start(0, tls), await WebhookReceiver.start(0, tls)];
    writeFileSync(alerts, '{}');
    gateway = await TestGateway.start({
      ENCRYPTION_MASTER_KEY: OLD.toString('base64'),
      ENCRYPTION_MASTER_KEY_PREVIOUS: NEW.toString('hex'),
      ALERTS_CONFIG: alerts,
      NODE_EXTRA_CA_CERTS: join(folder, 'ca.pem'),
      PLATFORM_ADMINS: 'default/gatehouse/root',
    });
  });
  afterAll(async () => {
    await later.end();
    await gateway.remove();
    for (const each of [first, second]) await each?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('are set, replaced, listed and removed, and their value is in no answer', async () => {
    const answers = [await put('slack', VALUE), await put('slack', `${VALUE}-2`)];
    expect(answers.map(({ status }) => status)).toEqual([201, 200]);
    expect(answers[1]?.body).toMatchObject({ name: 'slack', created_by: 'root', key_id: old.keyId, readable: true });
    answers.push(await call('GET', '/slack'), await call('GET'), await call('DELETE', '/slack'));
    expect(answers.map(({ status }) => status)).toEqual([201, 200, 200, 200, 204]);
    expect(answers.map(({ text }) => text).join()).not.toContain('nobody-may-see');
    answers.push(await call('GET', '/slack'), await call('DELETE', '/slack'));
    expect(answers.slice(-2).map(codeOf)).toEqual(['NOT_FOUND', 'NOT_FOUND']);
  });

  it.each([
    ['a name with a slash', '/a%2Fb', { value: 'x' }, 'name'],
    ['a name that is an option', '/--force', { value: 'x' }, 'name'],
    ['a name past a hundred characters', `/${'n'.repeat(101)}`, { value: 'x' }, 'name'],
    ['a name that is a secret', `/ghp_${'a'.repeat(36)}`, { value: 'x' }, 'name'],
    ['nothing', '/slack', { value: '' }, 'value'],
    ['a number', '/slack', { value: 5 }, 'value'],
    ['more than 8 KiB', '/slack', { value: 'é'.repeat(4097) }, 'value'],
    ['half a character', '/slack', '{"value":"\\ud800"}', 'value'],
    ['something else beside the value', '/slack', { value: 'x', tenant: 'acme' }, '(request)'],
  ])('are refused with %s, by the field', async (_what, path, body, field) => {
    const answer = await call('PUT', path, body);
    expect([answer.status, wrongFields(answer)]).toEqual([422, [field]]);
  });

  it('are for administrators, of their own tenant, and a key for one of the permissions has no other', async () => {
    await put('slack', VALUE);
    for (const roles of [['user'], ['operator'], ['auditor'], ['viewer']]) {
      const credential = token({ sub: 'x', roles });
      const asked = [call('GET', '', undefined, credential), put('slack', 'x', credential)];
      asked.push(call('DELETE', '/slack', undefined, credential), call('POST', '/rekey', {}, credential));
      expect((await Promise.all(asked)).map(codeOf)).toEqual(Array(4).fill('PERMISSION_DENIED'));
    }
    expect(codeOf(await rest(gateway, null, 'GET', '/api/v1/secrets'))).toBe('AUTH_TOKEN_MISSING');
    const viewing = (await makeKey(gateway, root, { roles: ['admin'], scopes: ['secrets:view'] })).key;
    expect([(await call('GET', '', undefined, viewing)).status, codeOf(await put('slack', 'x', viewing))]).toEqual([
      ...[200, 'PERMISSION_DENIED'],
    ]);
    expect([codeOf(await call('GET', '/slack', undefined, acme)), await names(acme)]).toEqual(['NOT_FOUND', []]);
    expect(codeOf(await call('POST', '/rekey', { all_tenants: true }, acme))).toBe('PERMISSION_DENIED');
  });

  it('are a hundred of a tenant, which can be replaced, and are listed page by page', async () => {
    await insert(old, 'full', ...Array.from({ length: MAX_SECRETS }, (_, each) => `s${String(each).padStart(3, '0')}`));
    const full = token({ sub: 'fay', roles: ['admin'], tenant: 'full' });
    expect(codeOf(await put('one-more', 'x', full))).toBe('SECRET_LIMIT');
    expect((await put('s001', 'x', full)).status).toBe(200);
    const page = await call('GET', '?limit=60', undefined, full);
    const rest_ = await call('GET', `?limit=60&cursor=${String(page.body['next_cursor'])}`, undefined, full);
    const found = [page, rest_].flatMap(({ body }) => body['items'] as { name: string }[]).map(({ name }) => name);
    expect([found, new Set(found).size, rest_.body['next_cursor']]).toEqual([[...found].sort(), MAX_SECRETS, null]);
    expect((await call('DELETE', '/s001', undefined, full)).status).toBe(204);
    expect((await put('one-more', 'x', full)).status).toBe(201);
  });

  it('are set and listed from the command line, never by an argument', async () => {
    const set = await gatehouse(['set', 'from-cli'], { input: `line one\nline two\n` });
    expect([set.status, set.stdout, set.stderr]).toEqual([0, '', 'keeps from-cli\n']);
    const [row] = await gateway.query(`SELECT envelope FROM sealed_secrets WHERE name = 'from-cli'`);
    const kept = old.open(placeOf('default', 'from-cli'), row?.['envelope'] as Buffer).toString();
    expect(kept).toBe('line one\nline two');
    expect((await gatehouse(['list'])).stdout).toMatch(new RegExp(`^from-cli +\\S.* +root +${old.keyId}$`, 'm'));
    const extra = await gatehouse(['set', 'name', 'value']);
    expect([extra.status, extra.stderr]).toEqual([2, expect.stringContaining('comes on standard input')]);
    const shown = await gatehouse(['set', `sk-ant-${'a'.repeat(20)}`]);
    expect([shown.status, shown.stderr]).toEqual([2, expect.stringContaining('list of processes')]);
    expect((await gatehouse(['set', 'empty'])).stderr).toContain('nothing was given');
    expect((await gatehouse(['delete', 'from-cli'])).stdout).toBe('removed from-cli\n');
    const terminal = gatehouseInTerminal(['secrets', 'set', 'typed'], {
      GATEHOUSE_URL: gateway.url,
      GATEHOUSE_TOKEN: root,
    });
    await until('it asks', () => terminal.shown().includes('typed (not shown): '));
    terminal.type(`${VALUE}\r`);
    expect([await terminal.ended, terminal.shown().includes('nobody-may-see')]).toEqual([0, false]);
    expect(await names()).toContain('typed');
  });

  it('name a webhook that alerts go to, without a restart', async () => {
    const rules = [{ name: 'key', kind: 'any', actions: ['api_key.create'], send_to: ['team'] }];
    putAlerts({ destinations: { team: { secret: 'team-webhook' } }, rules });
    const [rejected] = await gateway.audit({ action: 'config.rejected' });
    expect(JSON.stringify(rejected?.['metadata'])).toContain(
      'destinations.team: there is no secret called team-webhook',
    );
    // An http address would reach what listens on this machine.
    await put('team-webhook', `http://127.0.0.1:9${HIDDEN_PATH}`);
    const refusals = await gateway.audit({ action: 'config.rejected' }, 2);
    expect(JSON.stringify(refusals[1]?.['metadata'])).toContain('team-webhook is no https address');
    await put('team-webhook', `${String(first?.url)}${HIDDEN_PATH}`);
    await gateway.audit({ action: 'config.reloaded' });
    const { id } = await makeKey(gateway, root);
    expect(await first?.has(id)).toHaveLength(1);
    expect(first?.received[0]?.path).toBe(HIDDEN_PATH);

    await put('team-webhook', `${String(second?.url)}${HIDDEN_PATH}`);
    const other = await makeKey(gateway, root);
    expect(await second?.has(other.id)).toHaveLength(1);
    expect(first?.received).toHaveLength(1);

    await call('DELETE', '/team-webhook');
    await makeKey(gateway, root);
    await until('the failure', () =>
      gateway.log.some(({ fault }) => fault === 'there is no secret called team-webhook'),
    );
    await put('team-webhook', `${String(second?.url)}${HIDDEN_PATH}`);
    const last = await makeKey(gateway, root);
    expect((await second?.has(last.id))?.[0]).toContain('1 alerts before this one could not be sent');
  });

  it('do not open in another row, and are named when they were altered', async () => {
    await insert(old, 'acme', 'mine', 'other');
    await gateway.query(`UPDATE sealed_secrets s SET envelope = (SELECT envelope FROM sealed_secrets o
      WHERE o.tenant = 'default' AND o.name = 'slack'), key_id = 'an-older-key' WHERE tenant = 'acme' AND name = 'mine'`);
    const { body } = await call('POST', '/rekey', {}, acme);
    const named = { tenant: 'acme', name: 'mine', problem: 'broken', key_id: 'an-older-key' };
    expect(body).toMatchObject({ rekeyed: 0, more: false, unopened: 1, examples: [named] });
    await call('DELETE', '/mine', undefined, acme);
  });

  describe('when the master key is rotated', () => {
    const total = async (): Promise<number> => (await gateway.query('SELECT 1 FROM sealed_secrets')).length;
    const under = async ({ keyId }: Keyring): Promise<number> =>
      (await gateway.query('SELECT 1 FROM sealed_secrets WHERE key_id = $1', [keyId])).length;

    beforeAll(async () => {
      for (let index = 0; index < TENANTS; index += 1) {
        await insert(old, `t${index}`, ...Array.from({ length: MAX_SECRETS }, (_, each) => `s${each}`));
      }
      await insert(gone, 'default', 'lost');
      gateway.environment['ENCRYPTION_MASTER_KEY'] = NEW.toString('base64');
      gateway.environment['ENCRYPTION_MASTER_KEY_PREVIOUS'] = OLD.toString('base64');
      later = await gateway.sibling();
    });

    it('a gateway says at its start what it cannot open', () => {
      const line = later.log.find(({ key_id }) => key_id === gone.keyId);
      expect(line).toMatchObject({ level: 'error', count: 1 });
      expect(JSON.stringify(line)).toContain('ENCRYPTION_MASTER_KEY');
    });

    it('each secret is sealed anew, killed in the middle or not, and every one can be read at any time on both', async () => {
      const all = await total();
      const env = { ...process.env, GATEHOUSE_URL: later.url, GATEHOUSE_TOKEN: root };
      const args = [resolve('bin/gatehouse.js'), 'secrets', 'rekey', '--all-tenants'];
      const child = spawn(process.execPath, args, { env, stdio: 'ignore' });
      await until('some are sealed anew', async () => (await under(next)) > 0);
      child.kill('SIGKILL');
      await later.end('SIGKILL');
      const half = await under(next);
      expect([half > 0, half < all - 1, half + (await under(old))]).toEqual([true, true, all - 1]);
      await later.launch();
      for (const at of [gateway, later]) {
        const t0 = token({ sub: 't', roles: ['admin'], tenant: 't0' });
        const items = (await call('GET', '?limit=100', undefined, t0, at)).body['items'] as { readable: boolean }[];
        expect([items.length, items.every(({ readable }) => readable)]).toEqual([MAX_SECRETS, true]);
      }
      // The webhook's secret is under the new key by now, which the first gateway has as its previous one.
      const { id } = await makeKey(gateway, root);
      expect(await second?.has(id)).toHaveLength(1);

      const again = await gatehouse(['rekey', '--all-tenants'], { at: later });
      expect(again.stdout).toContain(`${all - 1 - half} sealed anew; the master key is ${next.keyId} now`);
      expect(again.stdout).toContain(`lost of the tenant default: the master key ${gone.keyId} is not on this server`);
      expect([again.status, await under(next), await under(old)]).toEqual([1, all - 1, 0]);
      expect((await gatehouse(['delete', 'lost'])).status).toBe(0);
      const nothing = await gatehouse(['rekey', '--json'], { at: later });
      expect([nothing.status, JSON.parse(nothing.stdout)]).toMatchObject([0, { rekeyed: 0, unopened: 0 }]);
      const [row] = await gateway.query(`SELECT envelope FROM sealed_secrets WHERE tenant = 't3' AND name = 's7'`);
      expect(next.open(placeOf('t3', 's7'), row?.['envelope'] as Buffer).toString()).toBe(VALUE);
    });

    it('that is on record with figures', async () => {
      const rows = await gateway.audit({ action: 'secrets.rekeyed', success: true });
      expect(rows.map(({ metadata }) => metadata)).toContainEqual({ rekeyed: 0, unopened: 0, key_id: next.keyId });
    });
  });

  it('are plain in no row, no log and no event', async () => {
    const [dump] = await gateway.query(
      `SELECT string_agg(s::text || encode(s.envelope, 'escape'), '') AS all FROM sealed_secrets s`,
    );
    const trail = JSON.stringify(await gateway.query('SELECT * FROM audit_trail'));
    for (const place of [String(dump?.['all']), trail, gateway.stdout, later.stdout]) {
      expect(place.length).toBeGreaterThan(1000);
      expect(place).not.toContain('nobody-may-see');
      for (const key of [OLD, NEW, GONE]) expect(place).not.toContain(key.toString('base64').slice(0, 20));
    }
  });
});
