import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Sessions, API keys and the audit trail. */
export class Foundation1700000000001 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await createSessions(queryRunner);
    await createApiKeys(queryRunner);
    await createAuditEvents(queryRunner);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`DROP TABLE audit_events, api_keys, sessions`);
    await queryRunner.query(`DROP FUNCTION audit_events_are_final`);
  }
}

async function createSessions(queryRunner: QueryRunner): Promise<void> {
  await queryRunner.query(`
      CREATE TABLE sessions (
        id             uuid PRIMARY KEY,
        runner         uuid NOT NULL,
        tenant         text NOT NULL,
        name           text NOT NULL,
        owner_provider text NOT NULL,
        owner_subject  text NOT NULL,
        state          text NOT NULL CHECK (state IN ('starting', 'running', 'exited', 'killed', 'lost')),
        command        text[] NOT NULL,
        cwd            text NOT NULL,
        cols           integer NOT NULL,
        rows           integer NOT NULL,
        pid            integer,
        exit_code      integer,
        signal         text,
        reason         text,
        created_at     timestamptz(3) NOT NULL DEFAULT now(),
        ended_at       timestamptz(3)
      )`);
  // Ids are UUIDv7, so that order by id is order by time.
  await queryRunner.query(`CREATE INDEX sessions_by_tenant ON sessions (tenant, id DESC)`);
  await queryRunner.query(
    `CREATE INDEX sessions_live ON sessions (tenant, owner_provider, owner_subject) WHERE ended_at IS NULL`,
  );
  await queryRunner.query(`CREATE INDEX sessions_of_runner ON sessions (runner) WHERE ended_at IS NULL`);
  await queryRunner.query(`CREATE INDEX sessions_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL`);
}

async function createApiKeys(queryRunner: QueryRunner): Promise<void> {
  await queryRunner.query(`
      CREATE TABLE api_keys (
        id            text PRIMARY KEY CHECK (id ~ '^[0-9A-Za-z]{16}$'),
        tenant        text NOT NULL,
        name          text NOT NULL,
        owner_subject text NOT NULL,
        created_by    text NOT NULL,
        key_hash      text NOT NULL,
        prefix        text NOT NULL,
        roles         text[] NOT NULL,
        scopes        text[],
        expires_at    timestamptz(3),
        revoked_at    timestamptz(3),
        created_at    timestamptz(3) NOT NULL DEFAULT now()
      )`);
}

async function createAuditEvents(queryRunner: QueryRunner): Promise<void> {
  await queryRunner.query(`
      CREATE TABLE audit_events (
        id             uuid PRIMARY KEY,
        timestamp      timestamptz NOT NULL,
        tenant         text NOT NULL,
        user_id        text NOT NULL,
        principal_kind text,
        auth_method    text,
        credential_id  text,
        action         text NOT NULL,
        resource       text,
        success        boolean NOT NULL,
        reason         text,
        level          text NOT NULL,
        transport      text NOT NULL,
        remote_addr    text NOT NULL,
        user_agent     text,
        request_id     text NOT NULL,
        trace_id       text,
        metadata       jsonb NOT NULL,
        node           text NOT NULL
      )`);
  await queryRunner.query(`CREATE INDEX audit_events_by_time ON audit_events (tenant, timestamp DESC)`);
  await queryRunner.query(`
      CREATE FUNCTION audit_events_are_final() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN
        RAISE EXCEPTION 'audit events are never changed';
      END $$`);
  await queryRunner.query(`
      CREATE TRIGGER audit_events_final BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
      FOR EACH STATEMENT EXECUTE FUNCTION audit_events_are_final()`);
}
