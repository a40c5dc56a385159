import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What both forms of the table have. */
const FIELDS = `
        id             uuid NOT NULL,
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
        node           text NOT NULL`;
const NAMES = FIELDS.trim()
  .split('\n')
  .map((line) => line.trim().split(' ')[0])
  .join(', ');

/** Events with the names that are known in the place of their tokens. A service's or stranger's fields are nobody's. */
const WITH_NAMES = `
      SELECT e.id, e.timestamp, e.tenant, coalesce(u.value, e.user_id) AS user_id, e.principal_kind, e.auth_method,
        e.credential_id, e.action, e.resource, e.success, e.reason, e.level, e.transport,
        coalesce(a.value, e.remote_addr) AS remote_addr, coalesce(g.value, e.user_agent) AS user_agent, e.request_id,
        e.trace_id,
        CASE WHEN e.seq > 0 AND e.metadata::text LIKE '%"p\\_%' THEN (
          SELECT jsonb_object_agg(field.key, coalesce(to_jsonb(m.value), field.value))
          FROM jsonb_each(e.metadata) AS field LEFT JOIN audit_names m ON m.token = field.value #>> '{}'
        ) ELSE e.metadata END AS metadata,
        e.node
      FROM audit_events e
        LEFT JOIN audit_names u ON e.seq > 0 AND e.principal_kind IS NOT NULL AND u.token = e.user_id
        LEFT JOIN audit_names a ON e.seq > 0 AND e.principal_kind IS NOT NULL AND a.token = e.remote_addr
        LEFT JOIN audit_names g ON e.seq > 0 AND e.principal_kind IS NOT NULL AND g.token = e.user_agent`;

/** What is looked for, each with the newest first, so that a page is the beginning of one index. */
const INDEXES: Readonly<Record<string, string>> = {
  time: '(tenant, timestamp DESC, id DESC)',
  user: '(tenant, user_id, timestamp DESC, id DESC)',
  action: '(tenant, action, timestamp DESC, id DESC)',
  resource: '(tenant, resource, timestamp DESC, id DESC)',
  address: '(tenant, remote_addr, timestamp DESC, id DESC)',
  request: '(tenant, request_id, timestamp DESC, id DESC)',
  failed: '(tenant, timestamp DESC, id DESC) WHERE NOT success',
  level: `(tenant, level, timestamp DESC, id DESC) WHERE level <> 'info'`,
  chain: '(node, seq)',
  words: 'USING gin (audit_words(action, resource, reason, request_id, metadata))',
};

/**
 * The audit trail as chains that show every change, in a part for each month, and the names of people beside it, so that
 * they can be taken out without a change to any event.
 */
export class AuditChain1700000000004 implements MigrationInterface {
  async up(queryRunner: QueryRunner): Promise<void> {
    await seeAllTenants(queryRunner);
    await queryRunner.query('ALTER TABLE audit_events RENAME TO audit_events_unchained');
    await queryRunner.query('DROP TRIGGER audit_events_final ON audit_events_unchained');
    await createChains(queryRunner);
    await createEvents(queryRunner);
    await createParts(queryRunner);
    await createSearch(queryRunner);
    await createNames(queryRunner);
    await createTrail(queryRunner);
    await keepUnchained(queryRunner);
  }

  async down(queryRunner: QueryRunner): Promise<void> {
    await seeAllTenants(queryRunner);
    await queryRunner.query('DROP VIEW audit_trail');
    await queryRunner.query('DROP FUNCTION audit_search');
    await queryRunner.query(`CREATE TABLE audit_events_unchained (${FIELDS}, PRIMARY KEY (id))`);
    // Names that are known are put back; what was erased stays a token.
    await queryRunner.query(`
      INSERT INTO audit_events_unchained (${NAMES}) ${WITH_NAMES}`);
    await queryRunner.query('DROP TABLE audit_events, audit_chains, audit_checkpoints, audit_tombstones, audit_names');
    await queryRunner.query(
      'DROP FUNCTION audit_make_month(timestamptz), audit_drop_month(timestamptz, bigint, text, text, text), audit_words',
    );
    await queryRunner.query('ALTER TABLE audit_events_unchained RENAME TO audit_events');
    await queryRunner.query('CREATE INDEX audit_events_by_time ON audit_events (tenant, timestamp DESC)');
    await queryRunner.query(`
      CREATE TRIGGER audit_events_final BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
      FOR EACH STATEMENT EXECUTE FUNCTION audit_events_are_final()`);
    await separateTenants(queryRunner, 'audit_events');
  }
}

