import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { generateKey } from '../../src/kernel/api-key-text.js';
import { gatehouse as run, gatehouseInTerminal, type Outcome } from '../support/command-line.js';
import { refusal, ScriptedServer } from '../support/scripted-server.js';

const CREDENTIAL = 'the-credential-of-this-test';
const HOUR_MS = 3_600_000;
const MADE = generateKey('gh_test');

const inHours = (hours: number): string => new Date(Date.now() + hours * HOUR_MS + 1000).toISOString();

/** A key as the server shows it. */
function key(id: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    ...{ id, name: `name-${id.slice(0, 2)}`, description: null, owner: 'alice', owner_provider: 'gatehouse' },
    ...{ tenant: 'default', created_by: 'alice', display: `gh_test_${id}_****abcd`, roles: ['user'], scopes: null },
    ...{ allowed_cidrs: null, rate_limit_per_minute: null, state: 'active', expiring: false, unused: false },
    ...{ expires_at: null, last_used_at: null, last_used_ip: null, use_count: 0, revoked_at: null, revoked_by: null },
    ...{ revoked_reason: null, rotated_from: null, rotated_to: null, grace_until: null, created_at: inHours(-9) },
    ...more,
  };
}

const ONE = 'Aa0000000000000A';
const TWO = 'Aa0000000000000B';
const GONE = 'Zz0000000000000Z';

