import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import jwt from 'jsonwebtoken';
import { generateKey } from '../../src/kernel/api-key-text.js';
import { gatehouse, gatehouseInTerminal } from '../support/command-line.js';
import { token, until } from '../support/gateway.js';

const SECRET = 'the-secret-of-the-environment-0123456789';
const OTHER = 'the-secret-of-another-place-01234567890';
const ENV = { AUTH_SECRET: SECRET };

const verified = (text: string, secret = SECRET): jwt.JwtPayload =>
  jwt.verify(text.trim(), secret, {
    algorithms: ['HS256'],
    issuer: 'gatehouse',
    audience: 'gatehouse',
  }) as jwt.JwtPayload;

describe('gatehouse token', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'gatehouse-secret-'));
    writeFileSync(join(folder, 'auth-secret'), `${OTHER}\n`);
    writeFileSync(join(folder, 'short'), 'too-short');
  });
  afterAll(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  it('mint prints a token with the claims asked for, and nothing else', async () => {
    const args = ['--user', 'alice', '--hours', '0.5', '--role', 'user', '--role', 'auditor', '--scope', 'pty:view'];
    const more = ['--scope', 'pty:create', '--group', 'dev', '--tenant', 'acme'];
    const { status, stdout, stderr } = await gatehouse(['token', 'mint', ...args, ...more], { env: ENV });
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const { iat = 0, exp, jti, ...claims } = verified(stdout);
    expect(claims).toEqual({
      iss: 'gatehouse',
      aud: 'gatehouse',
      sub: 'alice',
      roles: ['user', 'auditor'],
      groups: ['dev'],
      scope: 'pty:view pty:create',
      tenant: 'acme',
    });
    expect([exp, jti]).toEqual([iat + 1800, expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/)]);
  });

  it('mint takes an hour unless told, and claims nothing that was not asked for', async () => {
    const { stdout } = await gatehouse(['token', 'mint', '--user', 'a', '--json'], { env: ENV });
    const answer = JSON.parse(stdout) as { token: string };
    const { iat = 0, exp, ...claims } = verified(answer.token);
    expect(exp).toBe(iat + 3600);
    expect(Object.keys(claims).sort()).toEqual(['aud', 'iss', 'jti', 'roles', 'sub']);
    expect(answer).toMatchObject({ jti: claims.jti, subject: 'a', roles: [], scopes: null, tenant: 'default' });
  });

  it('mint takes the secret from the file named, else the environment, else DATA_DIR', async () => {
    const file = join(folder, 'auth-secret');
    const named = await gatehouse(['token', 'mint', '--user', 'a', '--secret-file', file], { env: ENV });
    expect(verified(named.stdout, OTHER).sub).toBe('a');
    const both = await gatehouse(['token', 'mint', '--user', 'a'], { env: { ...ENV, DATA_DIR: folder } });
    expect(verified(both.stdout).sub).toBe('a');
    const kept = await gatehouse(['token', 'mint', '--user', 'a'], { env: { AUTH_SECRET: '', DATA_DIR: folder } });
    expect(verified(kept.stdout, OTHER).sub).toBe('a');
  });

  it.each<[string, string[], Record<string, string>, number, RegExp]>([
    ['without a secret', ['--user', 'a'], { DATA_DIR: '/nonexistent' }, 1, /no secret; set AUTH_SECRET/],
    ['with a short secret', ['--user', 'a'], { AUTH_SECRET: 'too-short' }, 1, /AUTH_SECRET has 9 bytes; .* least 32/],
    ['with no such file', ['--user', 'a', '--secret-file', '/nonexistent'], ENV, 1, /there is no file/],
    ['without a user', [], ENV, 2, /mint takes --user NAME; see `gatehouse token --help`/],
    ['for no time', ['--user', 'a', '--hours', '0'], ENV, 2, /--hours takes/],
    ['for longer than a day', ['--user', 'a', '--hours', '24.1'], ENV, 2, /--hours takes .* at most 24/],
    ['for hours that are none', ['--user', 'a', '--hours', '1e1'], ENV, 2, /--hours takes/],
    ['with two scopes in one', ['--user', 'a', '--scope', 'pty:view pty:kill'], ENV, 2, /--scope takes one permission/],
    ['for a name with a line break', ['--user', 'a\nb'], ENV, 2, /none of them a control character/],
    ['with a secret on the command line', ['--user', 'a', '--secret', SECRET], ENV, 2, /Unknown option '--secret'/],
  ])('mint is refused %s', async (_what, args, env, status, words) => {
    const ended = await gatehouse(['token', 'mint', ...args], { env });
    expect(ended).toMatchObject({ status, stdout: '' });
    expect(ended.stderr).toMatch(words);
    expect(ended.stderr).not.toMatch(/too-short|the-secret-of|\n\s+at /);
  });

  it('mint refuses a short secret in a file', async () => {
    const { status, stderr } = await gatehouse([
      'token',
      'mint',
      '--user',
      'a',
      '--secret-file',
      join(folder, 'short'),
    ]);
    expect([status, stderr]).toEqual([1, expect.stringContaining('has 9 bytes')]);
  });

  it('mint tells a person beside the token what it is', async () => {
    const { shown, ended } = gatehouseInTerminal(['token', 'mint', '--user', 'alice', '--role', 'user'], ENV, 300);
    expect(await ended).toBe(0);
    expect(shown()).toMatch(/token of alice; roles user; expires in 1h \(.*\); signed with AUTH_SECRET\r\n/);
  });

  it('inspect shows header, claims and times, and never the token', async () => {
    const text = token({ exp: Math.floor(Date.now() / 1000) + 870, scope: 'pty:view' }, SECRET);
    const { status, stdout, stderr } = await gatehouse(['token', 'inspect'], { env: ENV, input: `${text}\n` });
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^signature +valid \(AUTH_SECRET\)$/m);
    expect(stdout).toMatch(/^time +expires in 14m \(20/m);
    expect(stdout).toMatch(/^sub +alice$/m);
    for (const part of text.split('.')) expect(stdout).not.toContain(part);
  });

  it.each<[string, string, Record<string, string>, string, RegExp]>([
    [
      'of another secret',
      token({}, OTHER),
      ENV,
      'not of this secret',
      /^signature +not of this secret \(AUTH_SECRET\)$/m,
    ],
    ['without a secret', token({}, SECRET), {}, 'not checked', /^signature +not checked$/m],
    ['signed with a key pair', signedByKeyPair(), ENV, 'not checked', /^alg +RS256$/m],
    ['that expired', token({ iat: 1, exp: hoursAgo(3.5) }, SECRET), ENV, 'valid', /^time +expired 3h ago/m],
    ['without an end', token({ exp: undefined }, SECRET), ENV, 'valid', /^time +says no time/m],
  ])('inspect tells of a token %s', async (_what, text, env, signature, words) => {
    const surroundings = { env, input: text, cwd: folder };
    expect((await gatehouse(['token', 'inspect'], surroundings)).stdout).toMatch(words);
    const json = (await gatehouse(['token', 'inspect', '--json'], surroundings)).stdout;
    expect(JSON.parse(json)).toMatchObject({ kind: 'token', signature });
    expect(json).not.toContain(text.slice(-20));
  });

  it('inspect reads the credential that other commands use with --current', async () => {
    const env = { ...ENV, GATEHOUSE_TOKEN: token({ sub: 'carol' }, SECRET) };
    expect((await gatehouse(['token', 'inspect', '--current'], { env })).stdout).toMatch(/^sub +carol$/m);
    expect((await gatehouse(['token', 'inspect', '--current'])).stderr).toContain(
      'no credential; set GATEHOUSE_TOKEN, or',
    );
  });

  it('inspect tells id and checksum of an API key, and never the key', async () => {
    const key = generateKey('gh_live');
    const right = await gatehouse(['token', 'inspect', '--json'], { input: key.text });
    expect(JSON.parse(right.stdout)).toEqual({ kind: 'api_key', prefix: 'gh_live', id: key.id, checksum: 'right' });
    const end = key.text.endsWith('0') ? '1' : '0';
    const wrong = await gatehouse(['token', 'inspect'], { input: key.text.slice(0, -1) + end });
    expect(wrong.stdout).toMatch(/^checksum +wrong: mistyped or invented$/m);
    expect(right.stdout + wrong.stdout).not.toContain(key.secret.slice(0, 10));
    const cut = await gatehouse(['token', 'inspect'], { input: key.text.slice(0, -1) });
    expect([cut.status, cut.stdout, cut.stderr.includes(key.secret.slice(0, 10))]).toEqual([1, '', false]);
  });

  it.each([
    ['nothing', '', /nothing was given/],
    ['what is no credential', 'hello.there', /neither a token nor an API key/],
    ['what is not JSON inside', 'aGk.aGk.aGk', /neither a token nor an API key/],
    ['too much', 'x'.repeat(70_000), /too long/],
  ])('inspect refuses %s', async (_what, input, words) => {
    const { status, stdout, stderr } = await gatehouse(['token', 'inspect'], { input });
    expect([status, stdout, stderr]).toEqual([1, '', expect.stringMatching(words)]);
  });

  it('inspect takes no credential from the command line, nor repeats it', async () => {
    const text = token();
    const { status, stdout, stderr } = await gatehouse(['token', 'inspect', text]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain('standard input');
    expect(stderr).not.toContain(text.slice(-20));
  });

  it('a claim cannot drive the terminal that shows it', async () => {
    const input = token({ sub: 'a\u001b]0;owned\u0007\u009b31m\u202eb' }, SECRET);
    const { stdout } = await gatehouse(['token', 'inspect'], { env: ENV, input });
    expect(stdout).toContain('a\ufffd]0;owned\ufffd\ufffd31m\ufffdb\n');
    const json = (await gatehouse(['token', 'inspect', '--json'], { env: ENV, input })).stdout;
    for (const control of ['\u001b', '\u0007', '\u009b']) expect(json).not.toContain(control);
    expect(JSON.parse(json)).toMatchObject({ claims: { sub: 'a\u001b]0;owned\u0007\u009b31m\u202eb' } });
  });

  it('in a terminal inspect asks for the credential and does not show what is typed', async () => {
    const text = token({}, SECRET);
    const terminal = gatehouseInTerminal(['token', 'inspect'], ENV, 200);
    await until('the question', () => terminal.shown().includes('(not shown): '));
    terminal.type(`${text}\r`);
    expect(await terminal.ended).toBe(0);
    expect(terminal.shown()).toMatch(/signature +valid/);
    expect(terminal.shown()).not.toContain(text.slice(-20));
  });
});

function hoursAgo(hours: number): number {
  return Math.floor(Date.now() / 1000 - hours * 3600);
}

function signedByKeyPair(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return jwt.sign({ sub: 'alice' }, privateKey, { algorithm: 'RS256', expiresIn: 60 });
}