/** The end of each node's chain, the signed proofs of how far it went, and of what was dropped after its time. */
async function createChains(queryRunner: QueryRunner): Promise<void> {
  await queryRunner.query(`
      CREATE TABLE audit_chains (
        node text PRIMARY KEY,
        seq  bigint NOT NULL,
        hash text NOT NULL
      )`);
  await queryRunner.query(`
      CREATE TABLE audit_checkpoints (
        node      text NOT NULL,
        seq       bigint NOT NULL,
        document  text NOT NULL,
        key_id    text NOT NULL,
        signature text NOT NULL,
        PRIMARY KEY (node, seq)
      )`);
  await queryRunner.query(`
      CREATE TABLE audit_tombstones (
        month     timestamptz NOT NULL,
        document  text NOT NULL,
        key_id    text NOT NULL,
        signature text NOT NULL,
        -- Events of a month that was dropped can come late, out of a spool.
        PRIMARY KEY (month, signature)
      )`);
  for (const table of ['audit_checkpoints', 'audit_tombstones']) await makeFinal(queryRunner, table);
}

async function createEvents(queryRunner: QueryRunner): Promise<void> {
  await queryRunner.query(`
      CREATE FUNCTION audit_words(action text, resource text, reason text, request_id text, metadata jsonb)
      RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
        SELECT to_tsvector('simple'::regconfig, regexp_replace(
          concat_ws(' ', action, resource, reason, request_id, metadata::text), '[^[:alnum:]]+', ' ', 'g'))
      $$`);
  await queryRunner.query(`
      CREATE TABLE audit_events (${FIELDS},
        seq       bigint NOT NULL,
        prev_hash text NOT NULL,
        hash      text NOT NULL,
        canonical text NOT NULL,
        PRIMARY KEY (timestamp, id)
      ) PARTITION BY RANGE (timestamp)`);
  for (const [name, columns] of Object.entries(INDEXES)) {
    await queryRunner.query(`CREATE INDEX audit_events_${name} ON audit_events ${columns}`);
  }
  await makeFinal(queryRunner, 'audit_events');
  await separateTenants(queryRunner, 'audit_events');
  await writtenForAll(queryRunner, 'audit_events');
}

