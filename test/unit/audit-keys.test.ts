import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { SigningKey } from '../../src/audit/chain/signing-key.js';
import { type Config, loadConfig } from '../../src/config/load.js';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-keys-'));
const configured = (environment: Record<string, string>): Config => ({
  ...loadConfig({
    NODE_ENV: 'production',
    TLS_TERMINATED_BY_PROXY: 'true',
    AUTH_SECRET: 'x'.repeat(32),
    ...environment,
  }),
  dataDir: folder,
});
const file = (name: string, text: string, mode = 0o600): string => {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
};
const ed25519 = generateKeyPairSync('ed25519');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const secret = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }) as string;
const shared = (key: KeyObject): string => key.export({ type: 'spki', format: 'pem' }) as string;

describe('the keys of the audit trail', () => {
  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  it('are made where there is none, for nobody else to read, and are the same after a restart', () => {
    const { id } = SigningKey.load(configured({}));
    expect(statSync(join(folder, 'audit-signing-key.pem')).mode & 0o777).toBe(0o600);
    expect(SigningKey.load(configured({})).id).toBe(id);
  });

  it('that signed before count when they are named', () => {
    const signed = SigningKey.of(ed25519.privateKey).sign('text');
    const another = generateKeyPairSync('ed25519');
    const paths = { AUDIT_SIGNING_KEY: file('new.pem', secret(another.privateKey)) };
    expect(SigningKey.load(configured(paths)).verifies(signed)).toBe(false);
    const old = file('old.pem', `${shared(another.publicKey)}${shared(ed25519.publicKey)}`, 0o644);
    const key = SigningKey.load(configured({ ...paths, AUDIT_VERIFY_KEYS: old }));
    expect(key.verifies(signed)).toBe(true);
    expect(key.verifies({ ...signed, document: 'Text' })).toBe(false);
  });

  it.each([
    ['AUDIT_SIGNING_KEY', 'is not there', () => join(folder, 'none.pem'), /ENOENT/],
    ['AUDIT_SIGNING_KEY', 'is none', () => file('text.pem', 'text'), /a readable key in PEM/],
    [
      'AUDIT_SIGNING_KEY',
      'is of another kind',
      () => file('rsa.pem', secret(rsa.privateKey)),
      /an Ed25519 private key/,
    ],
    ['AUDIT_SIGNING_KEY', 'is public', () => file('public.pem', shared(ed25519.publicKey)), /a readable key/],
    ['AUDIT_SIGNING_KEY', 'others can read', () => file('open.pem', secret(ed25519.privateKey), 0o640), /mode 0600/],
    ['AUDIT_VERIFY_KEYS', 'is of another kind', () => file('rsas.pem', shared(rsa.publicKey)), /Ed25519 public keys/],
    ['AUDIT_VERIFY_KEYS', 'is empty', () => file('empty.pem', ''), /Ed25519 public keys/],
  ])('%s that %s stops the start with a sentence', (variable, _what, path, words) => {
    const named = { [variable]: path() };
    expect(() => SigningKey.load(configured(named))).toThrow(
      expect.objectContaining({
        problems: [expect.stringMatching(new RegExp(`^${variable}: .*${words.source}`))],
      }),
    );
  });
});
