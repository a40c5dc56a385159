import '../support/nest-first.js';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { createPublicKey } from 'node:crypto';
import { sampleLog } from '../support/sample-log.js';

/** The programs that docs/audit-proof.md names, on what its queries print. */
describe('the proof by hand', () => {
  const sample = sampleLog();

  it('sha256sum has the hash of an event, and the next one names it', async () => {
    const rows = await sample.log.sql(
      `SELECT canonical, hash, prev_hash FROM audit_events WHERE node = 'a' AND seq IN (2, 3) ORDER BY seq`,
    );
    const [event, next] = rows;
    const sum = execFileSync('sha256sum', { input: String(event?.['canonical']) })
      .toString()
      .slice(0, 64);
    expect([event?.['hash'], next?.['prev_hash']]).toEqual([sum, sum]);
  });

  it('openssl verifies a checkpoint, and none that was changed', async () => {
    const [row] = await sample.log.sql('SELECT document, signature FROM audit_checkpoints ORDER BY seq LIMIT 1');
    const at = (name: string): string => join(sample.log.folder, name);
    writeFileSync(at('pub.pem'), createPublicKey(sample.log.key).export({ type: 'spki', format: 'pem' }));
    writeFileSync(at('document'), String(row?.['document']));
    writeFileSync(at('signature'), Buffer.from(String(row?.['signature']), 'base64'));
    const args = ['pkeyutl', '-verify', '-pubin', '-inkey', at('pub.pem'), '-rawin', '-in', at('document')];
    const verify = (): string => execFileSync('openssl', [...args, '-sigfile', at('signature')]).toString();
    expect(verify()).toContain('Signature Verified Successfully');
    writeFileSync(at('document'), `${String(row?.['document'])} `);
    expect(verify).toThrow();
  });
});
