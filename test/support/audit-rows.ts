import type { Client } from 'pg';

/** The trail of a busy year, made by PostgreSQL itself, and what is asked of it. No name of a type is needed to run this. */
export const MONTHS = 13;
const USERS = 2000;

/** Numbers of a row: `g` counts, `r` and `s` look random and are the same in every run. */
const NUMBERS = `SELECT g, hashint8(g) & 2147483647 AS r, hashint8(g * 31 + 7) & 2147483647 AS s`;
const START = `(date_trunc('month', now()) - interval '${String(MONTHS - 1)} months')`;
/** Few people do most. */
const USER = `floor(${String(USERS)} * power(r / 2147483648.0, 3))::int`;
const ACTIONS = [
  ...Array<string>(40).fill('auth.success'),
  ...Array<string>(20).fill('pty.attach'),
  ...Array<string>(20).fill('pty.detach'),
  ...['pty.start', 'pty.start', 'pty.exit', 'pty.exit', 'pty.kill', 'auth.failed', 'authz.denied', 'audit.read'],
];

/** @param first and last numbers of the rows; @param total of all that are made */
const insert = (first: number, last: number, total: number): string => `
  INSERT INTO audit_events (id, timestamp, tenant, user_id, principal_kind, auth_method, credential_id, action, resource,
    success, reason, level, transport, remote_addr, user_agent, request_id, trace_id, metadata, node, seq, prev_hash, hash,
    canonical)
  SELECT md5('id' || g)::uuid, ${START} + (now() - ${START}) * (g::float8 / ${String(total)}),
    CASE WHEN s % 5 = 0 THEN 'other-' || s % 3 ELSE 'default' END,
    'p_' || rpad('u' || u, 22, 'z'), 'user', 'jwt', md5('jti' || g / 9),
    CASE WHEN g % 100003 = 0 THEN 'policy.changed' ELSE (ARRAY['${ACTIONS.join("','")}'])[1 + s % ${String(ACTIONS.length)}] END,
    'session:' || md5('session' || g / 20)::uuid, g % 25 <> 0, CASE WHEN g % 25 = 0 THEN 'PERMISSION_DENIED' END,
    CASE WHEN r % 5000 = 0 THEN 'error' WHEN g % 25 = 0 THEN 'warn' ELSE 'info' END, 'websocket',
    'p_' || rpad('a' || u || 'n' || r % 2, 22, 'z'), 'p_' || rpad('g' || u, 22, 'z'), md5('request' || g)::uuid::text, NULL,
    jsonb_build_object('mode', 'controller', 'bytes_in', s % 1000) || CASE WHEN g % 20011 = 0
      THEN jsonb_build_object('note', 'needle') ELSE '{}' END,
    'gateway-' || g % 3, g, md5('p' || g) || md5('q' || g), md5('h' || g) || md5('i' || g), repeat('c', 600)
  FROM (SELECT g, r, s, ${USER} AS u FROM (${NUMBERS} FROM generate_series(${String(first)}, ${String(last)}) AS g)) AS n`;

/** Half of what somebody does comes from an address shared with 49 others, half from their own. */
const NAMES = `
  INSERT INTO audit_names
  SELECT 'p_' || rpad(letter || u || suffix, 22, 'z'), 'default', 'gatehouse', 'user' || u, kind, value
  FROM generate_series(0, ${String(USERS - 1)}) AS u, LATERAL (VALUES
    ('u', '', 'user_id', 'user' || u), ('g', '', 'user_agent', 'agent/' || u % 9),
    ('a', 'n0', 'remote_addr', '10.0.0.' || u % 40), ('a', 'n1', 'remote_addr', '10.1.0.' || u)
  ) AS of_user (letter, suffix, kind, value)`;

/**
 * Fills the trail of a migrated database. Its indexes are made after its rows, which is faster.
 * @param tell of each step
 */
export async function fillTrail(client: Client, rows: number, tell: (step: string) => void): Promise<void> {
  await client.query(`SET synchronous_commit = off`);
  await client.query(`SET maintenance_work_mem = '1GB'`);
  await client.query(
    `SELECT audit_make_month(now() - interval '1 month' * n) FROM generate_series(0, ${String(MONTHS)}) AS n`,
  );
  const { rows: indexes } = await client.query<{ name: string; made: string }>(`
    SELECT indexname AS name, replace(indexdef, ' ON ONLY ', ' ON ') AS made FROM pg_indexes
    WHERE tablename = 'audit_events' AND indexname NOT LIKE '%\\_pkey%'`);
  for (const { name } of indexes) await client.query(`DROP INDEX ${name}`);
  const step = 500_000;
  for (let first = 1; first <= rows; first += step) {
    await client.query(insert(first, Math.min(first + step - 1, rows), rows));
    tell(`${String(Math.min(first + step - 1, rows))} rows`);
  }
  await client.query(NAMES);
  for (const { name, made } of indexes) {
    await client.query(made);
    tell(name);
  }
  await client.query('VACUUM ANALYZE audit_events, audit_names');
}

