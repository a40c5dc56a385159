import '../support/nest-first.js';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MAX_RANGES } from '../../src/audit/retention/month-record.js';
import { newId } from '../../src/kernel/ids.js';
import { ChainedLog, draftAt, newKey, timeIn } from '../support/chained-log.js';
import { insertLike, RETENTION_DAYS } from '../support/sample-log.js';

const name = (months: number): string => timeIn(months).slice(0, 7);

describe('the months of an audit trail', () => {
  let log: ChainedLog;
  beforeEach(async () => {
    log = await ChainedLog.create(newKey());
  });
  afterEach(() => log.close());

  const look = (days = RETENTION_DAYS): Promise<void> => log.months(days).look();
  const parts = async (): Promise<unknown[]> =>
    (
      await log.sql(
        `SELECT inhrelid::regclass::text AS part FROM pg_inherits WHERE inhparent = 'audit_events'::regclass`,
      )
    )
      .map(({ part }) => String(part).slice(-7).replace('_', '-'))
      .sort();
  /** Names that are known, as far as they are somebody's. */
  const known = async (): Promise<unknown[]> =>
    (await log.sql(`SELECT kind || ' ' || subject AS name FROM audit_names ORDER BY 1`)).map(({ name: each }) => each);
  const pruned = (): unknown[] => log.trail.facts.filter(({ action }) => action === 'audit.pruned');

  it('are there before they begin: this one and the next two', async () => {
    await look();
    expect(await parts()).toEqual([name(0), name(1), name(2)]);
    await look();
    expect(await parts()).toHaveLength(3);
  });

  it('are made while somebody reads the whole trail, and nobody waits for that', async () => {
    await log.sql('BEGIN');
    await log.sql('SELECT count(*) FROM audit_events');
    await look();
    expect(await parts()).toHaveLength(3);
    await log.write('a', [timeIn(2)], []);
    await log.sql('COMMIT');
    expect(await log.verify()).toMatchObject({ ok: true, counts: { events: 1 } });
  });

  it('past the retention are dropped, each with a tombstone, and the others kept', async () => {
    await log.write('a', [timeIn(-5), timeIn(-4), timeIn(-4, 1), timeIn(-3), timeIn(0)], [5]);
    const old = { id: newId(), seq: 0, prev_hash: '', hash: '', canonical: '', timestamp: timeIn(-4, 5) };
    await insertLike({ log, file: '', lines: '' }, old);
    await look();
    expect(await parts()).toEqual([name(-3), name(0), name(1), name(2)]);
    expect(pruned()).toMatchObject([
      { success: true, resource: `audit_month:${name(-5)}`, metadata: { events: 1 } },
      { success: true, resource: `audit_month:${name(-4)}`, metadata: { events: 3 } },
    ]);
    const [, second] = await log.sql('SELECT document FROM audit_tombstones ORDER BY month');
    expect(JSON.parse(String(second?.['document']))).toMatchObject({
      ...{ kind: 'tombstone', month: name(-4), events: 3, unchained: 1 },
      chains: [{ node: 'a', ranges: [{ first: 2, last: 3 }] }],
    });
    expect(await log.verify()).toMatchObject({ ok: true, counts: { pruned: 3, events: 2 } });
    await look();
    expect([pruned().length, log.told]).toEqual([2, []]);
  });

  it('are dropped by one gateway when several look at once', async () => {
    await log.write('a', [timeIn(-5), timeIn(-4), timeIn(0)], []);
    await Promise.all([look(), look(), look()]);
    // Who was not the one has it at its next look.
    await look();
    expect([pruned().length, log.told]).toEqual([2, []]);
    expect(await log.verify()).toMatchObject({ ok: true, counts: { pruned: 2 } });
  });

  it('that are in use are dropped later', async () => {
    await log.write('a', [timeIn(-4), timeIn(0)], []);
    await log.sql('BEGIN');
    await log.sql('SELECT count(*) FROM audit_events');
    await look();
    expect(log.told).toEqual(['a month of the audit trail is in use, it is dropped later']);
    expect(await parts()).toContain(name(-4));
    await log.sql('COMMIT');
    await look();
    expect(await parts()).not.toContain(name(-4));
  });

  it.each([
    ['an event was altered', `UPDATE audit_events SET user_id = 'x' WHERE seq = 2`, 'is not as it was written'],
    ['an event has an impossible number', `UPDATE audit_events SET seq = -1 WHERE seq = 2`, 'not as it was written'],
    [
      'an event is there twice',
      `INSERT INTO audit_events SELECT (jsonb_populate_record(e, jsonb_build_object('timestamp', timestamp + interval '1s'))).*
       FROM audit_events e WHERE seq = 2`,
      /one number|not as it was written/,
    ],
  ])('in which %s are kept as they are, and that is told once', async (_what, change, words) => {
    await log.write('a', [timeIn(-4), timeIn(-4, 1), timeIn(0)], []);
    await log.sql(change);
    const months = log.months(RETENTION_DAYS);
    await months.look();
    await months.look();
    expect(log.told).toEqual([expect.stringMatching(words)]);
    expect(pruned()).toMatchObject([{ success: false, reason: 'MONTH_KEPT', metadata: { node: 'a' } }]);
    expect(await parts()).toContain(name(-4));
    expect(await log.sql('SELECT 1 FROM audit_tombstones')).toEqual([]);
  });

  it('whose chain was written anew are kept', async () => {
    await log.write('a', [timeIn(-4), timeIn(-4, 1), timeIn(0)], []);
    await log.rewrite('a', 1, { user_id: 'mallory' });
    await look();
    expect(log.told).toEqual([expect.stringContaining('does not follow')]);
  });

  it('in more pieces than a tombstone names are kept', async () => {
    const { writer } = await log.gateway('a');
    const drafts = Array.from({ length: 2 * MAX_RANGES + 2 }, (_, index) =>
      draftAt(timeIn(index % 2 === 0 ? -4 : 0, index)),
    );
    await Promise.all(drafts.map((draft) => writer.commit(draft)));
    await writer.beforeApplicationShutdown();
    await look();
    expect(log.told).toEqual([expect.stringContaining(`more than ${String(MAX_RANGES)} pieces`)]);
    expect(await parts()).toContain(name(-4));
  });

  it('take the names with them of whom there is no event left', async () => {
    const { writer } = await log.gateway('a');
    const shared = draftAt(timeIn(0, 2), 'bob');
    const people = { ...shared, event: { ...shared.event, metadata: { owner: 'carol' } }, people: { owner: 'idp' } };
    await writer.commit(draftAt(timeIn(-4), 'alice'));
    await writer.commit(draftAt(timeIn(-4), 'bob'));
    await writer.commit(draftAt(timeIn(-4), 'carol'));
    const other = draftAt(timeIn(-4), 'bob');
    await writer.commit({ ...other, event: { ...other.event, user_agent: 'an old one', remote_addr: '192.0.2.99' } });
    await writer.commit(people);
    await writer.beforeApplicationShutdown();
    expect(await known()).toHaveLength(11);
    await look();
    expect(await known()).toEqual(['remote_addr bob', 'user_agent bob', 'user_id bob', 'user_id carol']);
    const [shown] = await log.sql('SELECT user_id, user_agent, metadata FROM audit_trail');
    expect(shown).toEqual({ user_id: 'bob', user_agent: 'curl of bob', metadata: { owner: 'carol' } });
  });
});
