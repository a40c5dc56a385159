import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { gatehouse as run } from '../support/command-line.js';
import { ScriptedServer } from '../support/scripted-server.js';

const KEY = 'gh_live_Aa0000000000000A_0123456789abcdefghijklmnopqrstuvwxyz';
const SECRET = /0123456789abc|hunter2/;

describe('what the command line complains of shows no credential', () => {
  let server: ScriptedServer;
  const home = mkdtempSync(join(tmpdir(), 'gatehouse-secrets-'));
  beforeAll(async () => {
    server = await ScriptedServer.start();
  });
  afterAll(async () => {
    await server.stop();
    rmSync(home, { recursive: true });
  });

  it.each([
    ['a key with a line break', ['list'], { GATEHOUSE_TOKEN: `${KEY}\nmore` }, /GATEHOUSE_TOKEN is no key or token/],
    ['a key with a space', ['list'], { GATEHOUSE_TOKEN: `${KEY} ` }, /GATEHOUSE_TOKEN is no key or token/],
    ['a key as a command', [KEY], {}, /no command gh_live_\*\*\*\*000A/],
    ['a key as an argument', ['kill', KEY], { GATEHOUSE_TOKEN: 'x' }, /^gatehouse: /],
    ['an address with a password', ['list'], { GATEHOUSE_URL: 'ftp://me:hunter2@h', GATEHOUSE_TOKEN: 'x' }, /address/],
    ['no address', ['list'], { GATEHOUSE_URL: 'me:hunter2@h', GATEHOUSE_TOKEN: 'x' }, /address/],
    [
      ...['an unreachable one', ['list'], { GATEHOUSE_URL: 'http://me:hunter2@127.0.0.1:9', GATEHOUSE_TOKEN: 'x' }],
      /127\.0\.0\.1:9 cannot be reached/,
    ],
    ['escape characters', ['\u001b]0;owned\u0007'], {}, /no command \ufffd\]0;owned\ufffd/],
  ] as [string, string[], Record<string, string>, RegExp][])('%s', async (_, args, env, words) => {
    const { status, stdout, stderr } = await run(args, { env: { HOME: home, GATEHOUSE_URL: server.url, ...env } });
    expect(stderr).toMatch(words);
    expect(stdout + stderr).not.toMatch(SECRET);
    expect(status).not.toBe(0);
    expect(stderr.slice(0, -1)).not.toMatch(/\p{Cc}/u);
  });

  it('login replaces a file that others have open', async () => {
    server.script = () => [200, { items: [], next_cursor: null }];
    const folder = join(home, '.config', 'gatehouse');
    mkdirSync(folder, { recursive: true });
    const file = join(folder, 'credentials.json');
    writeFileSync(file, 'old');
    chmodSync(file, 0o644);
    const open = openSync(file, 'r');
    const { status } = await run(['login', '--url', server.url], { env: { HOME: home }, input: `${KEY}\n` });
    expect([status, statSync(file).mode & 0o777, readdirSync(folder)]).toEqual([0, 0o600, ['credentials.json']]);
    expect(readFileSync(open, 'utf8')).toBe('old');
  });
});
