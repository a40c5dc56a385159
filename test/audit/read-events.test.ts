import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { MAX_WORDS } from '../../src/audit/read/event-filter.js';
import { MAX_TOKENS } from '../../src/audit/read/event-names.js';
import { EVENT_FIELDS } from '../../src/audit/read/event-view.js';
import { MAX_MERGED } from '../../src/audit/read/page-query.js';
import { MAX_MONTHS } from '../../src/audit/read/text-search.js';
import { ask, type Item, itemsOf, seed } from '../support/audit-events.js';
import { TestGateway, token } from '../support/gateway.js';
import { codeOf, rest, startSession } from '../support/rest.js';

describe('GET /audit/events', () => {
  let gateway: TestGateway;
  const auditor = token({ sub: 'eve', roles: ['auditor'] });
  const alice = token({ jti: 'token-of-alice' });
  const events = async (query: Record<string, string>, who = auditor): Promise<Item[]> => {
    const answer = await ask(gateway, who, 'events', query);
    if (answer.status !== 200) throw new Error(answer.text);
    return itemsOf(answer);
  };
  const ids = async (query: Record<string, string>): Promise<string[]> => (await events(query)).map(({ id }) => id);
  let session: string;

  beforeAll(async () => {
    gateway = await TestGateway.start();
    session = await startSession(gateway, alice, { command: ['/bin/true'] });
  });
  afterAll(() => gateway.remove());

  it('shows an event with all its fields, names in the place of tokens, and its place in the chain', async () => {
    const [event, ...others] = await events({ resource: `session:${session}`, action: 'pty.start' });
    expect(others).toEqual([]);
    expect(Object.keys(event ?? {})).toEqual(EVENT_FIELDS);
    const [row] = await gateway.query('SELECT *, timestamp::text AS moment FROM audit_events WHERE id = $1', [
      event?.id,
    ]);
    expect(row?.['user_id']).toMatch(/^p_/);
    expect(event).toMatchObject({
      ...{ user_id: 'alice', remote_addr: '127.0.0.1', credential_id: 'token-of-alice', success: true, level: 'info' },
      ...{ node: row?.['node'], seq: Number(row?.['seq']), prev_hash: row?.['prev_hash'], hash: row?.['hash'] },
    });
    const microseconds = /\.(\d+)/.exec(String(row?.['moment']))?.[1]?.padEnd(6, '0');
    expect(event?.timestamp).toMatch(
      new RegExp(`^2\\d{3}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.${String(microseconds)}Z$`),
    );
  });

  it('shows names in metadata too, and finds people by name, address and action', async () => {
    const admin = token({ sub: 'root', roles: ['admin'] });
    const member = { kind: 'subject', provider: 'gatehouse', name: 'newcomer' };
    await rest(gateway, admin, 'PUT', '/api/v1/policy/bindings', { role: 'viewer', member });
    const [bound] = await events({ user_id: 'root', action: 'policy.*' });
    expect(JSON.stringify(bound?.['metadata'])).toContain('newcomer');
    expect((await events({ user_id: 'alice' })).every(({ user_id }) => user_id === 'alice')).toBe(true);
    const here = await events({ remote_addr: '127.0.0.1' });
    expect(new Set(here.map(({ user_id }) => user_id)).size).toBeGreaterThan(1);
    expect(await events({ user_id: 'nobody-of-that-name' })).toEqual([]);
  });

  it('goes through pages that neither lose nor repeat an event, whatever is written meanwhile', async () => {
    // Equal times, so that the order is the id's.
    const at = '2020-03-05T10:00:00.000001Z';
    const made = await seed(
      gateway,
      Array.from({ length: 25 }, () => ({ timestamp: at, resource: 'paged:1' })),
    );
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const query: Record<string, string> = {
        resource: 'paged:1',
        limit: '10',
        ...(cursor === null ? {} : { cursor }),
      };
      const answer = await ask(gateway, auditor, 'events', query);
      seen.push(...itemsOf(answer).map(({ id }) => id));
      cursor = answer.body['next_cursor'] as string | null;
      await seed(gateway, [{ timestamp: '2020-03-05T10:00:01Z', resource: 'paged:1' }]);
    } while (cursor !== null);
    expect(seen).toEqual([...made].sort().reverse());
  });

  it('finds by every filter, and by all of them at once', async () => {
    const [found = '', failed = ''] = await seed(gateway, [
      {
        timestamp: '2020-05-01T00:00:00Z',
        resource: 'f:1',
        request_id: 'wanted',
        action: 'pty.kill',
        remote_addr: '9.9.9.9',
      },
      {
        timestamp: '2020-05-02T00:00:00Z',
        resource: 'f:1',
        success: false,
        level: 'error',
        action: 'pty.lost',
        reason: 'ODD',
      },
    ]);
    const span = { from: '2020-05-01T00:00:00Z', to: '2020-05-02T00:00:00.000001Z' };
    expect(await ids(span)).toEqual([failed, found]);
    expect(await ids({ ...span, to: '2020-05-02T02:00:00+02:00' })).toEqual([found]);
    expect(await ids({ request_id: 'wanted' })).toEqual([found]);
    expect(await ids({ remote_addr: '9.9.9.9' })).toEqual([found]);
    expect(await ids({ ...span, success: 'false' })).toEqual([failed]);
    expect(await ids({ ...span, success: 'true' })).toEqual([found]);
    expect(await ids({ ...span, level: 'error' })).toEqual([failed]);
    expect(await ids({ ...span, action: 'pty.*' })).toEqual([failed, found]);
    expect(await ids({ ...span, action: 'pty.kill' })).toEqual([found]);
    const all = { user_id: 'system', resource: 'f:1', level: 'error', success: 'false', action: 'pty.l*' };
    expect(await ids({ ...span, ...all, remote_addr: 'local', request_id: 'seeded', text: 'odd' })).toEqual([failed]);
    expect(await ids({ ...span, ...all, remote_addr: 'local', request_id: 'other', text: 'odd' })).toEqual([]);
  });

  it('finds words in action, resource, reason, request id and metadata, all of which must be there', async () => {
    const [first = '', second = ''] = await seed(gateway, [
      {
        timestamp: '2020-07-01T00:00:00Z',
        resource: 'box:Zebra-7',
        metadata: { note: 'quick brown fox', depth: 4711 },
      },
      { timestamp: '2020-08-01T00:00:00Z', reason: 'ZEBRA_GONE', request_id: 'brown-1' },
    ]);
    expect(await ids({ text: 'zebra' })).toEqual([second, first]);
    expect(await ids({ text: 'brown ZEBRA' })).toEqual([second, first]);
    expect(await ids({ text: 'zebra-7 fox' })).toEqual([first]);
    expect(await ids({ text: '4711' })).toEqual([first]);
    expect(await ids({ text: 'zebra unicorn' })).toEqual([]);
    const page = await ask(gateway, auditor, 'events', { text: 'zebra', limit: '1' });
    const cursor = String(page.body['next_cursor']);
    expect(await ids({ text: 'zebra', limit: '1', cursor })).toEqual([first]);
  });

  it('looks through so many months for a word, and then goes on from a cursor', async () => {
    const months = Array.from({ length: MAX_MONTHS + 2 }, (_, index) => new Date(Date.UTC(2012, index, 15)));
    const [oldest] = await seed(
      gateway,
      months.map((timestamp, index) => ({ timestamp, resource: index === 0 ? 'axolotl:1' : null })),
    );
    const first = await ask(gateway, auditor, 'events', { text: 'axolotl', to: '2014-03-01T00:00:00Z' });
    expect(itemsOf(first)).toEqual([]);
    const cursor = String(first.body['next_cursor']);
    const second = await ask(gateway, auditor, 'events', { text: 'axolotl', to: '2014-03-01T00:00:00Z', cursor });
    expect(itemsOf(second).map(({ id }) => id)).toEqual([oldest]);
    expect(second.body['next_cursor']).toBeNull();
  });

  it('merges the events of all who share an address, few or many, and refuses one that tells nothing', async () => {
    const names = (from: number, to: number, address: string) =>
      gateway.query(
        `INSERT INTO audit_names SELECT 'p_' || lpad($3 || n, 22, '0'), 'default', 'p', 's' || n, 'remote_addr', $3
         FROM generate_series($1::int, $2::int) AS n`,
        [from, to, address],
      );
    const tokenOf = (address: string, number: number): string => `p_${`${address}${String(number)}`.padStart(22, '0')}`;
    for (const [address, people] of [
      ['few', 5],
      ['many', MAX_MERGED + 5],
    ] as const) {
      await names(1, people, address);
      const event = { action: 'pty.attach', principal_kind: 'user', seq: 1 };
      const made = await seed(
        gateway,
        Array.from({ length: people }, (_, index) => ({
          ...{ ...event, remote_addr: tokenOf(address, index + 1), user_id: 'p_unknown' },
          timestamp: new Date(Date.UTC(2019, 0, 1, 0, index)),
        })),
      );
      const found = await events({ remote_addr: address, limit: '100', action: 'pty.*' });
      expect(found.map(({ id }) => id)).toEqual(made.reverse());
      expect(new Set(found.map(({ remote_addr }) => remote_addr))).toEqual(new Set([address]));
    }
    await names(1, MAX_TOKENS, 'all');
    expect(await events({ remote_addr: 'all' })).toEqual([]);
    await names(MAX_TOKENS + 1, MAX_TOKENS + 1, 'all');
    const refused = await ask(gateway, auditor, 'events', { remote_addr: 'all' });
    expect([refused.status, codeOf(refused)]).toEqual([422, 'INVALID_ARGUMENT']);
    expect(refused.text).toContain('"field":"remote_addr"');
  });

  it('shows a tenant’s administrator that tenant only', async () => {
    const [theirs = ''] = await seed(gateway, [{ tenant: 'acme', resource: 'secret:1', request_id: 'acmes' }]);
    const acme = token({ sub: 'ada', roles: ['admin'], tenant: 'acme' });
    expect(await ids({ resource: 'secret:1' })).toEqual([]);
    expect(await ids({ text: 'secret' })).toEqual([]);
    expect((await events({ resource: 'secret:1' }, acme)).map(({ id }) => id)).toEqual([theirs]);
    expect((await events({ text: 'secret 1' }, acme)).map(({ id }) => id)).toEqual([theirs]);
    expect((await events({}, acme)).every(({ tenant }) => tenant === 'acme')).toBe(true);
    const search = `SELECT * FROM audit_search(ARRAY[now()], 'acme', 'secret', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
      NULL, NULL, NULL, 10)`;
    await expect(gateway.query(search)).rejects.toThrow(/only the tenant of the transaction/);
  });

  it.each([
    ['action', { action: 'pty.dance' }],
    ['action', { action: '*' }],
    ['success', { success: 'yes' }],
    ['level', { level: 'debug' }],
    ['from', { from: 'yesterday' }],
    ['from', { from: '0000-01-01T00:00:00Z' }],
    ['to', { to: '2026-02-30T00:00:00Z' }],
    ['to', { from: '2026-02-02T00:00:00Z', to: '2026-02-02T00:00:00Z' }],
    ['user_id', { user_id: '' }],
    ['resource', { resource: 'a\u0000b' }],
    ['remote_addr', { remote_addr: 'x'.repeat(513) }],
    ['text', { text: '…' }],
    ['text', { text: 'w '.repeat(MAX_WORDS + 1) }],
    ['limit', { limit: '101' }],
    ['limit', { limit: '0' }],
    ['limit', { limit: '1e1' }],
    ['cursor', { cursor: 'abc' }],
    ['cursor', { cursor: '2026-02-30T00:00:00.000000Z_00000000-0000-0000-0000-000000000000' }],
  ] as [string, Record<string, string>][])('refuses a wrong %s, which it names (%#)', async (field, query) => {
    const answer = await ask(gateway, auditor, 'events', query);
    expect([answer.status, codeOf(answer)]).toEqual([422, 'INVALID_ARGUMENT']);
    expect(answer.text).toContain(`"field":"${field}"`);
  });

  it('refuses an unknown filter by its name, and one that comes twice', async () => {
    expect((await ask(gateway, auditor, 'events', { usr: 'x' })).text).toContain('usr');
    const twice = await rest(gateway, auditor, 'GET', '/api/v1/audit/events?level=info&level=warn');
    expect([twice.status, codeOf(twice)]).toEqual([422, 'INVALID_ARGUMENT']);
  });

  it('is for who holds audit:read', async () => {
    expect((await ask(gateway, alice, 'events')).status).toBe(403);
    expect((await ask(gateway, null, 'events')).status).toBe(401);
    expect((await ask(gateway, token({ sub: 'op', roles: ['operator'] }), 'events')).status).toBe(200);
  });

  it('is itself in the trail, with the filters’ names and not their values', async () => {
    const curious = token({ sub: 'curious', roles: ['auditor'] });
    await events({ user_id: 'a-name-not-to-be-kept', level: 'warn' }, curious);
    const rows = await gateway.audit({ action: 'audit.read', user_id: 'curious' });
    expect(rows).toHaveLength(1);
    expect(rows[0]?.['metadata']).toEqual({ filters: ['user_id', 'level'], events: 0 });
    expect(JSON.stringify(rows)).not.toContain('a-name-not-to-be-kept');
  });
});