/** Months are made and dropped by two functions, which do nothing else: the gateway's role may not do it by itself. */
async function createParts(queryRunner: QueryRunner): Promise<void> {
  await queryRunner.query(`
      CREATE FUNCTION audit_make_month(at timestamptz) RETURNS void
      LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET timezone = 'UTC' AS $$
      DECLARE
        first timestamptz := date_trunc('month', at);
        part text := to_char(first, '"audit_events_"YYYY_MM');
      BEGIN
        PERFORM pg_advisory_xact_lock(hashtext('audit_make_month'));
        IF to_regclass('public.' || part) IS NOT NULL THEN RETURN; END IF;
        -- Made by itself and attached: made as a part it would wait for every reader of the trail, and every writer for it.
        EXECUTE format('CREATE TABLE public.%I (LIKE public.audit_events INCLUDING ALL)', part);
        EXECUTE format('ALTER TABLE public.audit_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
          part, first, first + interval '1 month');
        EXECUTE format('CREATE TRIGGER audit_part_final BEFORE TRUNCATE ON public.%I
          FOR EACH STATEMENT EXECUTE FUNCTION public.audit_events_are_final()', part);
        -- Nobody but the owner reads a part by itself: the whole table's policy tells tenants apart.
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', part);
      END $$`);
  await queryRunner.query(`
      CREATE FUNCTION audit_drop_month(at timestamptz, events bigint, tombstone text, key text, signed text) RETURNS void
      LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public SET timezone = 'UTC'
      SET gatehouse.scope = 'system' SET lock_timeout = '1s' AS $$
      DECLARE
        first timestamptz := date_trunc('month', at);
        part text := to_char(first, '"audit_events_"YYYY_MM');
        there bigint;
      BEGIN
        IF first + interval '1 month' > now() THEN
          RAISE EXCEPTION 'a month that is not over is not dropped';
        END IF;
        -- Nothing more comes to the month while it is counted; everybody may read, and write to the others.
        EXECUTE format('LOCK TABLE public.%I IN SHARE MODE', part);
        SELECT count(*) INTO there FROM public.audit_events
          WHERE timestamp >= first AND timestamp < first + interval '1 month';
        IF there <> events THEN
          RAISE EXCEPTION 'the tombstone is for % events, and there are %', events, there;
        END IF;
        -- The whole before its part, as readers lock them; not for long, because writers wait meanwhile.
        LOCK TABLE ONLY public.audit_events IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('LOCK TABLE public.%I IN ACCESS EXCLUSIVE MODE', part);
        INSERT INTO public.audit_tombstones (month, document, key_id, signature) VALUES (first, tombstone, key, signed);
        EXECUTE format('DROP TABLE public.%I', part);
      END $$`);
  await queryRunner.query('REVOKE ALL ON FUNCTION audit_make_month(timestamptz) FROM PUBLIC');
  await queryRunner.query('REVOKE ALL ON FUNCTION audit_drop_month(timestamptz, bigint, text, text, text) FROM PUBLIC');
  await queryRunner.query(`SELECT audit_make_month(now()), audit_make_month(now() + interval '1 month')`);
}

/**
 * Searching months for words. Row-level security has a query look at the tenant before an operator that might tell what it
 * sees, which `@@` might: the index of words would not be used. So this reads parts by themselves, one after the other until
 * there is enough, and in one tenant only, the transaction's.
 */
async function createSearch(queryRunner: QueryRunner): Promise<void> {
  await queryRunner.query(`
      CREATE FUNCTION audit_search(
        months timestamptz[], of_tenant text, words text, users text[], addresses text[], actions text[],
        on_resource text, of_request text, succeeded boolean, of_level text, since timestamptz, until timestamptz,
        before timestamptz, before_id uuid, most integer
      ) RETURNS TABLE (found_at timestamptz, found uuid)
      LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100 SET search_path = pg_catalog, public SET timezone = 'UTC' AS $$
      DECLARE
        month timestamptz;
        part text;
        got integer;
      BEGIN
        IF of_tenant IS DISTINCT FROM current_setting('gatehouse.tenant', true) THEN
          RAISE EXCEPTION 'only the tenant of the transaction is searched' USING ERRCODE = 'insufficient_privilege';
        END IF;
        FOREACH month IN ARRAY months LOOP
          part := to_char(date_trunc('month', month), '"audit_events_"YYYY_MM');
          -- It may have been dropped meanwhile.
          CONTINUE WHEN to_regclass('public.' || part) IS NULL;
          RETURN QUERY EXECUTE format($search$
            SELECT e.timestamp, e.id FROM public.%I e
            WHERE e.tenant = $1 AND audit_words(e.action, e.resource, e.reason, e.request_id, e.metadata)
                @@ plainto_tsquery('simple'::regconfig, regexp_replace($2, '[^[:alnum:]]+', ' ', 'g'))
              AND ($3 IS NULL OR e.user_id = ANY($3)) AND ($4 IS NULL OR e.remote_addr = ANY($4))
              AND ($5 IS NULL OR e.action = ANY($5)) AND ($6 IS NULL OR e.resource = $6)
              AND ($7 IS NULL OR e.request_id = $7) AND ($8 IS NULL OR e.success = $8) AND ($9 IS NULL OR e.level = $9)
              AND ($10 IS NULL OR e.timestamp >= $10) AND ($11 IS NULL OR e.timestamp < $11)
              AND ($12 IS NULL OR (e.timestamp, e.id) < ($12, $13))
            ORDER BY e.timestamp DESC, e.id DESC LIMIT $14 $search$, part)
            USING of_tenant, words, users, addresses, actions, on_resource, of_request, succeeded, of_level, since, until,
              before, before_id, most;
          GET DIAGNOSTICS got = ROW_COUNT;
          most := most - got;
          EXIT WHEN most <= 0;
        END LOOP;
      END $$`);
  await queryRunner.query('REVOKE ALL ON FUNCTION audit_search FROM PUBLIC');
}

