import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Secrets that are kept sealed. */
export class SealedSecrets1700000000010 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    // The key id is in the envelope too; here it can be counted, and nothing is opened by it.
    await queryRunner.query(`
      CREATE TABLE sealed_secrets (
        tenant              text NOT NULL,
        name                text NOT NULL,
        envelope            bytea NOT NULL,
        key_id              text NOT NULL,
        created_by_provider text NOT NULL,
        created_by          text NOT NULL,
        updated_by_provider text NOT NULL,
        updated_by          text NOT NULL,
        created_at          timestamptz(3) NOT NULL,
        updated_at          timestamptz(3) NOT NULL,
        PRIMARY KEY (tenant, name)
      )`);
    const allowed = `(tenant = current_setting('gatehouse.tenant', true) OR current_setting('gatehouse.scope', true) = 'system')`;
    await queryRunner.query('ALTER TABLE sealed_secrets ENABLE ROW LEVEL SECURITY');
    await queryRunner.query('ALTER TABLE sealed_secrets FORCE ROW LEVEL SECURITY');
    await queryRunner.query(
      `CREATE POLICY sealed_secrets_of_tenant ON sealed_secrets USING ${allowed} WITH CHECK ${allowed}`,
    );
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await queryRunner.query('DROP TABLE sealed_secrets');
  }
}
