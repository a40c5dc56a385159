import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { generate } from 'selfsigned';
import * as configuration from '../../src/operator/doctor/configuration-checks.js';
import { database } from '../../src/operator/doctor/database-checks.js';
import type { DatabaseFacts, DatabaseView } from '../../src/operator/doctor/database-facts.js';
import { dataDirectory, envFile, secretFiles } from '../../src/operator/doctor/file-checks.js';
import { bind, proxies } from '../../src/operator/doctor/network-checks.js';
import { tls } from '../../src/operator/doctor/tls-checks.js';
import type { Config } from '../../src/config/load.js';
import type { Finding } from '../../src/operator/finding.js';
import { byId, productionConfig, stateOf } from '../support/findings.js';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-doctor-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

const SECRET = randomBytes(48).toString('base64');
const config = productionConfig(join(folder, 'data'), SECRET);

describe('gatehouse doctor, of the configuration', () => {
  const { authSecret, authSecretPrevious, configValid, masterKey, mode, platformAdmins } = configuration;
  const key = randomBytes(32).toString('hex');
  const admins = (count: number): Config =>
    config({ PLATFORM_ADMINS: Array.from({ length: count }, (_, each) => `default/gatehouse/a${each}`).join() });

  it.each<[string, Finding, string]>([
    ['no mistake', configValid([]), 'ok'],
    ['mistakes', configValid(['HTTP_PORT: found "x"']), 'problem'],
    ['production', mode(config()), 'ok'],
    ['development', mode(config({ NODE_ENV: 'development' })), 'warning'],
    ['no platform administrators', platformAdmins(config()), 'ok'],
    ['two of them', platformAdmins(admins(2)), 'ok'],
    ['six of them', platformAdmins(admins(6)), 'warning'],
    ['a random secret', authSecret(config()), 'ok'],
    ['a secret that repeats itself', authSecret(config({ AUTH_SECRET: 'password'.repeat(5) })), 'warning'],
    ['no secret in production', authSecret(config({ AUTH_SECRET: '' })), 'problem'],
    ['no secret elsewhere', authSecret(config({ AUTH_SECRET: '', NODE_ENV: 'test' })), 'ok'],
    ['no secret of before', authSecretPrevious(config()), 'ok'],
    ['a secret of before', authSecretPrevious(config({ AUTH_SECRET_PREVIOUS: 'p'.repeat(40) })), 'warning'],
    ['a master key', masterKey(config({ ENCRYPTION_MASTER_KEY: key }), false), 'ok'],
    ['no master key in production', masterKey(config(), true), 'warning'],
    ['a kept master key', masterKey(config({ NODE_ENV: 'test' }), true), 'ok'],
    ['no master key yet', masterKey(config({ NODE_ENV: 'test' }), false), 'skipped'],
  ])('finds with %s what it is worth', (_what, finding, state) => {
    expect(stateOf(finding)).toBe(state);
    expect(JSON.stringify(finding)).not.toContain(SECRET);
    expect(JSON.stringify(finding)).not.toContain(key);
  });

  it.each([
    ['loopback', { HOST: '127.0.0.1' }, {}, 'ok'],
    ['IPv6 loopback', { HOST: '::1' }, {}, 'ok'],
    ['every address without TLS', { HOST: '0.0.0.0' }, {}, 'problem'],
    ['every address by IPv6 without TLS', { HOST: '::' }, {}, 'problem'],
    ['a name that begins like loopback', { HOST: '127.0.0.1.example.com' }, {}, 'problem'],
    ['every address with TLS', { HOST: '0.0.0.0' }, { TLS_ENABLED: true }, 'ok'],
    ['every address behind a proxy', { HOST: '0.0.0.0' }, { TLS_TERMINATED_BY_PROXY: true }, 'ok'],
    ['TLS that is switched off', { HOST: '0.0.0.0' }, { TLS_ENABLED: false }, 'problem'],
  ])('finds on %s whether callers come by TLS', (_what, environment, more, state) => {
    expect(stateOf(bind(config(environment, more)))).toBe(state);
  });

  it.each([
    ['', {}, 'ok'],
    ['10.0.0.7, fd00::/8', {}, 'ok'],
    ['0.0.0.0/0', {}, 'problem'],
    ['10.0.0.1, ::/0', {}, 'problem'],
    ['128.0.0.0/1', {}, 'problem'],
    ['', { TLS_TERMINATED_BY_PROXY: true }, 'warning'],
  ])('finds what TRUSTED_PROXIES=%s is worth (%j)', (trusted, more, state) => {
    expect(stateOf(proxies(config({ TRUSTED_PROXIES: trusted }, more)))).toBe(state);
  });
});

