import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * The event of a session's end, kept with the end until it is safe in the audit trail: a gateway that is killed between
 * the two leaves it for the next one to tell. Numbered so that it stands behind what was made beside it.
 */
export class SessionEndEvents1700000000007 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    // Ends from before have none: their event is there, or nobody knows of it any more.
    await queryRunner.query(`
      ALTER TABLE sessions
        ADD end_event    uuid,
        ADD end_event_at bigint,
        ADD CONSTRAINT sessions_end_event CHECK ((end_event IS NULL) = (end_event_at IS NULL))`);
    await queryRunner.query(
      `CREATE INDEX sessions_end_untold ON sessions (runner, end_event_at) WHERE end_event IS NOT NULL`,
    );
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('ALTER TABLE sessions DROP end_event, DROP end_event_at');
  }
}
