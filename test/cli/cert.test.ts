import { X509Certificate } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { gatehouse, type Outcome } from '../support/command-line.js';

describe('gatehouse cert self-signed', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-cert-'));
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  const make = (...flags: string[]): Promise<Outcome> => gatehouse(['cert', 'self-signed', ...flags], { cwd: folder });
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');

  it('makes a pair for the names and addresses given, the key for its owner only', async () => {
    const made = await make(
      '--host',
      'term.example.com',
      '--host',
      '*.example.org',
      '--host',
      '192.0.2.7',
      '--host',
      '[fd00::7]',
      '--days',
      '30',
    );
    expect(made).toMatchObject({ status: 0, stdout: expect.stringContaining('certs/server.crt and certs/server.key') });
    expect(readdirSync(join(folder, 'certs')).sort()).toEqual(['server.crt', 'server.key']);
    expect(['crt', 'key'].map((end) => statSync(join(folder, `certs/server.${end}`)).mode & 0o777)).toEqual([
      0o644, 0o600,
    ]);
    const certificate = new X509Certificate(read('certs/server.crt'));
    for (const host of ['term.example.com', 'a.example.org']) expect(certificate.checkHost(host)).toBeDefined();
    for (const address of ['192.0.2.7', 'fd00::7']) expect(certificate.checkIP(address)).toBe(address);
    expect(certificate.checkHost('example.org')).toBeUndefined();
    expect([certificate.ca, certificate.keyUsage]).toEqual([false, ['1.3.6.1.5.5.7.3.1']]);
    expect(Math.round((Date.parse(certificate.validTo) - Date.now()) / 86_400_000)).toBe(30);
    expect(made.stdout + made.stderr).not.toContain('PRIVATE');
  });

  it('makes another one each time, which clients that trust several tell apart by name', async () => {
    await make('--out', 'one');
    await make('--out', 'two');
    const [one, two] = ['one', 'two'].map((out) => new X509Certificate(read(`${out}/server.crt`)).subject);
    expect(one).not.toBe(two);
  });

  it('is for this machine when nothing is given', async () => {
    expect(await make('--out', 'local')).toMatchObject({ status: 0 });
    const certificate = new X509Certificate(read('local/server.crt'));
    expect(certificate.subjectAltName).toBe('DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1');
  });

  it.each(['server.crt', 'server.key'])(
    'leaves files that are there alone, if only %s is, unless it is told to replace them',
    async (name) => {
      const out = `kept-${name}`;
      mkdirSync(join(folder, out));
      writeFileSync(join(folder, out, name), 'mine', { mode: 0o644 });
      expect(await make('--out', out)).toMatchObject({
        status: 1,
        stderr: expect.stringContaining(`${out}/${name} is there already; --force`),
      });
      expect([readdirSync(join(folder, out)), read(`${out}/${name}`)]).toEqual([[name], 'mine']);
      chmodSync(join(folder, out, name), 0o644);
      expect(await make('--out', out, '--force')).toMatchObject({ status: 0 });
      expect([readdirSync(join(folder, out)).length, statSync(join(folder, out, 'server.key')).mode & 0o777]).toEqual([
        2, 0o600,
      ]);
      expect(read(`${out}/${name}`)).not.toBe('mine');
    },
  );

  it.each([
    [
      'a host with a scheme',
      ['--host', 'https://localhost'],
      2,
      /--host takes a name or address, without scheme or port/,
    ],
    ['a host with a port', ['--host', 'localhost:8080'], 2, /--host takes a name or address/],
    ['an empty host', ['--host', ''], 2, /--host takes a name or address/],
    ['no days', ['--days', '0'], 2, /--days takes a whole number from 1/],
    ['too many days', ['--days', '3651'], 2, /at most 3650/],
    [
      'too many hosts',
      Array.from({ length: 101 }, () => ['--host', 'a']).flat(),
      2,
      /--host is given 100 times at most/,
    ],
    ['a word too many', ['localhost'], 2, /takes flags only/],
    [
      'a folder that cannot be made',
      ['--out', '/dev/null/certs'],
      1,
      /\/dev\/null\/certs cannot be written \(E[A-Z]+\)/,
    ],
  ])('refuses %s in a sentence', async (_what, flags, status, words) => {
    const refused = await make(...flags);
    expect([refused.status, refused.stderr]).toEqual([status, expect.stringMatching(words)]);
    expect(refused.stderr).not.toMatch(/\n\s+at /);
  });
});