describe('gatehouse doctor, of files', () => {
  const file = (name: string, mode: number, content = 'x'): string => {
    const path = join(folder, name);
    writeFileSync(path, content);
    chmodSync(path, mode);
    return path;
  };

  it.each([
    [0o700, 'ok'],
    [0o750, 'warning'],
    [0o770, 'problem'],
    [0o777, 'problem'],
  ])('finds what a folder with mode %s is worth', (mode, state) => {
    const path = join(folder, mode.toString(8));
    mkdirSync(path);
    chmodSync(path, mode);
    expect(stateOf(dataDirectory(path))).toBe(state);
  });

  it('finds a folder that is none, not there, or somebody else’s', () => {
    expect(stateOf(dataDirectory(file('no-folder', 0o600)))).toBe('problem');
    expect(stateOf(dataDirectory(join(folder, 'none')))).toBe('skipped');
    expect(stateOf(dataDirectory(process.getuid?.() === 0 ? '/proc/1' : '/'))).toBe(
      process.getuid?.() === 0 ? 'warning' : 'problem',
    );
  });

  it('finds secrets that others may read, by name', () => {
    const closed = { name: 'DATA_DIR/auth-secret', path: file('closed', 0o600) };
    const open = { name: 'AUDIT_SIGNING_KEY', path: file('open', 0o640, 'the-content') };
    expect(stateOf(secretFiles([]))).toBe('skipped');
    expect(stateOf(secretFiles([closed, { name: 'none', path: join(folder, 'none') }]))).toBe('ok');
    const found = secretFiles([closed, open]);
    expect([stateOf(found), found.what.includes('AUDIT_SIGNING_KEY'), found.what.includes('640')]).toEqual([
      ...['problem', true, true],
    ]);
    expect(JSON.stringify(found)).not.toContain('the-content');
  });

  it('finds a .env that others may read, outside production', () => {
    expect(stateOf(envFile(file('env-open', 0o644), false))).toBe('warning');
    expect(stateOf(envFile(file('env-closed', 0o600), false))).toBe('ok');
    expect(stateOf(envFile(join(folder, 'env-open'), true))).toBe('skipped');
  });

  describe('of certificates:', () => {
    const DAY = 86_400_000;
    const now = Date.now();
    let key = '';
    let cert = '';
    const found = (id: string, at: number, files: { cert?: string; key?: string } = {}): Finding | undefined => {
      const more = { TLS_ENABLED: true, TLS_CERT_FILE: files.cert ?? cert, TLS_KEY_FILE: files.key ?? key };
      return byId(tls(config({}, more), at), id);
    };

    beforeAll(async () => {
      const made = await generate([{ name: 'commonName', value: 'localhost' }], {
        ...{ keyType: 'ec', curve: 'P-256', algorithm: 'sha256' },
        ...{ notBeforeDate: new Date(now - DAY), notAfterDate: new Date(now + 90 * DAY) },
      } as object);
      cert = file('server.crt', 0o644, made.cert);
      key = file('server.key', 0o600, made.private);
      const other = await generate([{ name: 'commonName', value: 'localhost' }], { keyType: 'ec' } as object);
      file('other.key', 0o640, other.private);
    });

    it.each([
      ['well before its end', 0, 'ok'],
      ['three weeks before its end', 70, 'warning'],
      ['after its end', 91, 'problem'],
      ['before its beginning', -2, 'problem'],
    ])('%s', (_what, days, state) => {
      expect(stateOf(found('tls.certificate', now + days * DAY))).toBe(state);
    });

    it('a key of another certificate, a file that is not there or is something else, a key that others may read', () => {
      const other = join(folder, 'other.key');
      expect(found('tls.certificate', now, { key: other })?.what).toContain('not the key of the certificate');
      expect(found('tls.certificate', now, { cert: join(folder, 'none') })?.what).toContain('ENOENT');
      expect(found('tls.certificate', now, { cert: key })?.what).toContain('is not what it should be');
      expect(stateOf(found('tls.key', now, { key: other }))).toBe('problem');
      expect(stateOf(found('tls.key', now))).toBe('ok');
      expect(stateOf(byId(tls(config(), now), 'tls.certificate'))).toBe('skipped');
    });

    it('a key that is not there or not for this user to see, which is not called closed', () => {
      const endless = join(folder, 'endless');
      symlinkSync(endless, endless);
      for (const path of [join(folder, 'none'), endless]) {
        expect(stateOf(found('tls.key', now, { key: path }))).toBe('skipped');
        expect(stateOf(found('tls.certificate', now, { key: path }))).toBe('problem');
      }
    });

    it('those of the link to a runner on another machine', () => {
      const remoteRunner = { host: 'h', controlPort: 1, bytesPort: 2, cert, key, ca: cert };
      expect(stateOf(byId(tls(config({}, { remoteRunner }), now), 'tls.runner'))).toBe('ok');
      expect(stateOf(byId(tls(config({}, { remoteRunner }), now + 91 * DAY), 'tls.runner'))).toBe('problem');
    });
  });
});