describe('gatehouse key', () => {
  let server: ScriptedServer;
  let keys: Record<string, unknown>[];
  beforeAll(async () => {
    server = await ScriptedServer.start();
  });
  afterAll(() => server.stop());
  beforeEach(() => {
    server.take();
    keys = [
      key(ONE, { name: 'deploy', scopes: ['pty:create', 'pty:view'], expires_at: inHours(48), expiring: true }),
      key(TWO, { last_used_at: inHours(-3), unused: true }),
      key(GONE, { name: 'gone', state: 'revoked' }),
    ];
    server.script = ({ method, path }) => {
      const found = keys.find(({ id }) => path.split(/[/?]/)[2] === id);
      if (method === 'POST') return [201, { ...key(MADE.id, { name: 'made' }), key: MADE.text }];
      if (path.startsWith('/api-keys?')) return [200, { items: keys, next_cursor: null }];
      return found ? [200, found] : [404, refusal('NOT_FOUND', 'There is no such resource.')];
    };
  });

  const env = (): Record<string, string> => ({ GATEHOUSE_URL: server.url, GATEHOUSE_TOKEN: CREDENTIAL });
  const gatehouse = (...args: string[]): Promise<Outcome> => run(['key', ...args], { env: env() });

  it('create prints the key alone, and what it is beside it', async () => {
    const { status, stdout, stderr } = await gatehouse('create', 'made');
    expect([status, stdout]).toEqual([0, `${MADE.text}\n`]);
    expect(stderr).toMatch(/^key +gh_test_\w+_\*{4}abcd\nname +made\nowner +alice\nroles +user\nscopes +all\n/);
    expect(stderr).not.toContain(MADE.secret);
    expect(server.take()).toEqual([
      { method: 'POST', path: '/api-keys', authorization: `Bearer ${CREDENTIAL}`, body: { name: 'made' } },
    ]);
    expect(JSON.parse((await gatehouse('create', 'made', '--json')).stdout)).toMatchObject({ key: MADE.text });
  });

  it('create asks for all that was asked of it', async () => {
    const limits = ['--cidr', '10.0.0.0/8', '--cidr', '::1', '--rate-limit', '60', '--expires', '30d'];
    const powers = ['--role', 'user', '--scope', 'pty:create', '--scope', 'pty:view', '--owner', 'bob'];
    await gatehouse('create', 'made', ...limits, ...powers, '--description', 'for the tests');
    const body = server.take()[0]?.body as { expires_at: string };
    expect(body).toEqual({
      ...{
        name: 'made',
        description: 'for the tests',
        owner: 'bob',
        roles: ['user'],
        scopes: ['pty:create', 'pty:view'],
      },
      ...{ allowed_cidrs: ['10.0.0.0/8', '::1'], rate_limit_per_minute: 60, expires_at: body.expires_at },
    });
    const days = (Date.parse(body.expires_at) - Date.now()) / (24 * HOUR_MS);
    expect(Math.round(days)).toBe(30);
    await gatehouse('create', 'made', '--expires', '2999-01-31T12:00:00+02:00');
    expect(server.take()[0]?.body).toMatchObject({ expires_at: '2999-01-31T10:00:00.000Z' });
  });

  it('create says which field the server did not like', async () => {
    const fields = [{ field: 'scopes.0', problem: 'no such permission' }];
    server.script = () => [422, refusal('INVALID_ARGUMENT', 'The request is not valid.', { fields })];
    const { status, stdout, stderr } = await gatehouse('create', 'x', '--scope', 'pty:fly');
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(
      /^gatehouse: The request is not valid\. \(INVALID_ARGUMENT, .*\); scopes\.0: no such permission/,
    );
  });

  it('an answer without a key is none', async () => {
    server.script = () => [200, { ...key(MADE.id), idempotent_replay: true }];
    expect(await gatehouse('create', 'x')).toMatchObject({
      status: 1,
      stdout: '',
      stderr: `gatehouse: ${server.url} does not answer like a Gatehouse\n`,
    });
  });

  it('a key that was made is shown, whatever else the answer lacks', async () => {
    server.script = () => [201, { key: MADE.text }];
    expect(await gatehouse('create', 'x')).toMatchObject({ status: 0, stdout: `${MADE.text}\n` });
  });

  it('list shows what works, with what to look after', async () => {
    const { stdout } = await gatehouse('list');
    const [headings, first, second, ...others] = stdout.trimEnd().split('\n');
    expect(headings).toMatch(/^ID +NAME +OWNER +STATE +SCOPES +EXPIRES +LAST USED$/);
    expect(first).toMatch(/^Aa0000000000000A +deploy +alice +active, expiring +pty:create, pty:view +in 2d +never$/);
    expect(second).toMatch(/^Aa0000000000000B +name-Aa +alice +active, unused +all +never +[23]h ago$/);
    expect(others).toEqual([]);
    expect((await gatehouse('list', '--all')).stdout).toMatch(/^Zz0000000000000Z +gone +alice +revoked /m);
  });

  it('list shows a rotated key until its grace ends', async () => {
    keys = [
      key(ONE, { state: 'rotated', grace_until: inHours(5) }),
      key(TWO, { state: 'rotated', grace_until: inHours(-5) }),
    ];
    const { stdout } = await gatehouse('list');
    expect(stdout).toMatch(/^Aa0000000000000A .* rotated, ends in 5h /m);
    expect(stdout).not.toContain(TWO);
  });

  it('list asks page by page, and filters where the keys are', async () => {
    server.script = ({ path }) =>
      path.includes('cursor=c1')
        ? [200, { items: [keys[1]], next_cursor: null }]
        : [200, { items: [keys[0]], next_cursor: 'c1' }];
    const { stdout } = await gatehouse('list', '--owner', 'a&b', '--expiring', '--json');
    expect((JSON.parse(stdout) as { items: { id: string }[] }).items.map(({ id }) => id)).toEqual([ONE, TWO]);
    expect(server.take().map(({ path }) => path)).toEqual([
      '/api-keys?owner=a%26b&expiring=true&limit=100',
      '/api-keys?owner=a%26b&expiring=true&limit=100&cursor=c1',
    ]);
  });

  it('list says so when there are none', async () => {
    keys = [];
    expect((await gatehouse('list')).stdout).toBe('no such keys; make one with `gatehouse key create`\n');
  });

  it('a key’s name cannot drive the terminal that lists it', async () => {
    keys = [key(ONE, { name: '\u001b]0;owned\u0007\u202e' })];
    expect((await gatehouse('list')).stdout).toContain('\ufffd]0;owned\ufffd\ufffd ');
    expect((await gatehouse('revoke', ONE)).stdout).toBe(`revoked ${ONE} (\ufffd]0;owned\ufffd\ufffd)\n`);
  });

  it('in a narrow terminal a table is as wide as it, and ids stay whole', async () => {
    keys = [key(ONE, { name: '長い名前'.repeat(20), scopes: Array(20).fill('worktree:create') })];
    const { shown, ended } = gatehouseInTerminal(['key', 'list'], env(), 90);
    expect(await ended).toBe(0);
    const [headings = '', row = ''] = shown().split('\r\n');
    expect([headings.length <= 90, row.startsWith(ONE), row.endsWith('never')]).toEqual([true, true, true]);
    expect(row).toMatch(/長い.*… .* worktree.*… /);
    expect(row.length + (row.match(/[^\x20-\x7e…]/g)?.length ?? 0)).toBeLessThanOrEqual(90);
  });

  it.each([
    ['its id', ONE],
    ['the beginning of its id', 'Aa'],
    ['its name', 'deploy'],
  ])('rotate finds a key by %s', async (_what, wanted) => {
    keys = keys.filter(({ id }) => id !== TWO);
    const { status, stdout } = await gatehouse('rotate', wanted, '--grace', '2h');
    expect([status, stdout]).toEqual([0, `${MADE.text}\n`]);
    expect(server.take().at(-1)).toMatchObject({ path: `/api-keys/${ONE}/rotate`, body: { grace_seconds: 7200 } });
  });

  it('rotate without a grace leaves it to the server, and takes none at all', async () => {
    expect(JSON.parse((await gatehouse('rotate', ONE, '--json')).stdout)).toMatchObject({ key: MADE.text });
    expect(server.take().at(-1)?.body).toEqual({});
    await gatehouse('rotate', ONE, '--grace', '0');
    expect(server.take().at(-1)?.body).toEqual({ grace_seconds: 0 });
  });

  it('a name of sixteen letters is not taken for an id', async () => {
    keys = [key(ONE, { name: 'deployproduction' })];
    expect((await gatehouse('revoke', 'deployproduction')).stdout).toBe(`revoked ${ONE} (deployproduction)\n`);
  });

  it('revoke ends each key with the reason, an ended one again', async () => {
    const { status, stdout } = await gatehouse('revoke', 'deploy', GONE, '--reason', 'left the team');
    expect([status, stdout]).toEqual([0, `revoked ${ONE} (deploy)\nrevoked ${GONE} (gone)\n`]);
    const revoked = server.take().filter(({ method }) => method === 'DELETE');
    expect(revoked.map(({ path }) => path)).toEqual([`/api-keys/${ONE}`, `/api-keys/${GONE}`]);
    expect(revoked.map(({ body }) => body)).toEqual([{ reason: 'left the team' }, { reason: 'left the team' }]);
  });

  it.each([
    ['unknown', 'nothing-like-it', /no key nothing-like-it; see `gatehouse key list`/],
    ['ended, by its name', 'gone', /no key gone/],
    ['one of several', 'Aa0', /2 keys match Aa0; give more of the id/],
  ])('revoke ends nothing when one key is %s', async (_what, wanted, words) => {
    const { status, stdout, stderr } = await gatehouse('revoke', 'deploy', wanted);
    expect([status, stdout, stderr]).toEqual([1, '', expect.stringMatching(words)]);
    expect(server.take().filter(({ method }) => method === 'DELETE')).toEqual([]);
  });

  it('a key given as an id is refused and not repeated', async () => {
    const { status, stderr } = await gatehouse('revoke', MADE.text);
    expect([status, stderr.includes('give its id'), stderr.includes(MADE.secret)]).toEqual([2, true, false]);
    expect(server.take()).toEqual([]);
  });

  it.each([
    [[], /^API keys for programs/],
    [['fly'], /no command key fly; see `gatehouse key --help`/],
    [['create'], /create takes one name/],
    [['create', 'a', 'b'], /create takes one name/],
    [['create', 'a', '--expires', '1y'], /--expires takes a time span like 30d, or a time/],
    [['create', 'a', '--expires', '2999-02-30T00:00:00Z'], /--expires takes a time span/],
    [['create', 'a', '--expires', '2020-01-01T00:00:00Z'], /--expires takes a time that is still to come/],
    [['create', 'a', '--rate-limit', '0'], /--rate-limit takes a whole number from 1/],
    [['create', 'a', '--rate-limit', '1e3'], /--rate-limit takes a whole number/],
    [['list', 'a'], /list takes no names/],
    [['rotate'], /rotate takes one key/],
    [['rotate', ONE, '--grace', 'soon'], /--grace takes a time span/],
    [['revoke'], /revoke takes keys/],
  ])('%j is a mistake that asks the server nothing', async (args, words) => {
    const { status, stdout, stderr } = await gatehouse(...args);
    expect([status, stdout, stderr]).toEqual([2, '', expect.stringMatching(words)]);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(server.take()).toEqual([]);
  });

  it.each([[['--help']], [['create', '--help']], [['revoke', '-h']]])('%j tells how', async (args) => {
    const { status, stdout, stderr } = await gatehouse(...args);
    expect([status, stdout, stderr]).toEqual([0, expect.stringMatching(/^API keys for programs/), '']);
  });
});
