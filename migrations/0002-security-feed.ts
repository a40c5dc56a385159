import type { QueryRunner } from 'typeorm';

/**
 * Every change that may take a right away gets a number. The clock's row is locked until the change commits, so that
 * numbers appear in their order and without gaps, and a gateway that has seen number n has seen all before it. The random
 * id tells a change from the one that had its number before a failover or a restored backup took the clock back; the
 * newest change is never pruned, and the first one stands for an empty feed.
 */
export async function createSecurityFeed(queryRunner: QueryRunner): Promise<void> {
  await queryRunner.query('CREATE TABLE security_clock (seq bigint NOT NULL)');
  await queryRunner.query('INSERT INTO security_clock VALUES (0)');
  await queryRunner.query(`
      CREATE TABLE security_changes (
        seq    bigint PRIMARY KEY,
        id     uuid NOT NULL DEFAULT gen_random_uuid(),
        topic  text NOT NULL,
        tenant text NOT NULL,
        key    text NOT NULL,
        at     timestamptz NOT NULL DEFAULT now()
      )`);
  await queryRunner.query(`INSERT INTO security_changes (seq, topic, tenant, key) VALUES (0, 'start', '', '')`);
  await queryRunner.query(NUMBER_CHANGES);
  await queryRunner.query(NOTE_CHANGES);
  await watch(queryRunner, { table: 'revocations', on: 'INSERT, UPDATE', topic: 'revocation', key: 'id' });
  await watch(queryRunner, { table: 'role_bindings', on: 'INSERT, UPDATE, DELETE', topic: 'binding', key: 'id' });
  await watch(queryRunner, {
    table: 'session_shares',
    on: 'INSERT, UPDATE, DELETE',
    topic: 'share',
    key: 'session_id',
  });
  // When a subject was seen last changes nothing that it holds.
  await watch(queryRunner, {
    ...{ table: 'subjects', on: 'INSERT, UPDATE, DELETE', topic: 'subject', key: 'subject', ignored: 'issued_at' },
  });
  // A key's use is written down all the time and takes nothing away, nor does what it is called.
  const ignored =
    'name, description, last_used_at, last_used_ip, use_count, revoked_by, revoked_reason, rotated_from, verifier, ' +
    'verifier_key, idempotency_key, idempotency_hash, expiring_noted_on';
  await watch(queryRunner, { table: 'api_keys', on: 'UPDATE, DELETE', topic: 'api_key', key: 'id', ignored });
}

/** Gives the changes of one statement their numbers, in one step however many they are. */
const NUMBER_CHANGES = `
  CREATE FUNCTION number_security_changes(about text, tenants text[], keys text[]) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE
    many integer := coalesce(cardinality(keys), 0);
    newest bigint;
  BEGIN
    IF many = 0 THEN RETURN; END IF;
    UPDATE security_clock SET seq = seq + many RETURNING seq INTO newest;
    INSERT INTO security_changes (seq, topic, tenant, key)
      SELECT newest - many + place, about, changed_tenant, changed_key
      FROM unnest(tenants, keys) WITH ORDINALITY AS changes (changed_tenant, changed_key, place);
    PERFORM pg_notify('gatehouse_security', newest::text);
  END $$`;

/**
 * After a statement on a watched table, with its rows as transition tables. Arguments: topic, the column of the key, and
 * the columns that may change unnoticed. An updated row is told as it was and as it is, where these differ.
 */
const NOTE_CHANGES = `
  CREATE FUNCTION note_security_changes() RETURNS trigger LANGUAGE plpgsql AS $$
  DECLARE
    ignored text[] := TG_ARGV[2]::text[];
    changed jsonb[];
  BEGIN
    CASE TG_OP
      WHEN 'INSERT' THEN SELECT array_agg(to_jsonb(n)) INTO changed FROM new_rows AS n;
      WHEN 'DELETE' THEN SELECT array_agg(to_jsonb(o)) INTO changed FROM old_rows AS o;
      ELSE SELECT array_agg(c.content) INTO changed FROM (
        (SELECT to_jsonb(o) - ignored AS content FROM old_rows AS o EXCEPT SELECT to_jsonb(n) - ignored FROM new_rows AS n)
        UNION ALL
        (SELECT to_jsonb(n) - ignored FROM new_rows AS n EXCEPT SELECT to_jsonb(o) - ignored FROM old_rows AS o)) AS c;
    END CASE;
    PERFORM number_security_changes(TG_ARGV[0], array_agg(c.tenant), array_agg(c.key)) FROM (
      SELECT DISTINCT content ->> 'tenant' AS tenant,
        CASE TG_ARGV[0]
          WHEN 'subject' THEN jsonb_build_array(content -> 'tenant', content -> 'provider', content -> 'subject')::text
          ELSE content ->> TG_ARGV[1]
        END AS key
      FROM unnest(changed) AS content) AS c;
    RETURN NULL;
  END $$`;

interface Watched {
  readonly table: string;
  /** Events, separated by commas. PostgreSQL wants a trigger for each where there are transition tables. */
  readonly on: string;
  readonly topic: string;
  readonly key: string;
  readonly ignored?: string;
}

async function watch(queryRunner: QueryRunner, { table, on, topic, key, ignored = '' }: Watched): Promise<void> {
  const rows = {
    INSERT: 'NEW TABLE AS new_rows',
    UPDATE: 'OLD TABLE AS old_rows NEW TABLE AS new_rows',
    DELETE: 'OLD TABLE AS old_rows',
  } as const;
  for (const event of on.split(', ') as (keyof typeof rows)[]) {
    await queryRunner.query(`
      CREATE TRIGGER ${table}_security_${event.toLowerCase()} AFTER ${event} ON ${table} REFERENCING ${rows[event]}
      FOR EACH STATEMENT EXECUTE FUNCTION note_security_changes('${topic}', '${key}', '{${ignored}}')`);
  }
}
