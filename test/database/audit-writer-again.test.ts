import '../support/nest-first.js';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { AuditWriter } from '../../src/audit/record/audit-writer.js';
import { createDatabase, until } from '../support/gateway.js';
import { draft, idOf, TrailDatabase } from '../support/trail-database.js';

describe('an audit writer with a spool, whose database fails again', () => {
  let url: string;
  let trail: TrailDatabase;
  let writer: AuditWriter;

  beforeAll(async () => {
    url = await createDatabase();
  });
  beforeEach(async () => {
    trail = await TrailDatabase.open(url);
  });
  afterEach(async () => {
    await writer.beforeApplicationShutdown();
    await trail.close();
  });

  it('refuses who waits behind the spool when PostgreSQL fails again, and has their events later', async () => {
    await trail.operator.query(
      `CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF NEW.reason = 'wait' THEN PERFORM pg_advisory_xact_lock(7); END IF;
         IF NEW.reason = 'fail' THEN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END IF;
         RETURN NEW;
       END $$`,
    );
    await trail.operator.query(
      'CREATE TRIGGER hold BEFORE INSERT ON audit_events FOR EACH ROW EXECUTE FUNCTION hold(); SELECT pg_advisory_lock(7)',
    );
    writer = await trail.writer('closed', 8 << 20);
    await trail.away();
    const fill = { fill: 'x'.repeat(1000) };
    // More than is read at once: the first piece can be written, and the second cannot.
    const spooled = [
      draft({ reason: 'wait' }),
      ...Array.from({ length: 1200 }, () => draft({ metadata: fill })),
      draft({ reason: 'fail' }),
    ];
    for (const each of spooled) writer.enqueue(each);
    await until('the spool', () => writer.figures.spooled === spooled.length);
    await trail.back();
    await until('the first piece to be under way', async () => {
      const waiting = await trail.operator.query(`SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`);
      return waiting.rowCount === 1;
    });
    const late = draft();
    const refused = expect(writer.commit(late)).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    await trail.operator.query('SELECT pg_advisory_unlock(7)');
    await refused;
    expect(writer.figures.written).toBeGreaterThan(0);
    expect(await trail.written([idOf(late)])).toBe(0);
    await trail.operator.query('DROP FUNCTION hold CASCADE');
    await until('all of it', async () => (await trail.written([...spooled, late].map(idOf))) === spooled.length + 1);
    expect((await trail.chain()).at(-1)).toBe(idOf(late));
  });
});
