import type { MigrationInterface, QueryRunner } from 'typeorm';

/** How long a session may go on, and which request of its owner's it came from. */
export class SessionOptions1700000000003 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    // Sessions from before were started without any: null is no limit.
    await queryRunner.query(`
      ALTER TABLE sessions
        ADD idle_timeout_seconds integer CHECK (idle_timeout_seconds > 0),
        ADD max_duration_seconds integer CHECK (max_duration_seconds > 0),
        ADD request_id           text,
        ADD request_hash         text CHECK ((request_hash IS NULL) = (request_id IS NULL))`);
    await queryRunner.query(`
      CREATE UNIQUE INDEX sessions_requested ON sessions (tenant, owner_provider, owner_subject, request_id)
      WHERE request_id IS NOT NULL`);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query(
      'ALTER TABLE sessions DROP idle_timeout_seconds, DROP max_duration_seconds, DROP request_id, DROP request_hash',
    );
  }
}
