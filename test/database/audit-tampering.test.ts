import '../support/nest-first.js';
import { describe, expect, it } from '@jest/globals';
import { GENESIS } from '../../src/audit/chain/chain.js';
import { newId } from '../../src/kernel/ids.js';
import { timeIn } from '../support/chained-log.js';
import { insertLike, problemIn, prune, sampleLog } from '../support/sample-log.js';

const month = (months: number): string => `audit_events_${timeIn(months).slice(0, 7).replace('-', '_')}`;

describe('an audit trail whose events somebody with all rights has changed', () => {
  const sample = sampleLog();

  describe('names the event whose row was edited:', () => {
    it.each([
      ['user_id', `'mallory'`],
      ['success', 'false'],
      ['action', `'pty.start'`],
      ['resource', 'NULL'],
      ['tenant', `'other'`],
      ['metadata', `'{"signal": 9}'`],
      ['metadata', `'{"signal": 1e999}'`],
      ['timestamp', `timestamp + interval '1 microsecond'`],
      ['id', 'gen_random_uuid()'],
      ['hash', `'${'0'.repeat(64)}'`],
      ['canonical', `replace(canonical, 'pty.kill', 'pty.list')`],
      ['canonical', `canonical || ' '`],
      ['canonical', `''`],
    ])('%s = %s', async (column, value) => {
      await sample.log.sql(`UPDATE audit_events SET ${column} = ${value} WHERE node = 'a' AND seq = 13`);
      const id = await sample.log.idOf('a', 13);
      expect(await problemIn(sample)).toMatchObject({ kind: 'altered', node: 'a', seq: 13, id });
    });
  });

  describe('names the event that was written anew, its hash with it,', () => {
    it.each([
      ['within the chain', 13],
      ['at its beginning', 1],
      ['that a checkpoint is of', 20],
      ['before a checkpoint', 19],
      ['behind the last checkpoint', 35],
    ])('%s', async (_where, seq) => {
      await sample.log.rewrite('a', seq, { user_id: 'mallory' });
      expect(await problemIn(sample)).toMatchObject({
        kind: 'altered',
        node: 'a',
        seq,
        id: await sample.log.idOf('a', seq),
      });
    });

    it('at the very end', async () => {
      await sample.log.rewrite('b', 12, { success: false });
      expect(await problemIn(sample)).toMatchObject({
        kind: 'altered',
        node: 'b',
        seq: 12,
        id: await sample.log.idOf('b', 12),
      });
    });

    it('with another predecessor, behind one that a checkpoint vouches for', async () => {
      await sample.log.rewrite('a', 21, { prev_hash: 'f'.repeat(64) });
      expect(await problemIn(sample)).toMatchObject({ kind: 'altered', node: 'a', seq: 21 });
    });

    it('and every hash behind it: the next checkpoint tells', async () => {
      const hash = await sample.log.rewrite('a', 13, { user_id: 'mallory' });
      const end = await sample.log.rechain('a', 13, 40, hash);
      await sample.log.sql(`UPDATE audit_chains SET hash = $1 WHERE node = 'a'`, [end]);
      expect(await problemIn(sample)).toMatchObject({
        ...{ kind: 'altered', node: 'a', seq: 20, id: await sample.log.idOf('a', 20) },
        detail: expect.stringContaining('between 11 and 20') as unknown,
      });
      // Without the database's own checkpoints only those elsewhere do.
      await sample.log.sql('DELETE FROM audit_checkpoints');
      expect(await problemIn(sample)).toBeNull();
      expect(await problemIn(sample, true)).toMatchObject({ kind: 'altered', node: 'a', seq: 20 });
    });
  });

  describe('names the first event that is missing:', () => {
    it.each([
      ['one', 13, 13],
      ['several', 13, 22],
      ['the first', 1, 1],
      ['the first of all', 1, 39],
    ])('%s', async (_what, first, last) => {
      await sample.log.sql(`DELETE FROM audit_events WHERE node = 'a' AND seq BETWEEN $1 AND $2`, [first, last]);
      expect(await problemIn(sample)).toMatchObject({ kind: 'missing', node: 'a', seq: first });
    });

    it('one, with the numbers behind it moved up', async () => {
      await sample.log.sql(`DELETE FROM audit_events WHERE node = 'a' AND seq = 13`);
      await sample.log.sql(`UPDATE audit_events SET seq = seq - 1 WHERE node = 'a' AND seq > 13`);
      await sample.log.sql(`UPDATE audit_chains SET seq = seq - 1 WHERE node = 'a'`);
      expect(await problemIn(sample)).toMatchObject({ kind: 'missing', node: 'a', seq: 13 });
    });

    it('one that was moved to another chain', async () => {
      await sample.log.sql(`UPDATE audit_events SET node = 'b' WHERE node = 'a' AND seq = 13`);
      expect(await problemIn(sample)).toMatchObject({ kind: 'missing', node: 'a', seq: 13 });
    });

    it('a month without a tombstone', async () => {
      await sample.log.sql(`DROP TABLE ${month(-3)}`);
      expect(await problemIn(sample)).toMatchObject({ kind: 'missing', node: 'a', seq: 16 });
    });

    it('a month that was taken out of the table', async () => {
      await sample.log.sql(`ALTER TABLE audit_events DETACH PARTITION ${month(-4)}`);
      expect(await problemIn(sample)).toMatchObject({ kind: 'missing', node: 'a', seq: 1 });
    });

    it('a month whose tombstone was deleted', async () => {
      await prune(sample);
      await sample.log.sql('DELETE FROM audit_tombstones');
      expect(await problemIn(sample)).toMatchObject({ kind: 'missing', node: 'a', seq: 1 });
    });

    it('one beside a month that was pruned in order', async () => {
      await prune(sample);
      await sample.log.sql(`DELETE FROM audit_events WHERE node = 'a' AND seq = 16`);
      expect(await problemIn(sample)).toMatchObject({
        ...{ kind: 'missing', node: 'a', seq: 16 },
        detail: 'the event 16 is not there',
      });
    });
  });

  describe('names the event that was inserted:', () => {
    it('a copy of another', async () => {
      const id = newId();
      await insertLike(sample, { id });
      expect(await problemIn(sample)).toMatchObject({ kind: 'inserted', node: 'a', seq: 5, id });
    });

    it('one that fits itself and its predecessor', async () => {
      const [{ prev_hash } = {}] = await sample.log.sql(
        `SELECT prev_hash FROM audit_events WHERE node = 'a' AND seq = 5`,
      );
      const id = newId();
      await insertLike(sample, { id, seq: 1005 });
      await sample.log.rewrite('a', 1005, { id, user_id: 'mallory', seq: 5, prev_hash: String(prev_hash) });
      expect(await problemIn(sample)).toMatchObject({ kind: 'inserted', node: 'a', seq: 5, id });
    });

    it('one with the numbers behind it moved down', async () => {
      const [{ hash } = {}] = await sample.log.sql(`SELECT hash FROM audit_events WHERE node = 'a' AND seq = 12`);
      await sample.log.sql(`UPDATE audit_events SET seq = seq + 1 WHERE node = 'a' AND seq > 12`);
      await sample.log.sql(`UPDATE audit_chains SET seq = seq + 1 WHERE node = 'a'`);
      const id = newId();
      await insertLike(sample, { id, seq: 13 });
      await sample.log.rewrite('a', 13, { id, seq: 13, prev_hash: String(hash) });
      expect(await problemIn(sample)).toMatchObject({ kind: 'inserted', node: 'a', seq: 13, id });
    });

    it('behind the end', async () => {
      const [{ hash } = {}] = await sample.log.sql(`SELECT hash FROM audit_chains WHERE node = 'a'`);
      const id = newId();
      await insertLike(sample, { id, seq: 41 });
      await sample.log.rewrite('a', 41, { id, seq: 41, prev_hash: String(hash) });
      expect(await problemIn(sample)).toMatchObject({ kind: 'inserted', node: 'a', seq: 41, id });
    });

    it('under a gateway that there never was', async () => {
      const id = newId();
      await insertLike(sample, { id, node: 'evil', seq: 1 });
      await sample.log.rewrite('evil', 1, { id, seq: 1, prev_hash: GENESIS, node: 'evil' });
      expect(await problemIn(sample)).toMatchObject({ kind: 'inserted', node: 'evil', seq: 1, id });
    });

    it('into a month that was pruned', async () => {
      await sample.log.sql(`CREATE TEMPORARY TABLE kept AS SELECT * FROM audit_events WHERE node = 'a' AND seq = 4`);
      await prune(sample);
      await sample.log.sql('SELECT audit_make_month(timestamp) FROM kept LIMIT 1');
      await sample.log.sql('INSERT INTO audit_events SELECT * FROM kept');
      expect(await problemIn(sample)).toMatchObject({ kind: 'inserted', node: 'a', seq: 4 });
    });

    it.each([0, -1])('as one of before the chains, number %i', async (seq) => {
      const id = newId();
      await insertLike(sample, { id, seq, timestamp: timeIn(0, 5) });
      expect(await problemIn(sample)).toMatchObject({ kind: 'inserted', node: 'a', seq, id });
    });
  });

  describe('names the first of two events that were swapped,', () => {
    it('their numbers only', async () => {
      await sample.log.sql(`UPDATE audit_events SET seq = 27 - seq WHERE node = 'a' AND seq IN (13, 14)`);
      expect(await problemIn(sample)).toMatchObject({
        kind: 'reordered',
        node: 'a',
        seq: 13,
        id: await sample.log.idOf('a', 13),
      });
    });

    it('far from each other', async () => {
      await sample.log.sql(`UPDATE audit_events SET seq = 40 - seq WHERE node = 'a' AND seq IN (5, 35)`);
      expect(await problemIn(sample)).toMatchObject({ kind: 'reordered', node: 'a', seq: 5 });
    });

    it('their texts and hashes with them', async () => {
      await sample.log.sql(`UPDATE audit_events SET seq = 27 - seq WHERE node = 'a' AND seq IN (13, 14)`);
      for (const seq of [13, 14]) await sample.log.rewrite('a', seq, { seq });
      expect(await problemIn(sample)).toMatchObject({ kind: 'reordered', node: 'a', seq: 13 });
    });
  });
});
