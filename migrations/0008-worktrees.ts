import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Worktrees, and the sessions that run in them. */
export class Worktrees1700000000008 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await createWorktrees(queryRunner);
    await queryRunner.query('ALTER TABLE sessions ADD worktree_id uuid');
    await queryRunner.query(`
      CREATE INDEX sessions_in_worktree ON sessions (tenant, worktree_id)
      WHERE worktree_id IS NOT NULL AND ended_at IS NULL`);
    await separateTenants(queryRunner);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('ALTER TABLE sessions DROP worktree_id');
    await queryRunner.query('DROP TABLE worktrees');
  }
}

async function createWorktrees(queryRunner: QueryRunner): Promise<void> {
  // A row is final once it has `removed_at`: removed, lost, or never made.
  await queryRunner.query(`
      CREATE TABLE worktrees (
        id               uuid PRIMARY KEY,
        runner           uuid NOT NULL,
        tenant           text NOT NULL,
        name             text NOT NULL,
        owner_provider   text NOT NULL,
        owner_subject    text NOT NULL,
        state            text NOT NULL
          CHECK (state IN ('creating', 'ready', 'failed', 'removing', 'removed', 'lost')),
        state_at         timestamptz(3) NOT NULL,
        repository       text NOT NULL,
        path             text NOT NULL,
        branch           text NOT NULL,
        base_ref         text NOT NULL,
        base_commit      text NOT NULL,
        adopted_branch   boolean NOT NULL,
        setup            text[] NOT NULL,
        teardown         text[] NOT NULL,
        setup_session_id uuid,
        setup_failure    text,
        failure          text,
        request_id       text,
        request_hash     text CHECK ((request_hash IS NULL) = (request_id IS NULL)),
        rescue_id        text,
        rescue_ref       text CHECK ((rescue_ref IS NULL) = (rescue_id IS NULL)),
        rescue_until     timestamptz(3) CHECK ((rescue_until IS NULL) = (rescue_id IS NULL)),
        created_at       timestamptz(3) NOT NULL,
        removed_at       timestamptz(3) CHECK ((removed_at IS NULL) = (state IN ('creating', 'ready', 'removing')))
      )`);
  // Ids are UUIDv7, so that order by id is order by time.
  await queryRunner.query('CREATE INDEX worktrees_by_tenant ON worktrees (tenant, id DESC)');
  await queryRunner.query(`
      CREATE INDEX worktrees_by_owner ON worktrees (tenant, owner_provider, owner_subject, id DESC)`);
  await queryRunner.query('CREATE INDEX worktrees_of_runner ON worktrees (runner) WHERE removed_at IS NULL');
  await queryRunner.query('CREATE INDEX worktrees_removed ON worktrees (removed_at) WHERE removed_at IS NOT NULL');
  await queryRunner.query('CREATE INDEX worktrees_rescued ON worktrees (tenant, id DESC) WHERE rescue_id IS NOT NULL');
  await queryRunner.query(`
      CREATE UNIQUE INDEX worktrees_requested ON worktrees (tenant, owner_provider, owner_subject, request_id)
      WHERE request_id IS NOT NULL`);
}

/** Row-level security, as on every table of a tenant's rows. */
async function separateTenants(queryRunner: QueryRunner): Promise<void> {
  const allowed = `(tenant = current_setting('gatehouse.tenant', true) OR current_setting('gatehouse.scope', true) = 'system')`;
  await queryRunner.query('ALTER TABLE worktrees ENABLE ROW LEVEL SECURITY');
  await queryRunner.query('ALTER TABLE worktrees FORCE ROW LEVEL SECURITY');
  await queryRunner.query(`CREATE POLICY worktrees_of_tenant ON worktrees USING ${allowed} WITH CHECK ${allowed}`);
}
