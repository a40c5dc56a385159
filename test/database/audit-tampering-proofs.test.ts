import '../support/nest-first.js';
import { appendFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { signCheckpoint } from '../../src/audit/chain/checkpoint.js';
import { SigningKey } from '../../src/audit/chain/signing-key.js';
import { signTombstone } from '../../src/audit/chain/tombstone.js';
import { monthAt, newKey, timeIn } from '../support/chained-log.js';
import { problemIn, sampleLog } from '../support/sample-log.js';

const stranger = SigningKey.of(newKey());
const now = (): string => new Date().toISOString();

describe('an audit trail whose end or proofs somebody with all rights has changed', () => {
  const sample = sampleLog();

  describe('tells a tail that was cut:', () => {
    const cut = (node: string, after: number): Promise<unknown> =>
      sample.log.sql('DELETE FROM audit_events WHERE node = $1 AND seq > $2', [node, after]);
    /** The end of the chain is said to be where it is now. */
    const resetHead = (node: string): Promise<unknown> =>
      sample.log.sql(
        `UPDATE audit_chains c SET seq = e.seq, hash = e.hash FROM audit_events e
         WHERE c.node = $1 AND e.node = $1 AND e.seq = (SELECT max(seq) FROM audit_events WHERE node = $1)`,
        [node],
      );

    it.each([
      ['behind the last checkpoint', 35],
      ['before it', 25],
    ])('%s', async (_where, after) => {
      await cut('a', after);
      expect(await problemIn(sample)).toMatchObject({ kind: 'tail_cut', node: 'a', seq: after + 1 });
    });

    it('before a checkpoint, with the end moved back', async () => {
      await cut('a', 25);
      await resetHead('a');
      expect(await problemIn(sample)).toMatchObject({ kind: 'tail_cut', node: 'a', seq: 26 });
    });

    it('and its checkpoints deleted: those elsewhere tell', async () => {
      await cut('a', 25);
      await resetHead('a');
      await sample.log.sql(`DELETE FROM audit_checkpoints WHERE node = 'a' AND seq > 25`);
      expect(await problemIn(sample)).toBeNull();
      expect(await problemIn(sample, true)).toMatchObject({ kind: 'tail_cut', node: 'a', seq: 26 });
    });

    it('behind the last checkpoint with the end moved back: that is the one thing that nothing tells', async () => {
      await cut('a', 35);
      await resetHead('a');
      expect(await problemIn(sample, true)).toBeNull();
    });

    it('a whole chain', async () => {
      await cut('a', 0);
      expect(await problemIn(sample)).toMatchObject({ kind: 'tail_cut', node: 'a', seq: 1 });
    });

    it('the whole table', async () => {
      await sample.log.sql('TRUNCATE audit_events');
      expect(await problemIn(sample)).toMatchObject({ kind: 'tail_cut', node: 'a', seq: 1 });
      await sample.log.sql('TRUNCATE audit_chains');
      expect(await problemIn(sample)).toMatchObject({ kind: 'head_altered', node: 'a', seq: 0 });
      await sample.log.sql('TRUNCATE audit_checkpoints');
      expect(await problemIn(sample)).toBeNull();
      expect(await problemIn(sample, true)).toMatchObject({ kind: 'tail_cut', node: 'a', seq: 1 });
    });

    it('a chain whose end is said to be elsewhere', async () => {
      await sample.log.sql(`UPDATE audit_chains SET seq = 24 WHERE node = 'a'`);
      expect(await problemIn(sample)).toMatchObject({ kind: 'inserted', node: 'a', seq: 31 });
      await sample.log.sql(`DELETE FROM audit_chains WHERE node = 'a'`);
      expect(await problemIn(sample)).toMatchObject({ kind: 'head_altered', node: 'a', seq: 40 });
    });
  });

  describe('tells a checkpoint', () => {
    const forge = (signed: { document: string; key_id: string; signature: string }, seq: number): Promise<unknown> =>
      sample.log.sql(
        'UPDATE audit_checkpoints SET document = $1, key_id = $2, signature = $3 WHERE node = $4 AND seq = $5',
        [...[signed.document, signed.key_id, signed.signature, 'a', seq]],
      );
    const forged = { node: 'a', seq: 20, hash: 'e'.repeat(64), count: 10, time: now() };

    it('of another key', async () => {
      await forge(signCheckpoint(stranger, forged), 20);
      expect(await problemIn(sample)).toMatchObject({ kind: 'checkpoint_invalid', node: 'a', seq: 20 });
    });

    it('of another key that says it was ours', async () => {
      await forge({ ...signCheckpoint(stranger, forged), key_id: sample.log.signing.id }, 20);
      expect(await problemIn(sample)).toMatchObject({ kind: 'checkpoint_invalid', node: 'a', seq: 20 });
    });

    it('whose text was edited', async () => {
      await sample.log.sql(
        `UPDATE audit_checkpoints SET document = replace(document, '"count":10', '"count":11') WHERE seq = 20`,
      );
      expect(await problemIn(sample)).toMatchObject({ kind: 'checkpoint_invalid', node: 'a', seq: 20 });
    });

    it('of another event', async () => {
      const [ten] = await sample.log.sql('SELECT document, key_id, signature FROM audit_checkpoints WHERE seq = 10');
      await forge(ten as never, 20);
      expect(await problemIn(sample)).toMatchObject({ kind: 'checkpoint_invalid', node: 'a', seq: 20 });
    });

    it('of another key in the file', async () => {
      appendFileSync(sample.file, `${JSON.stringify(signCheckpoint(stranger, forged))}\n`);
      expect(await problemIn(sample, true)).toMatchObject({
        ...{ kind: 'checkpoint_invalid', node: null, seq: null },
        detail: expect.stringContaining('line 5') as unknown,
      });
    });

    it('that a signed text of another kind was put in the place of', async () => {
      const dead = { month: '2020-01', events: 0, unchained: 0, chains: [], time: now() };
      await forge(signTombstone(sample.log.signing, dead), 20);
      expect(await problemIn(sample)).toMatchObject({ kind: 'checkpoint_invalid', node: 'a', seq: 20 });
    });
  });

  describe('tells a tombstone', () => {
    const bury = (signed: { document: string; key_id: string; signature: string }): Promise<unknown> =>
      sample.log.sql('INSERT INTO audit_tombstones (month, document, key_id, signature) VALUES ($1, $2, $3, $4)', [
        ...[monthAt(-3), signed.document, signed.key_id, signed.signature],
      ]);
    const said = (range: object): Parameters<typeof signTombstone>[1] => ({
      ...{ month: timeIn(-3).slice(0, 7), events: 10, unchained: 0, time: now() },
      chains: [{ node: 'a', ranges: [range as never] }],
    });
    const whole = { first: 16, last: 25, prev_hash: 'a'.repeat(64), hash: 'b'.repeat(64) };

    it('of another key', async () => {
      await sample.log.sql(`DELETE FROM audit_events WHERE seq BETWEEN 16 AND 25 AND node = 'a'`);
      await bury(signTombstone(stranger, said(whole)));
      expect(await problemIn(sample)).toMatchObject({ kind: 'tombstone_invalid', node: null });
    });

    it('that is that of another month', async () => {
      await bury(signTombstone(sample.log.signing, { ...said(whole), month: '2020-01' }));
      expect(await problemIn(sample)).toMatchObject({ kind: 'tombstone_invalid', node: null });
    });

    it('that does not follow what is before it', async () => {
      await sample.log.sql(`DELETE FROM audit_events WHERE seq BETWEEN 16 AND 25 AND node = 'a'`);
      await bury(signTombstone(sample.log.signing, said(whole)));
      expect(await problemIn(sample)).toMatchObject({ kind: 'tombstone_invalid', node: 'a', seq: 16 });
    });

    it('whose end a checkpoint contradicts', async () => {
      const [{ prev_hash } = {}] = await sample.log.sql(
        `SELECT prev_hash FROM audit_events WHERE node = 'a' AND seq = 16`,
      );
      await sample.log.sql(`DELETE FROM audit_events WHERE seq BETWEEN 16 AND 20 AND node = 'a'`);
      const hash = await sample.log.rewrite('a', 21, { user_id: 'mallory', prev_hash: whole.hash });
      await sample.log.sql(`UPDATE audit_chains SET hash = $1 WHERE node = 'a'`, [
        await sample.log.rechain('a', 21, 40, hash),
      ]);
      await bury(signTombstone(sample.log.signing, said({ ...whole, last: 20, prev_hash })));
      expect(await problemIn(sample)).toMatchObject({ kind: 'tombstone_invalid', node: 'a', seq: 20 });
    });
  });
});
