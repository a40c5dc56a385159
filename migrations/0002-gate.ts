import type { MigrationInterface, QueryRunner } from 'typeorm';
import { createSecurityFeed } from './0002-security-feed.js';

/** Rows that belong to a tenant: each of these tables has a column `tenant`. */
const TENANT_TABLES = [
  'sessions',
  'session_shares',
  'api_keys',
  'role_bindings',
  'revocations',
  'subjects',
  'ws_tickets',
  'used_tokens',
  'audit_events',
] as const;

/** Identity, keys and policy: what the gate decides by, and how every gateway hears of a change within a second. */
export class Gate1700000000002 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await extendApiKeys(queryRunner);
    await createPolicy(queryRunner);
    await createIdentity(queryRunner);
    await createSecurityFeed(queryRunner);
    await separateTenants(queryRunner);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    for (const table of ['sessions', 'api_keys', 'audit_events']) {
      await queryRunner.query(`ALTER TABLE ${table} NO FORCE ROW LEVEL SECURITY`);
      await queryRunner.query(`ALTER TABLE ${table} DISABLE ROW LEVEL SECURITY`);
      await queryRunner.query(`DROP POLICY ${table}_of_tenant ON ${table}`);
    }
    await queryRunner.query('DROP TABLE used_tokens, ws_tickets, subjects, revocations, role_bindings, session_shares');
    await queryRunner.query('DROP TRIGGER api_keys_security_update ON api_keys');
    await queryRunner.query('DROP TRIGGER api_keys_security_delete ON api_keys');
    await queryRunner.query('DROP FUNCTION note_security_changes, number_security_changes');
    await queryRunner.query('DROP TABLE security_changes, security_clock');
    await queryRunner.query(`
      ALTER TABLE api_keys
        DROP description, DROP owner_provider, DROP created_by_provider, DROP last_four, DROP allowed_cidrs,
        DROP rate_limit_per_minute, DROP last_used_at, DROP last_used_ip, DROP use_count, DROP revoked_by,
        DROP revoked_reason, DROP rotated_from, DROP rotated_to, DROP grace_until, DROP verifier, DROP verifier_key,
        DROP idempotency_key, DROP idempotency_hash, DROP expiring_noted_on`);
  }
}

async function extendApiKeys(queryRunner: QueryRunner): Promise<void> {
  await queryRunner.query(`
      ALTER TABLE api_keys
        ADD description           text NOT NULL DEFAULT '',
        ADD owner_provider        text NOT NULL DEFAULT 'gatehouse',
        ADD created_by_provider   text NOT NULL DEFAULT 'gatehouse',
        ADD last_four             text NOT NULL DEFAULT '',
        ADD allowed_cidrs         text[],
        ADD rate_limit_per_minute integer CHECK (rate_limit_per_minute > 0),
        ADD last_used_at          timestamptz(3),
        ADD last_used_ip          text,
        ADD use_count             bigint NOT NULL DEFAULT 0,
        ADD revoked_by            text,
        ADD revoked_reason        text,
        ADD rotated_from          text REFERENCES api_keys (id),
        ADD rotated_to            text REFERENCES api_keys (id),
        ADD grace_until           timestamptz(3),
        ADD verifier              text,
        ADD verifier_key          text,
        ADD idempotency_key       text,
        ADD idempotency_hash      text,
        ADD expiring_noted_on     date`);
  await queryRunner.query('CREATE INDEX api_keys_by_tenant ON api_keys (tenant, created_at DESC, id DESC)');
  await queryRunner.query(`
      CREATE INDEX api_keys_by_owner ON api_keys (tenant, owner_provider, owner_subject, created_at DESC, id DESC)`);
  await queryRunner.query(`
      CREATE INDEX api_keys_ending ON api_keys (expires_at) WHERE expires_at IS NOT NULL AND revoked_at IS NULL`);
  await queryRunner.query(`
      CREATE UNIQUE INDEX api_keys_idempotent ON api_keys (tenant, created_by_provider, created_by, idempotency_key)
      WHERE idempotency_key IS NOT NULL`);
  // The first administrator's key of an older installation: its owner holds what it holds.
  await queryRunner.query(`ALTER TABLE api_keys ALTER owner_provider DROP DEFAULT`);
  await queryRunner.query(`ALTER TABLE api_keys ALTER created_by_provider DROP DEFAULT`);
}

