import '../support/nest-first.js';
import { get, type IncomingMessage } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MAX_EXPORTS, MAX_EXPORTS_EACH } from '../../src/audit/read/event-export.js';
import { exportStream } from '../../src/audit/read/export-stream.js';
import { ask, type Item, itemsOf, seed } from '../support/audit-events.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { codeOf, rest } from '../support/rest.js';

const MANY = 30_000;

describe('GET /audit/export', () => {
  let gateway: TestGateway;
  const auditor = token({ sub: 'eve', roles: ['auditor'] });
  const lines = (text: string): Item[] =>
    text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as Item);

  /** Begins an export and does not read it. */
  const unread = (query: string, who = auditor): Promise<IncomingMessage> =>
    new Promise((done, reject) => {
      const headers = { authorization: `Bearer ${who}` };
      get(`${gateway.url}/api/v1/audit/export?${query}`, { headers, agent: false }, done).once('error', reject);
    });
  const exported = (match: Record<string, unknown> = {}) => gateway.audit({ action: 'audit.exported', ...match });

  beforeAll(async () => {
    gateway = await TestGateway.start();
    await gateway.query(`SELECT audit_make_month('2020-01-01')`);
    await gateway.query(
      `INSERT INTO audit_events SELECT gen_random_uuid(), '2020-01-01'::timestamptz + interval '1 second' * n, 'default',
         'system', NULL, NULL, NULL, 'auth.failed', 'big:1', true, NULL, 'info', 'system', 'local', NULL, 'r', NULL,
         jsonb_build_object('n', n, 'fill', repeat('x', 1000)), 'seeds', 0, '', '', '' FROM generate_series(1, $1) AS n`,
      [MANY],
    );
  });
  afterAll(() => gateway.remove());

  it('gives every event that is asked for, newest first, as lines of JSON like those of a page', async () => {
    const answer = await ask(gateway, auditor, 'export', { resource: 'big:1' });
    expect(answer.headers.get('content-type')).toContain('application/x-ndjson');
    const all = lines(answer.text);
    const numbers = all.map(({ metadata }) => (metadata as { n: number }).n);
    expect(numbers).toEqual(Array.from({ length: MANY }, (_, index) => MANY - index));
    const page = itemsOf(await ask(gateway, auditor, 'events', { resource: 'big:1', limit: '3' }));
    expect(all.slice(0, 3)).toEqual(page);
    const [row] = await exported({ success: true });
    const bytes_out = Buffer.byteLength(answer.text);
    expect(row).toMatchObject({
      ...{
        success: true,
        user_id: 'eve',
        metadata: { filters: ['resource'], rows: MANY, bytes_out, format: 'ndjson' },
      },
    });
    expect((row?.['metadata'] as { duration_seconds: number }).duration_seconds).toBeGreaterThanOrEqual(0);
  });

  it('gives CSV that a spreadsheet reads and does not run', async () => {
    await seed(gateway, [
      { timestamp: '2021-01-01T00:00:00.25Z', resource: 'csv:1', reason: '=1+1', metadata: { a: 'say "hi", you' } },
      { timestamp: '2021-01-01T00:00:01Z', resource: 'csv:1', reason: 'two\nlines', request_id: '@SUM(A1)' },
      { timestamp: '2021-01-01T00:00:02Z', resource: 'csv:1', reason: '\tx', request_id: '-2', user_id: '+3' },
    ]);
    const answer = await ask(gateway, auditor, 'export', { format: 'csv', resource: 'csv:1' });
    expect(answer.headers.get('content-type')).toContain('text/csv');
    const [head, third, second, ...first] = answer.text.split('\r\n');
    expect(head).toMatch(/^id,timestamp,tenant,user_id,.*,metadata,node,seq,prev_hash,hash$/);
    expect(third).toContain(`,'+3,`);
    expect(third).toContain(`,'\tx,`);
    expect(third).toContain(`,'-2,`);
    expect(second).toContain(`,"two\nlines",`);
    expect(second).toContain(`,'@SUM(A1),`);
    expect(first).toHaveLength(2);
    expect(first[0]).toContain(`2021-01-01T00:00:00.250000Z,default,`);
    expect(first[0]).toContain(`,'=1+1,`);
    expect(first[0]).toContain(`,"{""a"":""say \\""hi\\"", you""}",`);
  });

  it('of nothing is empty, or the names of the columns', async () => {
    expect((await ask(gateway, auditor, 'export', { resource: 'none' })).text).toBe('');
    const csv = await ask(gateway, auditor, 'export', { resource: 'none', format: 'csv' });
    expect(csv.text.split('\r\n')).toHaveLength(2);
  });

  it('waits for its reader, and ends with it, which is on record', async () => {
    const answer = await unread('resource=big:1');
    const first = await new Promise<Buffer>((done) => answer.once('data', done));
    answer.pause();
    expect(first.length).toBeGreaterThan(0);
    answer.destroy();
    await until('the record', async () => (await exported({ success: false })).length === 1);
    const [row] = await exported({ success: false });
    expect(row).toMatchObject({ reason: 'INCOMPLETE', metadata: { format: 'ndjson' } });
    const { rows, bytes_out } = row?.['metadata'] as { rows: number; bytes_out: number };
    expect(bytes_out).toBeGreaterThan(rows * 1000);
    // What the sockets and one page hold, and not all 30 MB of it.
    expect(rows).toBeGreaterThan(0);
    expect(rows).toBeLessThan(MANY);
  });

  it('is refused past so many at once, and possible again when one has ended', async () => {
    const auditors = Array.from({ length: MAX_EXPORTS / MAX_EXPORTS_EACH }, (_, index) =>
      token({ sub: `auditor-${String(index)}`, roles: ['auditor'] }),
    );
    const each = auditors.flatMap((who) => Array.from({ length: MAX_EXPORTS_EACH }, () => who));
    const open = await Promise.all(each.map((who) => unread('resource=big:1', who)));
    const refused = await ask(gateway, auditor, 'export', { resource: 'none' });
    expect([refused.status, codeOf(refused)]).toEqual([429, 'STREAM_LIMIT']);
    for (const answer of open) answer.destroy();
    await until('a place', async () => (await ask(gateway, auditor, 'export', { resource: 'none' })).status === 200);
  });

  it('leaves room for others, however many somebody begins, with whichever of their credentials', async () => {
    const again = token({ sub: 'eve', roles: ['auditor'], jti: 'another-of-eve' });
    const open = await Promise.all(Array.from({ length: MAX_EXPORTS_EACH }, () => unread('resource=big:1')));
    const refused = await ask(gateway, again, 'export', { resource: 'none' });
    expect([refused.status, codeOf(refused)]).toEqual([429, 'STREAM_LIMIT']);
    expect(refused.text).toContain('your exports');
    for (const who of [{ sub: 'another' }, { sub: 'eve', tenant: 'other' }]) {
      const other = await ask(gateway, token({ ...who, roles: ['auditor'] }), 'export', { resource: 'none' });
      expect(other.status).toBe(200);
    }
    for (const answer of open) answer.destroy();
    await until('a place', async () => (await ask(gateway, again, 'export', { resource: 'none' })).status === 200);
  });

  it('ends with its caller’s credential', async () => {
    const jti = 'short-lived-export';
    const answer = await unread('resource=big:1', token({ sub: 'eve', roles: ['auditor'], jti }));
    const closed = new Promise((done) => answer.once('close', done));
    answer.on('error', () => undefined);
    const admin = token({ sub: 'root', roles: ['admin'] });
    await rest(gateway, admin, 'POST', '/api/v1/auth/revocations', { jti });
    await until('the record', async () => (await exported({ reason: 'TOKEN_REVOKED' })).length === 1);
    answer.resume();
    await closed;
    expect(answer.complete).toBe(false);
  });

  it('fails when a piece lies there for too long', async () => {
    async function* pieces(): AsyncGenerator<string> {
      for (;;) {
        yield 'x'.repeat(100_000);
        await Promise.resolve();
      }
    }
    const stream = exportStream(pieces(), 20);
    const failed = new Promise((done) => stream.once('error', done));
    stream.read(0);
    expect(await failed).toMatchObject({ code: 'LAGGING' });
  });

  it('refuses an unknown format and wrong filters before it begins', async () => {
    for (const query of [{ format: 'xml' }, { limit: '3' }, { level: 'loud' }] as Record<string, string>[]) {
      const answer = await ask(gateway, auditor, 'export', query);
      expect([answer.status, codeOf(answer)]).toEqual([422, 'INVALID_ARGUMENT']);
    }
  });

  it('is for who holds audit:export, who may not read it without that', async () => {
    const operator = token({ sub: 'op', roles: ['operator'] });
    expect((await ask(gateway, operator, 'export')).status).toBe(403);
  });
});
