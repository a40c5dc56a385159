import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Coding agents. */
export class Agents1700000000009 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(`
      CREATE TABLE agents (
        id              uuid PRIMARY KEY,
        runner          uuid NOT NULL,
        tenant          text NOT NULL,
        owner_provider  text NOT NULL,
        owner_subject   text NOT NULL,
        name            text NOT NULL,
        provider        text NOT NULL,
        binary_name     text NOT NULL,
        model           text,
        approve         text NOT NULL CHECK (approve IN ('ask', 'auto')),
        args            text[] NOT NULL,
        cwd             text,
        worktree_id     uuid,
        session_id      uuid NOT NULL UNIQUE,
        state           text NOT NULL CHECK (state IN
          ('starting', 'working', 'waiting_for_input', 'exited', 'failed', 'stopped', 'lost')),
        source          text NOT NULL CHECK (source IN ('process', 'hook', 'acp', 'screen')),
        confidence      text NOT NULL CHECK (confidence IN ('low', 'high')),
        revision        bigint NOT NULL DEFAULT 0,
        prompt          jsonb,
        exit_code       integer,
        signal          text,
        failure         text,
        resume_id       text,
        resumes         integer NOT NULL DEFAULT 0,
        not_applied     text[] NOT NULL DEFAULT '{}',
        max_run_seconds integer NOT NULL,
        cols            integer NOT NULL,
        rows            integer NOT NULL,
        request_id      text,
        request_hash    text CHECK ((request_hash IS NULL) = (request_id IS NULL)),
        created_at      timestamptz(3) NOT NULL DEFAULT now(),
        changed_at      timestamptz(3) NOT NULL DEFAULT now(),
        ended_at        timestamptz(3)
      )`);
    await queryRunner.query('CREATE INDEX agents_by_tenant ON agents (tenant, id DESC)');
    await queryRunner.query(
      'CREATE INDEX agents_live ON agents (tenant, owner_provider, owner_subject) WHERE ended_at IS NULL',
    );
    await queryRunner.query('CREATE INDEX agents_of_runner ON agents (runner) WHERE ended_at IS NULL');
    await queryRunner.query('CREATE INDEX agents_of_worktree ON agents (worktree_id) WHERE worktree_id IS NOT NULL');
    await queryRunner.query('CREATE INDEX agents_ended ON agents (ended_at) WHERE ended_at IS NOT NULL');
    await queryRunner.query(`
      CREATE UNIQUE INDEX agents_requested ON agents (tenant, owner_provider, owner_subject, request_id)
      WHERE request_id IS NOT NULL`);
    const allowed = `(tenant = current_setting('gatehouse.tenant', true) OR current_setting('gatehouse.scope', true) = 'system')`;
    await queryRunner.query('ALTER TABLE agents ENABLE ROW LEVEL SECURITY');
    await queryRunner.query('ALTER TABLE agents FORCE ROW LEVEL SECURITY');
    await queryRunner.query(`CREATE POLICY agents_of_tenant ON agents USING ${allowed} WITH CHECK ${allowed}`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE agents');
  }
}
