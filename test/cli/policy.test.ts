import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { generate } from 'selfsigned';
import { areaOf, PERMISSIONS } from '../../src/authorization/permissions.js';
import { gatehouse as run, type Outcome } from '../support/command-line.js';
import { refusal, type Script, ScriptedServer } from '../support/scripted-server.js';

const KEY = 'Aa0000000000000A';
const SESSION = '01890000-0000-7000-8000-000000000000';
const INFO = { subject: 'alice', tenant: 'default', provider: 'backstage', method: 'jwt', credential_id: 'j1' };

const script: Script = ({ method, path, body }) => {
  if (path === '/policy/effective') return [200, { roles: ['user'], permissions: ['pty:create', 'pty:view@s1'] }];
  if (path === '/auth/info') return [200, { ...INFO, groups: ['dev'], roles: ['user'], scopes: null }];
  if (path === `/api-keys/${KEY}`) {
    const named = { id: KEY, name: 'ci', owner: 'alice', state: 'active', roles: [], scopes: null, allowed_cidrs: [] };
    return [200, named];
  }
  if (method !== 'POST' || path !== '/policy/explain') return [404, refusal('NOT_FOUND', 'There is no such resource.')];
  const allow = (body as { permission: string }).permission === 'pty:view';
  const reasons = ['alice owns it', 'the role user holds it'];
  return [200, { allow, rule: allow ? 'owner:user' : 'no_role:pty:kill', roles: ['user'], reasons }];
};

describe('gatehouse policy explain', () => {
  let server: ScriptedServer;
  beforeAll(async () => {
    server = await ScriptedServer.start();
  });
  afterAll(() => server.stop());
  beforeEach(() => {
    server.take();
    server.script = script;
  });

  const explain = (...args: string[]): Promise<Outcome> =>
    run(['policy', 'explain', ...args], { env: { GATEHOUSE_URL: server.url, GATEHOUSE_TOKEN: 'x' } });

  it('says yes with the rule and the reasons, and ends with 0', async () => {
    const { status, stdout } = await explain('pty:view', '--user', 'bob');
    const words = 'yes\nrule     owner:user\nroles    user\nreasons  alice owns it\n         the role user holds it\n';
    expect([status, stdout]).toEqual([0, words]);
  });

  it('says no, and ends with 1', async () => {
    const { status, stdout } = await explain('pty:kill', '--user', 'bob');
    expect([status, stdout]).toEqual([1, expect.stringMatching(/^no\nrule +no_role:pty:kill\n/)]);
    const json = await explain('pty:kill', '--user', 'bob', '--json');
    expect([json.status, JSON.parse(json.stdout)]).toMatchObject([1, { allow: false, rule: 'no_role:pty:kill' }]);
  });

  it('asks about a user as they are described', async () => {
    const described = [
      '--provider',
      'okta',
      '--group',
      'dev',
      '--group',
      'ops',
      '--role',
      'user',
      '--scope',
      'pty:view',
    ];
    await explain('pty:view', '--user', 'bob', ...described, '--resource', `session:${SESSION}`);
    expect(server.take().at(-1)?.body).toEqual({
      ...{ subject: 'bob', provider: 'okta', groups: ['dev', 'ops'], roles: ['user'], scopes: ['pty:view'] },
      ...{ permission: 'pty:view', resource: `session:${SESSION}` },
    });
  });

  it('asks about a key by its id', async () => {
    await explain('pty:view', '--key', KEY);
    expect(server.take().at(-1)?.body).toEqual({ key: KEY, permission: 'pty:view' });
  });

  it('without a user speaks of the caller, which takes no permission', async () => {
    const yes = await explain('pty:create');
    expect([yes.status, yes.stdout]).toEqual([0, 'yes\nroles    user\nreasons  you hold it, on your own\n']);
    const no = await explain('pty:kill_any');
    expect([no.status, no.stdout]).toEqual([1, 'no\nroles    user\nreasons  you do not hold it\n']);
    const limited = await explain('pty:view');
    expect([limited.status, limited.stdout]).toEqual([1, expect.stringContaining('only pty:view@s1')]);
    expect(new Set(server.take().map(({ path }) => path))).toEqual(new Set(['/policy/effective']));
  });

  it('about a resource speaks of the caller as its credential does', async () => {
    await explain('pty:view', '--resource', `session:${SESSION}`);
    const question = { permission: 'pty:view', resource: `session:${SESSION}` };
    const described = { subject: 'alice', provider: 'backstage', groups: ['dev'], roles: ['user'] };
    expect(server.take().at(-1)?.body).toEqual({ ...described, ...question });
    const info = { ...INFO, method: 'api_key', credential_id: KEY };
    server.script = (asked) => (asked.path === '/auth/info' ? [200, info] : script(asked));
    await explain('pty:view', '--resource', `session:${SESSION}`);
    expect(server.take().at(-1)?.body).toEqual({ key: KEY, ...question });
  });

  it('asks about every area that there is', async () => {
    for (const area of new Set(PERMISSIONS.map(areaOf))) expect((await explain(`${area}:x`)).stdout).toMatch(/^no/);
  });

  it('a refusal is told as one, not as a no', async () => {
    server.script = () => [403, refusal('PERMISSION_DENIED', 'This needs the permission policy:read.')];
    const { status, stdout, stderr } = await explain('pty:view', '--user', 'bob');
    expect([status, stdout, stderr]).toEqual([2, '', expect.stringMatching(/needs the permission policy:read/)]);
  });

  it('an answer that is no verdict is no yes', async () => {
    server.script = () => [200, { allow: 'true' }];
    expect(await explain('pty:view', '--user', 'bob')).toMatchObject({ status: 2, stdout: '' });
  });

  it.each([
    [[], /explain takes one permission/],
    [['pty'], /a permission is like pty:input/],
    [['ptty:view'], /there is no permission ptty:view/],
    [['pty:view', '--user', 'a', '--key', KEY], /--user or --key, not both/],
    [['pty:view', '--role', 'user'], /describe a --user/],
    [['pty:view', '--resource', SESSION], /--resource takes session:ID/],
    [['pty:view', '--resource', 'session:../x'], /--resource takes session:ID/],
  ])('%j is a mistake that asks the server nothing', async (args, words) => {
    const { status, stdout, stderr } = await explain(...args);
    expect([status, stdout, stderr]).toEqual([2, '', expect.stringMatching(words)]);
    expect(server.take()).toEqual([]);
  });
});

describe('gatehouse with a server whose certificate a private authority signed', () => {
  it('calls it when NODE_EXTRA_CA_CERTS names the authority, and not otherwise', async () => {
    const options = {
      keySize: 2048,
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
    };
    const { private: key, cert } = await generate([{ name: 'commonName', value: '127.0.0.1' }], options as object);
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-ca-'));
    const file = join(folder, 'ca.pem');
    writeFileSync(file, cert);
    const server = await ScriptedServer.start({ key, cert });
    server.script = script;
    const env = { GATEHOUSE_URL: server.url, GATEHOUSE_TOKEN: 'x' };
    const command = ['policy', 'explain', 'pty:create'];
    expect((await run(command, { env: { ...env, NODE_EXTRA_CA_CERTS: file } })).stdout).toMatch(/^yes/);
    server.take();
    const { status, stderr } = await run(command, { env });
    expect([status, stderr]).toEqual([2, expect.stringMatching(/cannot be reached: .*certificate/)]);
    expect(server.take()).toEqual([]);
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });
});
