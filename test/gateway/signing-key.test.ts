import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestGateway } from '../support/gateway.js';

describe('a gateway whose AUDIT_SIGNING_KEY is not good', () => {
  let gateway: TestGateway;
  const key = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

  beforeAll(async () => {
    gateway = await TestGateway.prepare({ AUDIT_SIGNING_KEY: 'signing.pem' });
    mkdirSync(gateway.dataDir, { mode: 0o700 });
  });
  afterAll(() => gateway.remove());

  it.each([
    ['can be read by others', key, 0o640, /AUDIT_SIGNING_KEY: found "signing\.pem", expected .*mode 0600/],
    ['is no key', 'no key at all', 0o600, /AUDIT_SIGNING_KEY: found "signing\.pem", expected a readable key in PEM/],
  ])('does not start when it %s, says which variable, and leaves no runner', async (_what, text, mode, words) => {
    const path = join(dirname(gateway.dataDir), 'signing.pem');
    writeFileSync(path, text);
    chmodSync(path, mode);
    const from = gateway.stdout.length;
    const child = gateway.spawn();
    expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(78);
    const said = gateway.stdout.slice(from);
    expect(said).toMatch(words);
    expect(said).not.toContain('no key at all');
    expect(said).not.toContain('PRIVATE KEY');
    expect(gateway.runnerPids()).toEqual([]);
  });
});
