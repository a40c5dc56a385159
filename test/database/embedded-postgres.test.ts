import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { inspectConfig } from '../../src/config/load.js';
import { EmbeddedPostgres } from '../../src/database/embedded-postgres.js';
import { serves } from '../../src/database/postgres-presence.js';
import { databaseView } from '../../src/operator/doctor/database-facts.js';
import { until } from '../support/gateway.js';

const root = process.getuid?.() === 0;

describe('the embedded PostgreSQL', () => {
  const dataDir = join(mkdtempSync(join(tmpdir(), 'gatehouse-')), 'data');
  mkdirSync(dataDir, { mode: 0o700 });
  const open = (): Promise<EmbeddedPostgres> => EmbeddedPostgres.open({ dataDir, log: () => undefined });
  let cluster = '';
  const passwordFile = (): string => (root ? `${dirname(cluster)}.password` : join(dataDir, 'postgres-password'));
  const sockets = (): string => join(root ? dirname(cluster) : dataDir, 'run');

  afterAll(() => {
    if (root) {
      rmSync(dirname(cluster), { recursive: true, force: true });
      rmSync(passwordFile(), { force: true });
    }
    rmSync(dirname(dataDir), { recursive: true, force: true });
  });

  it('is looked at while it runs, and neither made nor started to be looked at', async () => {
    const { config } = inspectConfig({ NODE_ENV: 'test', DATA_DIR: dataDir });
    expect(await databaseView(config)).toEqual({ state: 'away', embedded: true, fault: 'there is none yet' });
    expect([EmbeddedPostgres.addressIn(dataDir), readdirSync(dataDir)]).toEqual([null, []]);
    const postgres = await open();
    cluster = postgres.directory;
    expect(EmbeddedPostgres.addressIn(dataDir)).toBe(postgres.url);
    const facts = { migrations: null, sealed: null, firstKey: null, superuser: true };
    expect(await databaseView(config)).toMatchObject({ state: 'answers', embedded: true, facts });
    await postgres.stop();
    expect(await databaseView(config)).toMatchObject({ state: 'away', embedded: true });
    expect(await serves(postgres.url)).toBe(false);
  });

  it('is adopted while it runs, and has a password that only its owner may read', async () => {
    const first = await open();
    cluster = first.directory;
    const second = await open();
    expect([first.owned, second.owned]).toEqual([true, false]);
    expect(statSync(passwordFile()).mode & 0o777).toBe(0o600);
    expect(readFileSync(passwordFile(), 'utf8').length).toBeGreaterThanOrEqual(32);
    await second.stop();
  });

  it('starts although the pid of its killed server is another process’s by now', async () => {
    await open();
    const locks = [join(cluster, 'postmaster.pid'), join(sockets(), '.s.PGSQL.5432.lock')];
    const [pid = ''] = readFileSync(join(cluster, 'postmaster.pid'), 'utf8').split('\n');
    process.kill(Number(pid), 'SIGKILL');
    const { uid, gid } = statSync(cluster);
    const other = spawn('/bin/sleep', ['60'], root ? { uid, gid, cwd: '/' } : { cwd: '/' });
    await until(
      'it is gone',
      async () => !(await serves(`postgres://x:x@localhost/x?host=${encodeURIComponent(sockets())}`)),
    );
    for (const lock of locks) writeFileSync(lock, readFileSync(lock, 'utf8').replace(pid, String(other.pid)));
    try {
      const again = await open();
      expect(again.owned).toBe(true);
      await again.stop();
    } finally {
      other.kill();
    }
  });

  it('is found again when only DATA_DIR was removed, or begins anew where it was in there', async () => {
    rmSync(dataDir, { recursive: true });
    mkdirSync(dataDir, { mode: 0o700 });
    const again = await open();
    expect(again.owned).toBe(true);
    await again.stop();
  });

  it.each([
    [
      'cut off',
      () => {
        writeFileSync(passwordFile(), 'short');
      },
      /has 5 bytes, expected at least 32/,
    ],
    [
      'gone',
      () => {
        rmSync(passwordFile());
      },
      /the password of .* is gone: put .* back/,
    ],
  ])('says so plainly when its password is %s', async (_what, breakIt, words) => {
    const password = readFileSync(passwordFile(), 'utf8');
    breakIt();
    await expect(open()).rejects.toThrow(words);
    writeFileSync(passwordFile(), password, { mode: 0o600 });
  });
});

describe('whether a PostgreSQL serves', () => {
  it('one that is starting or recovering is waited for', async () => {
    const sockets = mkdtempSync(join(tmpdir(), 'gatehouse-'));
    let asked = 0;
    // What PostgreSQL answers while it recovers (protocol 3.0, ErrorResponse).
    const fields = ['SFATAL', 'VFATAL', 'C57P03', 'Mthe database system is starting up', ''].join('\0');
    const body = Buffer.from(`${fields}\0`);
    const length = Buffer.alloc(4);
    length.writeInt32BE(body.length + 4);
    const server = createServer((socket) => {
      asked += 1;
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(Buffer.concat([Buffer.from('E'), length, body])));
      if (asked === 3) server.close();
    });
    await new Promise<void>((done) => server.listen(join(sockets, '.s.PGSQL.5432'), done));
    expect(await serves(`postgres://x:x@localhost/x?host=${encodeURIComponent(sockets)}`)).toBe(false);
    expect(asked).toBe(3);
    rmSync(sockets, { recursive: true });
  });
});
