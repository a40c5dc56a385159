import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { seed } from '../support/audit-events.js';
import { gatehouse as run, gatehouseInTerminal, type Outcome } from '../support/command-line.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { startSession } from '../support/rest.js';

describe('gatehouse audit', () => {
  let gateway: TestGateway;
  let env: Record<string, string>;
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-'));
  const audit = (...args: string[]): Promise<Outcome> => run(['audit', ...args], { env });
  const json = (text: string): Record<string, unknown>[] =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Record<string, unknown>);

  beforeAll(async () => {
    gateway = await TestGateway.start();
    env = {
      GATEHOUSE_URL: gateway.url,
      GATEHOUSE_TOKEN: token({ sub: 'eve', roles: ['auditor'], exp: Math.floor(Date.now() / 1000) + 600 }),
    };
    await seed(gateway, [
      {
        timestamp: '2022-02-01T10:00:00Z',
        user_id: 'unknown',
        action: 'auth.failed',
        success: false,
        reason: 'JWT_INVALID',
        remote_addr: '192.0.2.1',
      },
      { timestamp: '2022-02-01T10:00:01Z', resource: 'box:\u001b[31mred\u009b1m', action: 'pty.kill', level: 'warn' },
    ]);
    await seed(
      gateway,
      Array.from({ length: 230 }, (_, n) => ({ timestamp: new Date(Date.UTC(2022, 2, 1, 0, n)), resource: 'many:1' })),
    );
  });
  afterAll(async () => {
    rmSync(folder, { recursive: true, force: true });
    await gateway.remove();
  });

  it('search shows time, user, action, resource, outcome and address, and no control character', async () => {
    const { status, stdout } = await audit('search', '--from', '2022-02-01T00:00:00Z', '--to', '2022-02-02T00:00:00Z');
    expect(status).toBe(0);
    const [head, kill, failed, ...more] = stdout.trimEnd().split('\n');
    expect(head).toMatch(/^TIME +USER +ACTION +RESOURCE +OUTCOME +ADDRESS$/);
    expect(kill).toMatch(/^2022-02-01T10:00:01\.000Z +system +pty\.kill +box:\ufffd\[31mred\ufffd1m +ok +local$/);
    expect(failed).toMatch(/^2022-02-01T10:00:00\.000Z +unknown +auth\.failed +- +failed JWT_INVALID +192\.0\.2\.1$/);
    expect(more).toEqual([]);
  });

  it('search has a flag for every filter', async () => {
    const flags = [
      '--user',
      'unknown',
      '--action',
      'auth.*',
      '--success',
      'false',
      '--level',
      'info',
      '--address',
      '192.0.2.1',
    ];
    const found = await audit('search', '--json', ...flags, '--request', 'seeded', '--text', 'jwt invalid');
    expect(json(found.stdout)).toMatchObject([{ action: 'auth.failed', reason: 'JWT_INVALID' }]);
    expect(json((await audit('search', '--json', '--resource', 'many:1', '--limit', '3')).stdout)).toHaveLength(3);
  });

  it('search goes on through pages up to its limit, under one heading', async () => {
    const { stdout } = await audit('search', '--resource', 'many:1', '--limit', '210');
    expect(stdout.trimEnd().split('\n')).toHaveLength(211);
    const all = json((await audit('search', '--resource', 'many:1', '--limit', '1000', '--json')).stdout);
    expect(new Set(all.map(({ id }) => id)).size).toBe(230);
  });

  it('search says when there is nothing, and understands how long ago', async () => {
    const none = await audit('search', '--from', '5m', '--resource', 'many:1');
    expect([none.status, none.stdout, none.stderr]).toEqual([0, '', 'no such events\n']);
  });

  it('tail shows events as they happen, and ends when the server does not let it go on', async () => {
    const short = token({ sub: 'eve', roles: ['auditor'], exp: Math.floor(Date.now() / 1000) + 12 });
    const tailing = gatehouseInTerminal(
      ['audit', 'tail', '--action', 'pty.start'],
      { ...env, GATEHOUSE_TOKEN: short },
      200,
    );
    const begun = async (): Promise<boolean> =>
      (await gateway.audit({ action: 'audit.read' })).some(({ metadata }) => (metadata as { stream?: true }).stream);
    await until('the stream', begun);
    const id = await startSession(gateway, token(), { command: ['/bin/true'] });
    await until('the line', () => tailing.shown().includes(`alice  pty.start  session:${id}  ok  127.0.0.1`));
    expect(await tailing.ended).toBe(1);
    expect(tailing.shown()).toContain('SESSION_EXPIRED');
  });

  it('export writes a file that only its owner can read, whole or not at all', async () => {
    const file = join(folder, 'trail.csv');
    writeFileSync(file, 'of before', { mode: 0o644 });
    const done = await audit('export', '--resource', 'many:1', '--format', 'csv', '--out', file);
    expect([done.status, done.stdout]).toEqual([0, '']);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, 'utf8').trimEnd().split('\r\n')).toHaveLength(231);
    const refused = await audit('export', '--level', 'loud', '--out', join(folder, 'none'));
    expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('level')]);
    expect(existsSync(join(folder, 'none'))).toBe(false);
    const nowhere = await audit('export', '--resource', 'many:1', '--out', join(folder, 'no', 'such', 'folder'));
    expect([nowhere.status, nowhere.stderr]).toEqual([1, expect.stringContaining('cannot be written')]);
    expect(readdirSync(folder)).toEqual(['trail.csv']);
  });

  it('export goes to a pipe, and not to a terminal', async () => {
    expect(json((await audit('export', '--resource', 'many:1')).stdout)).toHaveLength(230);
    const shown = gatehouseInTerminal(['audit', 'export', '--resource', 'many:1'], env);
    expect([await shown.ended, shown.shown()]).toEqual([2, expect.stringContaining('--out')]);
  });

  it.each([
    [['search', 'words'], 'filters only'],
    [['search', '--from', 'yesterday'], '--from takes'],
    [['search', '--limit', '0'], '--limit takes'],
    [['search', '--colour', 'red'], 'colour'],
    [['export', '--format', 'xml'], '--format takes'],
    [['dance'], 'no command audit dance'],
  ])('%j is refused with what is wrong', async (args, words) => {
    const { status, stderr } = await audit(...args);
    expect([status, stderr]).toEqual([2, expect.stringContaining(words)]);
  });
});
