import { generateKeyPairSync } from 'node:crypto';
import type { SecureContextOptions } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AuditFact, AuditTrail } from '../../src/kernel/audit.js';
import { ServerCertificates } from '../../src/transport/tls/server-certificates.js';
import { type PairSettings, readServerPair } from '../../src/transport/tls/server-pair.js';
import { Authority, CertificateFolder, type Issued } from '../support/link-certificates.js';
import { until } from '../support/gateway.js';

const DAY_MS = 86_400_000;
const day = (from: number): Date => new Date(Date.now() + from * DAY_MS);

describe('the certificate of the server', () => {
  const folder = new CertificateFolder();
  let [authority, other] = [] as unknown as [Authority, Authority];
  let pair: Issued;
  let settings: PairSettings;

  beforeAll(async () => {
    [authority, other] = [await Authority.make(), await Authority.make()];
    pair = await authority.issue(['localhost'], 'serverAuth', ['127.0.0.1']);
    settings = {
      ...{ TLS_CERT_FILE: folder.put('server.crt', pair.cert), TLS_KEY_FILE: folder.put('server.key', pair.key) },
      ...{ TLS_MIN_VERSION: '1.2', TLS_CLIENT_CA_FILE: undefined, production: true },
    };
  });
  afterAll(() => {
    folder.remove();
  });

  const problem = (changed: Partial<PairSettings>): string => {
    try {
      readServerPair({ ...settings, ...changed }, new Date());
      return 'none';
    } catch (error) {
      return (error as { problems: string[] }).problems.join();
    }
  };

  it('is taken with its chain, in its order', () => {
    expect(problem({})).toBe('none');
    expect(problem({ TLS_CERT_FILE: folder.put('chain.crt', pair.cert + authority.cert) })).toBe('none');
  });

  it.each([
    [
      'a certificate that is not there',
      () => ({ TLS_CERT_FILE: '/nonexistent/server.crt' }),
      /^TLS_CERT_FILE: .* cannot be read \(ENOENT\)/,
    ],
    ['a folder in its place', () => ({ TLS_CERT_FILE: '/tmp' }), /^TLS_CERT_FILE: "\/tmp" cannot be read \(EISDIR\)/],
    [
      'a certificate without its key',
      () => ({ TLS_KEY_FILE: '/nonexistent/server.key' }),
      /^TLS_KEY_FILE: .* cannot be read \(ENOENT\)/,
    ],
    [
      'a certificate that is none',
      () => ({ TLS_CERT_FILE: folder.put('none.crt', 'hello') }),
      /^TLS_CERT_FILE: .* has no certificate in PEM form/,
    ],
    [
      'a certificate that is damaged',
      () => ({ TLS_CERT_FILE: folder.put('bad.crt', pair.cert.replace(/^MII/m, 'AAA')) }),
      /^TLS_CERT_FILE: .* has a certificate that cannot be read/,
    ],
    [
      'a key that is none',
      () => ({ TLS_KEY_FILE: folder.put('none.key', 'hunter2') }),
      /^TLS_KEY_FILE: .* is no private key in PEM form without a passphrase/,
    ],
    [
      'a key with a passphrase',
      () => ({ TLS_KEY_FILE: folder.put('locked.key', locked()) }),
      /^TLS_KEY_FILE: .* without a passphrase/,
    ],
    [
      'a key that others may read',
      () => ({ TLS_KEY_FILE: folder.put('open.key', pair.key, 0o644) }),
      /^TLS_KEY_FILE: .* may be read by others \(mode 644\), expected 600/,
    ],
    [
      'a key that a group may read',
      () => ({ TLS_KEY_FILE: folder.put('group.key', pair.key, 0o640) }),
      /\(mode 640\), expected 600/,
    ],
    [
      'an authority that is not there',
      () => ({ TLS_CLIENT_CA_FILE: '/nonexistent/ca.crt' }),
      /^TLS_CLIENT_CA_FILE: .* cannot be read \(ENOENT\)/,
    ],
    [
      'a chain of somebody else',
      () => ({ TLS_CERT_FILE: folder.put('mixed.crt', pair.cert + other.cert) }),
      /^TLS_CERT_FILE: .*\(number 2\) that vouches for none before it, expected its chain/,
    ],
  ])('is refused in a sentence: %s', (_what, change, words) => {
    expect(problem(change())).toMatch(words);
    expect(problem(change())).not.toMatch(/hunter2|PRIVATE/);
  });

  const locked = (): string =>
    generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'hunter2' },
    }).privateKey;

  it('is refused when the key is another’s, when it has ended, and when it has not begun', async () => {
    const another = await authority.issue(['localhost'], 'serverAuth');
    expect(problem({ TLS_KEY_FILE: folder.put('another.key', another.key) })).toMatch(
      /is not the key of the certificate in TLS_CERT_FILE/,
    );
    const ended = await authority.issue(['localhost'], 'serverAuth', [], { from: day(-2), to: day(-1) });
    const paths = (name: string, { cert, key }: Issued) => ({
      TLS_CERT_FILE: folder.put(`${name}.crt`, cert),
      TLS_KEY_FILE: folder.put(`${name}.key`, key),
    });
    expect(problem(paths('ended', ended))).toMatch(
      /has expired on \d{4}-\d\d-\d\dT[\d:.]+Z, expected one that is valid/,
    );
    const later = await authority.issue(['localhost'], 'serverAuth', [], { from: day(1), to: day(2) });
    expect(problem(paths('later', later))).toMatch(/has not begun, which it does on \d{4}-/);
  });

  it('outside production is used though others may read its key, which the log says', () => {
    const warned: string[] = [];
    const log = { ...silent, warn: (_fields: object, words: string) => warned.push(words) };
    new ServerCertificates(
      { ...settings, production: false, TLS_KEY_FILE: folder.put('wide.key', pair.key, 0o644) },
      log,
    );
    expect(warned).toEqual([expect.stringMatching(/^TLS_KEY_FILE: .* may be read by others/)]);
  });

  const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

  it('is renewed while it serves; what cannot be used changes nothing and is told once; one that begins later does', async () => {
    const facts: AuditFact[] = [];
    const contexts: SecureContextOptions[] = [];
    let now = Date.now();
    const audit = { note: (_context: unknown, fact: AuditFact) => facts.push(fact) } as unknown as AuditTrail;
    const files = { TLS_CERT_FILE: folder.put('own.crt', pair.cert), TLS_KEY_FILE: folder.put('own.key', pair.key) };
    const certificates = new ServerCertificates({ ...settings, ...files }, silent, () => new Date(now));
    certificates.renew({ setSecureContext: (options) => contexts.push(options) });
    certificates.watch(audit);
    const asked = (): void => {
      process.emit('SIGHUP');
    };
    try {
      asked();
      expect([facts, contexts]).toEqual([[], []]);
      folder.put('own.crt', 'half of it');
      for (let times = 0; times < 3; times += 1) asked();
      expect(facts.map(({ action, success, resource }) => [action, success, resource])).toEqual([
        ['config.rejected', false, `file:${folder.path('own.crt')}`],
      ]);
      const later = await authority.issue(['localhost'], 'serverAuth', [], { from: day(1), to: day(2) });
      folder.put('own.key', later.key);
      folder.put('own.crt', later.cert);
      asked();
      expect([facts.at(-1)?.action, contexts]).toEqual(['config.rejected', []]);
      now += 1.5 * DAY_MS;
      // Without a change of the files, and without a signal.
      await until('the new one', () => contexts.length > 0);
      expect(contexts.map(({ cert }) => cert)).toEqual([later.cert.trim()]);
      expect(facts.at(-1)).toMatchObject({ action: 'tls.certificate_reloaded', success: true });
      expect(Math.abs(certificates.expires.getTime() - day(2).getTime())).toBeLessThan(60_000);
    } finally {
      certificates.close();
    }
    expect(process.listenerCount('SIGHUP')).toBe(0);
  });
});