async function createPolicy(queryRunner: QueryRunner): Promise<void> {
  await queryRunner.query(`
      CREATE TABLE role_bindings (
        id              uuid PRIMARY KEY,
        tenant          text NOT NULL,
        role            text NOT NULL,
        member_kind     text NOT NULL CHECK (member_kind IN ('subject', 'group')),
        member_provider text NOT NULL,
        member          text NOT NULL,
        created_by      text NOT NULL,
        created_at      timestamptz(3) NOT NULL DEFAULT now(),
        UNIQUE (tenant, role, member_kind, member_provider, member)
      )`);
  // What the owners of keys held so far, now that a key is worth no more than its owner. Only by keys that still work, and
  // that were not narrowed: their owners would hold more by the binding than they ever did by the key.
  await queryRunner.query(`
      INSERT INTO role_bindings (id, tenant, role, member_kind, member_provider, member, created_by)
      SELECT gen_random_uuid(), tenant, role, 'subject', owner_provider, owner_subject, 'system'
      FROM (
        SELECT DISTINCT tenant, unnest(roles) AS role, owner_provider, owner_subject FROM api_keys
        WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AND scopes IS NULL
      ) AS held`);
  await queryRunner.query(`
      CREATE TABLE session_shares (
        id               uuid PRIMARY KEY,
        session_id       uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
        tenant           text NOT NULL,
        grantee_kind     text NOT NULL CHECK (grantee_kind IN ('subject', 'group')),
        grantee_provider text NOT NULL,
        grantee          text NOT NULL,
        level            text NOT NULL CHECK (level IN ('view', 'input')),
        created_by       text NOT NULL,
        created_at       timestamptz(3) NOT NULL DEFAULT now(),
        expires_at       timestamptz(3),
        UNIQUE (session_id, grantee_kind, grantee_provider, grantee)
      )`);
  await queryRunner.query(`
      CREATE INDEX session_shares_by_grantee ON session_shares (tenant, grantee_kind, grantee_provider, grantee)`);
}

async function createIdentity(queryRunner: QueryRunner): Promise<void> {
  await queryRunner.query(`
      CREATE TABLE revocations (
        id         uuid PRIMARY KEY,
        tenant     text NOT NULL,
        kind       text NOT NULL CHECK (kind IN ('jti', 'subject')),
        jti        text CHECK ((jti IS NULL) = (kind = 'subject')),
        provider   text,
        subject    text CHECK ((subject IS NULL) = (kind = 'jti')),
        before     timestamptz(3) NOT NULL,
        reason     text,
        created_by text NOT NULL,
        created_at timestamptz(3) NOT NULL DEFAULT now(),
        expires_at timestamptz(3) NOT NULL,
        own        boolean NOT NULL DEFAULT false
      )`);
  await queryRunner.query(
    `CREATE UNIQUE INDEX revocations_once ON revocations (tenant, kind, coalesce(jti, subject), coalesce(provider, ''))`,
  );
  await queryRunner.query('CREATE INDEX revocations_by_tenant ON revocations (tenant, id DESC)');
  await queryRunner.query('CREATE INDEX revocations_ending ON revocations (expires_at)');
  // What each subject was last vouched for: a key is worth no more than its owner holds at present.
  await queryRunner.query(`
      CREATE TABLE subjects (
        tenant    text NOT NULL,
        provider  text NOT NULL,
        subject   text NOT NULL,
        roles     text[] NOT NULL,
        groups    text[] NOT NULL,
        issued_at timestamptz(3) NOT NULL,
        PRIMARY KEY (tenant, provider, subject)
      )`);
  await queryRunner.query(`
      CREATE TABLE ws_tickets (
        hash       text PRIMARY KEY,
        tenant     text NOT NULL,
        principal  jsonb NOT NULL,
        expires_at timestamptz(3) NOT NULL,
        used_at    timestamptz(3)
      )`);
  await queryRunner.query('CREATE INDEX ws_tickets_ending ON ws_tickets (expires_at)');
  await queryRunner.query(`
      CREATE TABLE used_tokens (
        tenant     text NOT NULL,
        provider   text NOT NULL,
        jti        text NOT NULL,
        expires_at timestamptz(3) NOT NULL,
        PRIMARY KEY (tenant, provider, jti)
      )`);
  await queryRunner.query('CREATE INDEX used_tokens_ending ON used_tokens (expires_at)');
}

/**
 * Row-level security, the second lock behind the tenant that every query names: without a tenant set for the
 * transaction there are no rows. FORCE, so that it holds for the tables' owner too; a superuser is beyond it, which is why
 * the gateway works under a role of its own (database/application-role.ts).
 */
async function separateTenants(queryRunner: QueryRunner): Promise<void> {
  const allowed = `(tenant = current_setting('gatehouse.tenant', true) OR current_setting('gatehouse.scope', true) = 'system')`;
  for (const table of TENANT_TABLES) {
    await queryRunner.query(`ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`);
    await queryRunner.query(`ALTER TABLE ${table} FORCE ROW LEVEL SECURITY`);
    await queryRunner.query(`CREATE POLICY ${table}_of_tenant ON ${table} USING ${allowed} WITH CHECK ${allowed}`);
  }
}
