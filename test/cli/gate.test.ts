import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { gatehouse as run, type Outcome } from '../support/command-line.js';
import { SECRET, TestGateway, token } from '../support/gateway.js';
import { codeOf, rest, startSession } from '../support/rest.js';

describe('the command line and the gate', () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await TestGateway.start();
  });
  afterAll(() => gateway.remove());

  /** The command as the administrator, or with another credential. */
  const gatehouse = (args: string[], credential = gateway.adminKey): Promise<Outcome> =>
    run(args, { env: { GATEHOUSE_URL: gateway.url, GATEHOUSE_TOKEN: credential } });

  const idOf = async (key: string): Promise<string> => {
    const { stdout } = await run(['token', 'inspect', '--json'], { input: key });
    return (JSON.parse(stdout) as { id: string }).id;
  };

  it('a minted token is let in, with the roles and scopes it was given', async () => {
    const env = { AUTH_SECRET: SECRET };
    const mint = [
      'token',
      'mint',
      '--user',
      'dora',
      '--role',
      'user',
      '--scope',
      'pty:list_all',
      '--scope',
      'pty:view',
    ];
    const { stdout } = await run(mint, { env });
    expect((await gatehouse(['list', '--json'], stdout.trim())).status).toBe(0);
    const refused = await gatehouse(['run', '--detach', '/bin/cat'], stdout.trim());
    expect([refused.status, refused.stderr.includes('PERMISSION_DENIED')]).toEqual([1, true]);
  });

  it('a key is made, used, listed, rotated and revoked', async () => {
    const made = await gatehouse(['key', 'create', 'deploy', '--role', 'user', '--cidr', '127.0.0.0/8']);
    const key = made.stdout.trim();
    expect([made.status, made.stderr.includes(key.slice(-20))]).toEqual([0, false]);
    await startSession(gateway, key, { command: ['/bin/cat'], name: 'by-key' });
    const id = await idOf(key);
    expect((await gatehouse(['key', 'list'])).stdout).toMatch(new RegExp(`^${id} +deploy +\\S+ +active`, 'm'));
    expect((await gatehouse(['key', 'list', '--all', '--json'])).stdout).not.toContain(key.slice(-20));

    const successor = (await gatehouse(['key', 'rotate', 'deploy', '--grace', '0'])).stdout.trim();
    expect(codeOf(await rest(gateway, key, 'GET', '/api/v1/sessions'))).toBe('API_KEY_INVALID');
    expect((await gatehouse(['list'], successor)).stdout).toContain('by-key');

    const newId = await idOf(successor);
    const revoked = await gatehouse(['key', 'revoke', newId.slice(0, 10), '--reason', 'done with it']);
    expect(revoked.stdout).toBe(`revoked ${newId} (deploy)\n`);
    expect((await gatehouse(['list'], successor)).stderr).toContain('API_KEY_INVALID');
    expect((await gatehouse(['key', 'revoke', newId])).status).toBe(0);
    expect((await gatehouse(['key', 'list'])).stdout).not.toContain(newId);
    expect((await gatehouse(['key', 'list', '--all'])).stdout).toMatch(new RegExp(`^${newId} .* revoked`, 'm'));
  });

  it('a key with an unknown scope or network is refused by the name of the field', async () => {
    const scope = await gatehouse(['key', 'create', 'x', '--scope', 'pty:fly']);
    expect([scope.status, scope.stdout, scope.stderr]).toEqual([1, '', expect.stringMatching(/scopes/)]);
    const network = await gatehouse(['key', 'create', 'x', '--cidr', '10.0.0.0/33']);
    expect([network.status, network.stderr]).toEqual([1, expect.stringMatching(/allowed_cidrs/)]);
  });

  it('explain speaks of the caller, of a described user, of a key, and of a session', async () => {
    const alice = token();
    const session = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const mine = await gatehouse(['policy', 'explain', 'pty:create'], alice);
    expect([mine.status, mine.stdout]).toEqual([0, expect.stringMatching(/^yes\n/)]);
    const admin = await gatehouse(['policy', 'explain', 'policy:write'], alice);
    expect([admin.status, admin.stdout]).toEqual([1, expect.stringMatching(/^no\n/)]);

    const about = (...args: string[]): Promise<Outcome> => gatehouse(['policy', 'explain', 'pty:input', ...args]);
    const resource = ['--resource', `session:${session}`];
    const hers = await about('--user', 'alice', '--role', 'user', ...resource);
    expect([hers.status, hers.stdout]).toEqual([0, expect.stringMatching(/^yes\nrule +owner:user\n/)]);
    const his = await about('--user', 'bob', '--role', 'user', ...resource, '--json');
    expect([his.status, JSON.parse(his.stdout)]).toMatchObject([1, { allow: false, rule: 'not_owner' }]);

    const viewer = (await gatehouse(['key', 'create', 'viewing', '--role', 'viewer'])).stdout.trim();
    const byKey = await about('--key', await idOf(viewer));
    expect([byKey.status, byKey.stdout]).toEqual([1, expect.stringMatching(/^no\nrule +no_role:pty:input\n/)]);
    const own = await about(...resource);
    expect([own.status, own.stdout]).toEqual([0, expect.stringMatching(/^yes\nrule +any:pty:input_any\n/)]);
  });

  it('who may not ask about others is told so', async () => {
    const { status, stdout, stderr } = await gatehouse(['policy', 'explain', 'pty:view', '--user', 'bob'], token());
    expect([status, stdout, stderr.includes('PERMISSION_DENIED')]).toEqual([2, '', true]);
  });
});