type Filter = Readonly<Record<string, string | boolean | readonly string[]>>;

/** What a page is asked by, one filter at a time; what is common, rare and not there at all. */
export async function singleFilters(client: Client): Promise<Readonly<Record<string, Filter>>> {
  const { rows } = await client.query<{ resource: string; request_id: string; from: string; to: string }>(`
    SELECT resource, request_id, to_char(timestamp, 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS from,
      to_char(timestamp + interval '6 hours', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS to
    FROM audit_events WHERE tenant = 'default' AND timestamp > now() - interval '200 days' ORDER BY timestamp LIMIT 1`);
  const [{ resource, request_id, from, to }] = rows as [(typeof rows)[0] & object];
  return {
    'no filter': {},
    'user_id, busy': { user_id: 'user0' },
    'user_id, rare': { user_id: `user${String(USERS - 1)}` },
    'user_id, unknown': { user_id: 'nobody' },
    'remote_addr, of 50 people': { remote_addr: '10.0.0.7' },
    'remote_addr, of one': { remote_addr: '10.1.0.77' },
    'remote_addr, unknown': { remote_addr: '203.0.113.9' },
    'action, common': { action: ['pty.attach'] },
    'action, rare': { action: ['policy.changed'] },
    'action, never': { action: ['runner.lost'] },
    'action, a prefix': { action: ['pty.start', 'pty.attach', 'pty.detach', 'pty.signal', 'pty.kill', 'pty.exit'] },
    resource: { resource },
    'success, false': { success: false },
    'success, true': { success: true },
    'level, info': { level: 'info' },
    'level, warn': { level: 'warn' },
    'level, error': { level: 'error' },
    'from and to': { from, to },
    'to, long ago': { to: from },
    request_id: { request_id },
    'text, rare word': { text: 'needle' },
    'text, common word': { text: 'attach' },
    'text, two words': { text: 'controller needle' },
    'text, unknown word': { text: 'xylophone' },
  };
}

/** Connection options under which PostgreSQL tells the plan of everything it runs, in functions too. */
export const EXPLAINING =
  '-c session_preload_libraries=auto_explain -c auto_explain.log_min_duration=0 -c auto_explain.log_format=json ' +
  '-c auto_explain.log_nested_statements=on -c auto_explain.log_level=notice -c client_min_messages=notice ' +
  '-c role=gatehouse_app';

interface Node {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly Plans?: readonly Node[];
}

/** The nodes of the plans in notices of auto_explain, each once: `Index Scan: user_id`, `Sort`. */
export function nodesOf(notices: readonly string[]): string[] {
  const nodes = notices
    .filter((notice) => /audit_events(?!'::regclass)/.test(notice) && notice.includes('plan:'))
    .flatMap((notice) => flat((JSON.parse(notice.slice(notice.indexOf('{'))) as { Plan: Node }).Plan))
    .map(({ 'Node Type': type, 'Relation Name': table, 'Index Name': index }) => {
      const on = index ?? table;
      // Parts are named after their month, and their indexes after the columns.
      return on === undefined ? type : `${type}: ${on.replace(/^audit_events_\d{4}_\d{2}_?/, '')}`;
    });
  return [...new Set(nodes)];
}

const flat = (node: Node): Node[] => [node, ...(node.Plans ?? []).flatMap(flat)];

/** Something to read the trail with over one connection, in one tenant, as `TenantScope` does. */
export const scopeOn = (client: Client) => ({
  async within<T>(tenant: string, work: (manager: never) => Promise<T>): Promise<T> {
    await client.query('BEGIN');
    await client.query(`SELECT set_config('gatehouse.tenant', $1, true)`, [tenant]);
    const manager = {
      query: async (sql: string, values?: unknown[]) => (await client.query(sql, values)).rows as unknown,
    };
    try {
      return await work(manager as never);
    } finally {
      await client.query('COMMIT');
    }
  },
});