describe('gatehouse doctor, of the database', () => {
  const facts: DatabaseFacts = {
    ...{ version: 180_004, bypasses: false, superuser: false, altersAudit: false, clockAheadMs: 10 },
    ...{ migrations: ['A1', 'B2'], known: ['A1', 'B2'], firstKey: false, sealed: [] },
  };
  const url = 'postgres://gatehouse:hunter2@db.example.com/gatehouse';
  const look = (id: string, more: Partial<DatabaseFacts>, embedded = false): Finding | undefined =>
    byId(database(config({ DATABASE_URL: url }), { state: 'answers', embedded, facts: { ...facts, ...more } }), id);

  it.each<[string, string, Partial<DatabaseFacts>, string]>([
    ['PostgreSQL 18', 'database.version', {}, 'ok'],
    ['PostgreSQL 14', 'database.version', { version: 140_010 }, 'problem'],
    ['PostgreSQL 19', 'database.version', { version: 190_000 }, 'warning'],
    ['an ordinary login', 'database.role', {}, 'ok'],
    ['a superuser', 'database.role', { bypasses: true, superuser: true }, 'warning'],
    ['BYPASSRLS', 'database.role', { bypasses: true }, 'warning'],
    ['a login that owns nothing', 'database.audit_tables', {}, 'ok'],
    ['the owner of the trail', 'database.audit_tables', { altersAudit: true }, 'warning'],
    ['no tables', 'database.audit_tables', { altersAudit: null }, 'skipped'],
    ['clocks that agree', 'database.clock', { clockAheadMs: -4000 }, 'ok'],
    ['a clock that is six seconds behind', 'database.clock', { clockAheadMs: -6000 }, 'warning'],
    ['a clock that is two minutes ahead', 'database.clock', { clockAheadMs: 120_000 }, 'problem'],
    ['all migrations', 'database.migrations', {}, 'ok'],
    ['one to come', 'database.migrations', { migrations: ['A1'] }, 'warning'],
    ['one of a newer version', 'database.migrations', { migrations: ['A1', 'B2', 'C3'] }, 'problem'],
    ['none', 'database.migrations', { migrations: null }, 'skipped'],
    ['the first key', 'access.first_key', { firstKey: true }, 'warning'],
    ['no first key any more', 'access.first_key', {}, 'ok'],
  ])('finds with %s what it is worth', (_what, id, more, state) => {
    expect(stateOf(look(id, more))).toBe(state);
  });

  it.each([
    ['postgres://db.example.com/g', 'disable', 'problem'],
    ['postgres://db.example.com/g', 'require', 'warning'],
    ['postgres://db.example.com/g', 'verify-ca', 'warning'],
    ['postgres://db.example.com/g', 'verify-full', 'ok'],
    ['postgres://localhost/g', 'disable', 'ok'],
    ['postgres://localhost/g?host=10.0.0.5', 'disable', 'problem'],
    ['postgres://u:x@%zz/db', 'require', 'warning'],
    ['postgres://localhost/g?host=%2Fvar%2Frun%2Fpostgresql', 'disable', 'ok'],
  ])('finds whether %s with %s is read on the way', (address, ssl, state) => {
    const view: DatabaseView = { state: 'away', embedded: false, fault: 'no' };
    const findings = database(config({ DATABASE_URL: address, DATABASE_SSL_MODE: ssl }), view);
    expect(stateOf(byId(findings, 'database.tls'))).toBe(state);
  });

  it('is a problem when it is away, and nothing else is said of it; an embedded one may be stopped', () => {
    const findings = database(config({ DATABASE_URL: url }), { state: 'away', embedded: false, fault: 'refused' });
    expect(stateOf(byId(findings, 'database.reachable'))).toBe('problem');
    expect(findings.slice(2).map(({ state }) => state)).toEqual(Array(6).fill('skipped'));
    expect(JSON.stringify(findings)).not.toContain('hunter2');
    const [embedded] = database(config(), { state: 'away', embedded: true, fault: 'there is none yet' });
    expect(stateOf(embedded)).toBe('skipped');
    expect(stateOf(look('database.reachable', {}, true))).toBe('warning');
  });
});
