import '../support/nest-first.js';
import { appendFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { newId } from '../../src/kernel/ids.js';
import { draftAt, monthAt, timeIn } from '../support/chained-log.js';
import { until } from '../support/gateway.js';
import { insertLike, prune, RETENTION_DAYS, sampleLog } from '../support/sample-log.js';

describe('the verification of an audit trail', () => {
  const sample = sampleLog();

  describe('that nobody changed', () => {
    it('verifies, with every event and checkpoint of both gateways', async () => {
      expect(await sample.log.verify(null, null, sample.file)).toEqual({
        ok: true,
        problem: null,
        counts: {
          ...{ events: 52, nodes: 2, checkpoints: 4, checkpoints_elsewhere: 4 },
          ...{ unsigned: 10 + 6, pruned: 0, unchained: 0 },
        },
      });
    });

    it('verifies after a month was pruned, though the order of times at its edge is another than that of numbers', async () => {
      await prune(sample);
      expect(
        await sample.log.sql('SELECT seq::int FROM audit_events WHERE node = $1 AND seq < 19 ORDER BY seq', ['a']),
      ).toEqual([{ seq: 16 }, { seq: 18 }]);
      expect(await sample.log.verify(null, null, sample.file)).toMatchObject({
        ok: true,
        counts: { events: 36, pruned: 16, checkpoints: 4, checkpoints_elsewhere: 4, nodes: 2 },
      });
    });

    it('verifies after all of a chain was pruned, and with what was written after that', async () => {
      await prune(sample);
      const [{ month: dropped } = {}] = await sample.log.sql('SELECT month FROM audit_tombstones');
      expect(dropped).toEqual(monthAt(-4));
      await sample.log.write('a', [timeIn(-4, 3), timeIn(0, 50)], []);
      expect(await sample.log.verify()).toMatchObject({ ok: true, counts: { events: 38 } });
      await sample.log.months(RETENTION_DAYS).look();
      expect(await sample.log.sql('SELECT 1 FROM audit_tombstones')).toHaveLength(2);
      expect(await sample.log.verify()).toMatchObject({ ok: true, counts: { events: 37, pruned: 17 } });
    });

    it('verifies with events that a spool kept, and that came to the table late', async () => {
      const { writer } = await sample.log.gateway('a');
      await sample.log.sql('ALTER TABLE audit_events RENAME TO away');
      const early = Array.from({ length: 3 }, (_, index) => draftAt(timeIn(-3, index)));
      for (const each of early) await writer.commit(each);
      await sample.log.sql('ALTER TABLE away RENAME TO audit_events');
      await writer.commit(draftAt(timeIn(0, 30)));
      await until(
        'all of it to be in the table',
        async () => (await sample.log.sql('SELECT 1 FROM audit_events')).length === 56,
      );
      await writer.beforeApplicationShutdown();
      await sample.log.write('a', [timeIn(0, 31)], []);
      expect(await sample.log.verify()).toMatchObject({ ok: true, counts: { events: 57 } });
    });

    it('verifies with events of before there were chains, which it counts', async () => {
      const [{ at } = {}] = await sample.log.sql(`SELECT min(timestamp) - interval '1 day' AS at FROM audit_events`);
      await sample.log.sql('SELECT audit_make_month($1)', [at]);
      await insertLike(sample, { id: newId(), timestamp: at, seq: 0, prev_hash: '', hash: '', canonical: '' });
      expect(await sample.log.verify()).toMatchObject({ ok: true, counts: { events: 52, unchained: 1 } });
    });

    it('verifies with half a line in the file of checkpoints', async () => {
      appendFileSync(sample.file, `${sample.lines.slice(0, 100)}\n${'x'.repeat(100_000)}\n${sample.lines}`);
      expect(await sample.log.verify(null, null, sample.file)).toMatchObject({
        ok: true,
        counts: { checkpoints_elsewhere: 8 },
      });
    });
  });

  describe('narrowed to a period', () => {
    it('checks from the checkpoint before it to the one behind it, and nothing else', async () => {
      const { ok, counts } = await sample.log.verify(timeIn(-3, 4), timeIn(-3, 7));
      // Of a the events 20 to 30; of b those up to the first checkpoint.
      expect([ok, counts]).toMatchObject([true, { events: 11 + 6, checkpoints: 3 }]);
      await sample.log.rewrite('a', 13, { user_id: 'mallory' });
      expect(await sample.log.verify(timeIn(-3, 4), timeIn(-3, 7))).toMatchObject({ ok: true });
      expect(await sample.log.verify(timeIn(-4), timeIn(-3))).toMatchObject({ problem: { kind: 'altered', seq: 13 } });
    });

    it('finds what was deleted at its edge', async () => {
      await sample.log.sql(`DELETE FROM audit_events WHERE node = 'a' AND seq BETWEEN 21 AND 24`);
      const found = await sample.log.verify(timeIn(-3, 3), timeIn(-3, 9));
      expect(found).toMatchObject({ problem: { kind: 'missing', node: 'a', seq: 21 } });
    });

    it('without an end goes to that of the chain', async () => {
      await sample.log.sql(`DELETE FROM audit_events WHERE node = 'a' AND seq > 38`);
      expect(await sample.log.verify(timeIn(0, 1))).toMatchObject({
        problem: { kind: 'tail_cut', node: 'a', seq: 39 },
      });
      expect(await sample.log.verify(null, timeIn(-3, 2))).toMatchObject({ ok: true });
    });
  });
});