/** What is personal stands in an event as a token; here is what it means, until somebody is taken out. */
async function createNames(queryRunner: QueryRunner): Promise<void> {
  await queryRunner.query(`
      CREATE TABLE audit_names (
        token    text PRIMARY KEY,
        tenant   text NOT NULL,
        provider text NOT NULL,
        subject  text NOT NULL,
        kind     text NOT NULL CHECK (kind IN ('user_id', 'remote_addr', 'user_agent')),
        value    text NOT NULL
      )`);
  await queryRunner.query('CREATE INDEX audit_names_of ON audit_names (tenant, md5(subject))');
  await queryRunner.query('CREATE INDEX audit_names_by_value ON audit_names (tenant, kind, md5(value))');
  await separateTenants(queryRunner, 'audit_names');
  await writtenForAll(queryRunner, 'audit_names');
}

/** For people with a SQL prompt: the trail as it is shown. It reads with the rights of who reads it, policies included. */
async function createTrail(queryRunner: QueryRunner): Promise<void> {
  await queryRunner.query(`CREATE VIEW audit_trail WITH (security_invoker = true) AS
      ${WITH_NAMES.replace(/e\.node$/m, 'e.node, e.seq, e.prev_hash, e.hash')}`);
}

/** Events of before the chain stay readable, with the number 0: nothing proves them, and verification leaves them out. */
async function keepUnchained(queryRunner: QueryRunner): Promise<void> {
  const months: unknown = await queryRunner.query(
    `SELECT DISTINCT date_trunc('month', timestamp) AS month FROM audit_events_unchained`,
  );
  for (const { month } of months as { month: Date }[]) await queryRunner.query('SELECT audit_make_month($1)', [month]);
  await queryRunner.query(`
      INSERT INTO audit_events (${NAMES}, seq, prev_hash, hash, canonical)
      SELECT ${NAMES}, 0, '', '', '' FROM audit_events_unchained`);
  await queryRunner.query('DROP TABLE audit_events_unchained');
}

/** Rows that are written once. The trigger of a statement does not see what is done to a part of a table: that of a row does. */
async function makeFinal(queryRunner: QueryRunner, table: string): Promise<void> {
  await queryRunner.query(`
      CREATE TRIGGER ${table}_final BEFORE UPDATE OR DELETE ON ${table}
      FOR EACH ROW EXECUTE FUNCTION audit_events_are_final()`);
  await queryRunner.query(`
      CREATE TRIGGER ${table}_kept BEFORE TRUNCATE ON ${table}
      FOR EACH STATEMENT EXECUTE FUNCTION audit_events_are_final()`);
}

/** An ordinary owner of the tables is bound by their policies, too. */
const seeAllTenants = (queryRunner: QueryRunner): Promise<unknown> =>
  queryRunner.query(`SELECT set_config('gatehouse.scope', 'system', true)`);

/** Writing an event tells nobody anything: it is done for every tenant at once. */
const writtenForAll = (queryRunner: QueryRunner, table: string): Promise<unknown> =>
  queryRunner.query(`CREATE POLICY ${table}_written ON ${table} FOR INSERT WITH CHECK (true)`);

async function separateTenants(queryRunner: QueryRunner, table: string): Promise<void> {
  await queryRunner.query(`ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY`);
  await queryRunner.query(`ALTER TABLE ${table} FORCE ROW LEVEL SECURITY`);
  await queryRunner.query(`
      CREATE POLICY ${table}_of_tenant ON ${table} USING (
        tenant = current_setting('gatehouse.tenant', true)
        OR current_setting('gatehouse.scope', true) = 'system')`);
}
