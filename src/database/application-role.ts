import type { Client } from 'pg';

/** The role that the gateway works under where its login could see past row-level security. */
export const APPLICATION_ROLE = 'gatehouse_app';

/** What the gateway does to each table, and nothing else. The record is written and read, never changed. */
const PRIVILEGES: Readonly<Record<string, string>> = {
  sessions: 'SELECT, INSERT, UPDATE, DELETE',
  session_shares: 'SELECT, INSERT, UPDATE, DELETE',
  agents: 'SELECT, INSERT, UPDATE, DELETE',
  worktrees: 'SELECT, INSERT, UPDATE, DELETE',
  api_keys: 'SELECT, INSERT, UPDATE',
  role_bindings: 'SELECT, INSERT, DELETE',
  revocations: 'SELECT, INSERT, UPDATE, DELETE',
  subjects: 'SELECT, INSERT, UPDATE',
  ws_tickets: 'SELECT, INSERT, UPDATE, DELETE',
  used_tokens: 'SELECT, INSERT, DELETE',
  sealed_secrets: 'SELECT, INSERT, UPDATE, DELETE',
  audit_events: 'SELECT, INSERT',
  audit_trail: 'SELECT',
  audit_names: 'SELECT, INSERT, DELETE',
  audit_chains: 'SELECT, INSERT, UPDATE',
  audit_checkpoints: 'SELECT, INSERT',
  audit_tombstones: 'SELECT',
  security_clock: 'SELECT, UPDATE',
  security_changes: 'SELECT, INSERT, DELETE',
};

/** What it may have done to the trail's parts, or have read in them, which it may not do itself. */
const FUNCTIONS = [
  'audit_make_month(timestamptz)',
  'audit_drop_month(timestamptz, bigint, text, text, text)',
  'audit_search',
];

/**
 * The role to work under: null where the login itself is bound by row-level security, as an ordinary owner of the tables is
 * (they FORCE it). A superuser, such as that of the embedded PostgreSQL, is not: it gets a role made that may do only what
 * the gateway does. Run under the lock of the migrations, after them.
 * @throws the driver's error when the login sees past row-level security and may not make roles; Error with a sentence for
 *   the operator when the role is there and sees past it too
 */
export async function applicationRole(client: Client): Promise<string | null> {
  const { rows } = await client.query<{ superuser: boolean; bypasses: boolean }>(
    'SELECT rolsuper AS superuser, rolsuper OR rolbypassrls AS bypasses FROM pg_roles WHERE rolname = current_user',
  );
  if (rows[0]?.bypasses === false) return null;
  // Roles belong to the whole server: another database's gateway may make it at the same time.
  await client.query(`DO $$ BEGIN
      CREATE ROLE ${APPLICATION_ROLE} NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END $$`);
  await requireBound(client);
  // Where the login is no superuser but sees past row-level security, it needs to be a member to become it.
  if (rows[0]?.superuser === false) await client.query(`GRANT ${APPLICATION_ROLE} TO CURRENT_USER`);
  await client.query(`GRANT USAGE ON SCHEMA public TO ${APPLICATION_ROLE}`);
  for (const made of FUNCTIONS) await client.query(`GRANT EXECUTE ON FUNCTION ${made} TO ${APPLICATION_ROLE}`);
  for (const [table, privileges] of Object.entries(PRIVILEGES)) {
    await client.query(`GRANT ${privileges} ON ${table} TO ${APPLICATION_ROLE}`);
  }
  return APPLICATION_ROLE;
}

/** The role may have been there already, made by somebody else. @throws Error when row-level security does not bind it */
async function requireBound(client: Client): Promise<void> {
  const { rows } = await client.query<{ bound: boolean }>(
    'SELECT NOT rolsuper AND NOT rolbypassrls AS bound FROM pg_roles WHERE rolname = $1',
    [APPLICATION_ROLE],
  );
  if (rows[0]?.bound !== true) {
    throw new Error(
      `The role ${APPLICATION_ROLE} sees past row-level security. ` +
        `Run ALTER ROLE ${APPLICATION_ROLE} NOSUPERUSER NOBYPASSRLS, or drop it: the start makes it anew.`,
    );
  }
}
