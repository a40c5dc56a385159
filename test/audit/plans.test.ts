import '../support/nest-first.js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client } from 'pg';
import { EventReader } from '../../src/audit/read/event-reader.js';
import { loadConfig } from '../../src/config/load.js';
import { createDataSource } from '../../src/database/data-source.js';
import { migrate } from '../../src/database/migrate.js';
import type { TenantScope } from '../../src/database/tenant-scope.js';
import { EXPLAINING, fillTrail, nodesOf, scopeOn, singleFilters } from '../support/audit-rows.js';
import { createDatabase } from '../support/gateway.js';

const ROWS = 50_000;
/** The index that a page of each filter begins. */
const INDEXES: Readonly<Record<string, RegExp>> = {
  'no filter': /Index Scan: tenant_timestamp_id_idx|Index Scan: pkey/,
  user_id: /Index (Only )?Scan: tenant_user_id_timestamp_id_idx/,
  remote_addr: /Index (Only )?Scan: tenant_remote_addr_timestamp_id_idx/,
  action: /Index (Only )?Scan: tenant_action_timestamp_id_idx/,
  resource: /Index Scan: tenant_resource_timestamp_id_idx/,
  'success, false': /Index Scan: tenant_timestamp_id_idx1/,
  'success, true': /Index Scan: (tenant_timestamp_id_idx|pkey)/,
  'level, info': /Index Scan: (tenant_timestamp_id_idx|pkey)/,
  level: /Index Scan: tenant_level_timestamp_id_idx/,
  from: /Index Scan: (tenant_timestamp_id_idx|pkey)/,
  to: /Index Scan: (tenant_timestamp_id_idx|pkey)/,
  request_id: /Index Scan: tenant_request_id_timestamp_id_idx/,
  'text, common word': /Index Scan: (tenant_timestamp_id_idx|pkey)|audit_words_idx/,
  text: /Bitmap Index Scan: audit_words_idx/,
};
/** The rare action comes once in 100,003 events. */
const FINDS_NOTHING = /unknown|never|action, rare/;

function indexOf(name: string): RegExp {
  const index = INDEXES[name] ?? INDEXES[/^\w+/.exec(name)?.[0] ?? ''];
  if (index === undefined) throw new Error(`no index is expected for ${name}`);
  return index;
}

describe(`a page of a trail of ${String(ROWS)} events over a year, as the gateway’s role reads it`, () => {
  const clients: Client[] = [];
  const notices: string[] = [];
  let url: string;
  let reader: EventReader;
  const connected = async (options = ''): Promise<Client> => {
    const client = new Client({ connectionString: url, options });
    await client.connect();
    clients.push(client);
    return client;
  };

  beforeAll(async () => {
    url = await createDatabase();
    const owner = await connected();
    const config = loadConfig({ NODE_ENV: 'test', AUTH_SECRET: 'x'.repeat(32) });
    await migrate(createDataSource(url, config), owner);
    await fillTrail(owner, ROWS, () => undefined);
    const explaining = await connected(EXPLAINING);
    explaining.on('notice', ({ message }) => notices.push(message ?? ''));
    reader = new EventReader(scopeOn(explaining) as unknown as TenantScope);
  });
  afterAll(async () => {
    for (const client of clients) await client.end();
  });

  it('is the beginning of an index, whatever single filter it is asked by', async () => {
    const filters = Object.entries(await singleFilters(clients[0] as Client));
    expect(filters.length).toBeGreaterThan(20);
    for (const [name, filter] of filters) {
      notices.length = 0;
      const { items } = await reader.page('default', { filter, after: null, limit: 100 });
      const nodes = nodesOf(notices).join(', ');
      expect([name, nodes]).toEqual([name, expect.stringMatching(indexOf(name))]);
      if (!name.startsWith('text'))
        expect([name, nodes]).toEqual([name, expect.not.stringMatching(/Seq Scan|Bitmap|Hash/)]);
      // What was looked for is what was found.
      expect([name, items.length > 0]).toEqual([name, !FINDS_NOTHING.test(name)]);
    }
  });

  it('has the names of everybody in it', async () => {
    const { items } = await reader.page('default', { filter: { user_id: 'user0' }, after: null, limit: 100 });
    expect(items).toHaveLength(100);
    for (const { user_id, remote_addr, user_agent } of items) {
      expect([user_id, remote_addr, user_agent]).toEqual(['user0', expect.stringMatching(/^10\.[01]\.0/), 'agent/0']);
    }
  });

  it('leads to the next, and all of them to everything there is, in order', async () => {
    const seen: string[] = [];
    for await (const page of reader.pages('default', { remote_addr: '10.0.0.7' }, 500)) {
      seen.push(...page.map(({ timestamp, id }) => `${timestamp} ${id}`));
    }
    const { rows } = await (clients[0] as Client).query<{ n: number }>(
      `SELECT count(*)::int AS n FROM audit_trail WHERE tenant = 'default' AND remote_addr = '10.0.0.7'`,
    );
    expect(seen).toHaveLength(rows[0]?.n ?? 0);
    expect(seen).toEqual([...new Set(seen)].sort().reverse());
  });
});
