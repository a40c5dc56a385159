import { Client } from 'pg';
import type { Config } from '../../config/load.js';
import { createDataSource, sslOptions } from '../../database/data-source.js';
import { EmbeddedPostgres } from '../../database/embedded-postgres.js';
import { mask } from '../../kernel/mask.js';
import { readable } from './readable.js';
import { type SealedRow, sealedRows } from './sealed-facts.js';

const CONNECT_MS = 5000;
const QUERY_MS = 10_000;
/** What the first start calls the key that it prints. */
const FIRST_KEY = 'first administrator';

/** What there is to know of a database that answers. */
export interface DatabaseFacts {
  /** As PostgreSQL writes it: 180004. */
  readonly version: number;
  /** Does row-level security not bind the login? */
  readonly bypasses: boolean;
  readonly superuser: boolean;
  /** May the login alter the tables of the audit trail? Null where there are none yet. */
  readonly altersAudit: boolean | null;
  /** By how much its clock is ahead of this machine's, milliseconds. */
  readonly clockAheadMs: number;
  /** Names of the migrations that were run; null where none was, or the login may not read them. */
  readonly migrations: readonly string[] | null;
  /** Those of this version. */
  readonly known: readonly string[];
  /** Is the key of the first start still good? Null where that cannot be known. */
  readonly firstKey: boolean | null;
  readonly sealed: readonly SealedRow[] | null;
}

/** A database, or why there is nothing to know of it. */
export type DatabaseView =
  | { readonly state: 'answers'; readonly embedded: boolean; readonly facts: DatabaseFacts }
  | { readonly state: 'away'; readonly embedded: boolean; readonly fault: string };

/** Looks at the database of the configuration, without changing anything in it; an embedded one is not started. */
export async function databaseView(config: Config): Promise<DatabaseView> {
  const embedded = config.DATABASE_URL === undefined;
  try {
    const url = config.DATABASE_URL ?? EmbeddedPostgres.addressIn(config.dataDir);
    if (url === null) return { state: 'away', embedded, fault: 'there is none yet' };
    return { state: 'answers', embedded, facts: await factsOf(url, config) };
  } catch (error) {
    return { state: 'away', embedded, fault: faultOf(error) };
  }
}

/** In words of the driver, which names no password; several addresses of one name fail together. */
function faultOf(error: unknown): string {
  const told = error instanceof AggregateError ? (error.errors as unknown[])[0] : error;
  return mask(told instanceof Error ? told.message : String(told));
}

async function factsOf(url: string, config: Config): Promise<DatabaseFacts> {
  const ssl = sslOptions(config);
  const client = new Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: QUERY_MS,
    application_name: 'gatehouse doctor',
    ...(ssl === undefined ? {} : { ssl }),
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
    await client.query('BEGIN READ ONLY');
    // What is of a tenant is counted for all of them.
    await client.query(`SET LOCAL gatehouse.scope = 'system'`);
    return { ...(await about(client)), known: knownMigrations(url, config), sealed: await sealedRows(client) };
  } finally {
    await client.end().catch(() => undefined);
  }
}

type About = Omit<DatabaseFacts, 'known' | 'sealed'>;

async function about(client: Client): Promise<About> {
  const before = Date.now();
  const { rows } = await client.query<About & { now: number }>(`
    SELECT current_setting('server_version_num')::int AS version, rolsuper AS superuser,
      rolsuper OR rolbypassrls AS bypasses, extract(epoch FROM clock_timestamp())::float8 * 1000 AS now,
      (SELECT rolsuper OR pg_has_role(current_user, relowner, 'MEMBER') FROM pg_class
       WHERE oid = to_regclass('audit_events')) AS "altersAudit"
    FROM pg_roles WHERE rolname = current_user`);
  const [row] = rows;
  if (row === undefined) throw new Error('the database does not know its own user');
  const { now, ...facts } = row;
  return {
    ...facts,
    clockAheadMs: Math.round(now - (before + Date.now()) / 2),
    migrations: await migrationsIn(client),
    firstKey: await firstKeyIn(client),
  };
}

async function migrationsIn(client: Client): Promise<string[] | null> {
  if (!(await readable(client, 'migrations'))) return null;
  const { rows } = await client.query<{ name: string }>('SELECT name FROM migrations ORDER BY id');
  return rows.map(({ name }) => name);
}

async function firstKeyIn(client: Client): Promise<boolean | null> {
  if (!(await readable(client, 'api_keys'))) return null;
  const { rowCount } = await client.query(
    `SELECT 1 FROM api_keys WHERE name = $1 AND created_by = 'system' AND revoked_at IS NULL
       AND (rotated_to IS NULL OR grace_until > now()) AND (expires_at IS NULL OR expires_at > now())`,
    [FIRST_KEY],
  );
  return (rowCount ?? 0) > 0;
}

/** Classes, as they are listed; TypeORM keeps their names. */
function knownMigrations(url: string, config: Config): string[] {
  const { migrations = [] } = createDataSource(url, config).options;
  return Object.values(migrations).flatMap((each) => (typeof each === 'function' ? [each.name] : []));
}
