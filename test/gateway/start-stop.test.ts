import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { rest, startSession } from '../support/rest.js';

/** Processes whose command line or environment names this folder. */
function processesOf(folder: string): string[] {
  const about = (pid: string, file: string): string => {
    try {
      return readFileSync(join('/proc', pid, file), 'utf8');
    } catch {
      return ''; // ended meanwhile, or somebody else's
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => `${pid} ${about(pid, 'cmdline')} ${about(pid, 'environ')}`)
    .filter((line) => line.includes(folder));
}

/** Where the embedded database of this gateway is; root's is elsewhere. */
const clusterOf = (gateway: TestGateway): string =>
  /data {13}[^,\n]*(?:, (\S+))?/.exec(gateway.stdout)?.[1] ?? join(gateway.dataDir, 'postgres');

const postmasterPid = (gateway: TestGateway): number =>
  Number(readFileSync(join(clusterOf(gateway), 'postmaster.pid'), 'utf8').split('\n')[0]);

/** A zombie has ended: only its parent has not looked yet, and process 1 of a container may never look. */
const lives = (pid: number): boolean => {
  try {
    return !/^\d+ \(.*\) Z /s.test(readFileSync(`/proc/${String(pid)}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

/** For making a database and starting twice. */
const STARTS_MS = 180_000;

describe('starting and stopping, with everything embedded', () => {
  let gateway: TestGateway | undefined;
  const alice = token();

  afterEach(async () => {
    if (!gateway) return;
    const cluster = clusterOf(gateway);
    await gateway.end();
    if (cluster.startsWith('/var/lib/gatehouse/')) {
      rmSync(dirname(cluster), { recursive: true, force: true });
      rmSync(`${dirname(cluster)}.password`, { force: true });
    }
    await gateway.remove();
    gateway = undefined;
  });

  it(
    'the first start shows a key that works; Ctrl-C leaves no process behind; the next start finds everything',
    async () => {
      gateway = await TestGateway.start({}, { embedded: true });
      const key = gateway.adminKey;
      expect(gateway.stdout).toContain(`GATEHOUSE_TOKEN=${key} npx gatehouse run`);
      expect((await rest(gateway, key, 'GET', '/api/v1/sessions')).status).toBe(200);
      const id = await startSession(gateway, alice, { command: ['/bin/sleep', '1000'] });
      const [runner = 0] = gateway.runnerPids();
      const postmaster = postmasterPid(gateway);
      expect([lives(runner), lives(postmaster)]).toEqual([true, true]);
      expect(await gateway.end('SIGINT')).toBe(0);
      expect([lives(runner), lives(postmaster)]).toEqual([false, false]);
      expect(processesOf(gateway.dataDir)).toEqual([]);
      const before = gateway.stdout.length;
      await gateway.launch();
      expect(gateway.stdout.slice(before)).not.toContain(key);
      expect((await rest(gateway, key, 'GET', `/api/v1/sessions/${id}`)).body).toMatchObject({
        state: 'killed',
        reason: 'shutdown',
      });
    },
    STARTS_MS,
  );

  it(
    'after kill -9 the next start adopts runner and PostgreSQL, with the live session',
    async () => {
      gateway = await TestGateway.start({}, { embedded: true });
      const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
      const [runner] = gateway.runnerPids();
      const postmaster = postmasterPid(gateway);
      await gateway.end('SIGKILL');
      await gateway.launch();
      expect([gateway.runnerPids()[0], postmasterPid(gateway)]).toEqual([runner, postmaster]);
      expect((await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).body['state']).toBe('running');
    },
    STARTS_MS,
  );

  it(
    'RUNNER_PERSIST=true keeps terminals over a stop',
    async () => {
      gateway = await TestGateway.start({ RUNNER_PERSIST: 'true' }, { embedded: true });
      const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
      const postmaster = postmasterPid(gateway);
      await gateway.end('SIGTERM');
      expect(gateway.runnerPids()).toHaveLength(1);
      await gateway.launch();
      expect((await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).body['state']).toBe('running');
      await gateway.end('SIGTERM');
      process.kill(postmaster, 'SIGINT');
      await until('PostgreSQL ended', () => !lives(postmaster));
    },
    STARTS_MS,
  );

  it.each(['server.started', 'Gatehouse is ready'])('Ctrl-C just as it says “%s” is not lost', async (words) => {
    const prepared = await TestGateway.prepare();
    const child = prepared.spawn();
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.stdout?.on('data', () => {
      if (prepared.stdout.includes(words)) child.kill('SIGINT');
    });
    expect(await ended).toBe(0);
    // A process that has ended is there until its parent has looked.
    await until('the end of the runner', () => prepared.runnerPids().length === 0);
    await prepared.remove();
  });

  it(
    'secrets, logs and sockets are closed to other users, in a folder that is not',
    async () => {
      gateway = await TestGateway.prepare({ AUTH_SECRET: '' }, { embedded: true });
      mkdirSync(gateway.dataDir, { mode: 0o755 });
      await gateway.launch();
      expect(statSync(gateway.dataDir).mode & 0o777).toBe(0o755);
      expect(gateway.log.filter(({ msg }) => /made one to sign tokens/.test(String(msg)))).toHaveLength(1);
      const cluster = clusterOf(gateway);
      const password = cluster.startsWith('/var') ? `${dirname(cluster)}.password` : 'postgres-password';
      const modes = [
        cluster,
        password,
        join(dirname(cluster), 'postgres.log'),
        'auth-secret',
        'runner.log',
        'run',
        'run/control.sock',
        'run/bytes.sock',
      ].map((name) => [name, (statSync(resolve(gateway?.dataDir ?? '', name)).mode & 0o077).toString(8)]);
      expect(modes.filter(([, open]) => open !== '0')).toEqual([]);
      const environment = readFileSync(`/proc/${String(gateway.runnerPids()[0])}/environ`, 'utf8');
      expect(environment).not.toMatch(/SECRET|DATABASE|TOKEN/);
    },
    STARTS_MS,
  );
});

describe('a start that cannot be', () => {
  /** How a start with this environment ends. */
  async function failing(gateway: TestGateway): Promise<{ status: number | null; said: string }> {
    const child = gateway.spawn();
    const cut = setTimeout(() => child.kill('SIGKILL'), 40_000);
    child.once('exit', () => {
      clearTimeout(cut);
    });
    const status = await new Promise<number | null>((resolve) => child.once('exit', resolve));
    return { status, said: gateway.stdout };
  }

  it('says that the port is taken, and leaves the one that runs alone', async () => {
    const gateway = await TestGateway.start();
    const second = await failing(gateway);
    expect(second.status).toBe(78);
    expect(second.said).toMatch(
      /HTTP_PORT: 127\.0\.0\.1:\d+ is in use, perhaps by a Gatehouse that is running already/,
    );
    expect((await rest(gateway, token(), 'GET', '/api/v1/sessions')).status).toBe(200);
    await gateway.remove();
  });

  it.each([
    [
      'a folder that cannot be made',
      { DATA_DIR: '/etc/hostname/data' },
      78,
      /DATA_DIR: "\/etc\/hostname\/data" cannot be written/,
    ],
    // Not even root may write there, so this is the same test for everybody.
    [
      'a folder of somebody else’s',
      { DATA_DIR: '/sys/gatehouse' },
      78,
      /DATA_DIR: "\/sys\/gatehouse" cannot be written/,
    ],
    ['a file in its place', { DATA_DIR: '/etc/hostname' }, 78, /DATA_DIR: "\/etc\/hostname" cannot be written/],
    [
      'several mistakes',
      { HTTP_PORT: 'x', LOG_LEVEL: 'y', AUTH_SECRET: 'short' },
      78,
      /3 mistakes[\s\S]*HTTP_PORT[\s\S]*AUTH_SECRET[\s\S]*LOG_LEVEL/,
    ],
    ['production without a secret', { NODE_ENV: 'production', AUTH_SECRET: '' }, 78, /AUTH_SECRET: not set/],
    [
      'a database that is not there',
      { DATABASE_URL: 'postgres://x:hunter2@127.0.0.1:9/x' },
      1,
      /The database cannot be used: connect ECONNREFUSED/,
    ],
    ['a runner that is not there', { RUNNER_DIR: '/nonexistent' }, 1, /No runner answers in RUNNER_DIR/],
  ])('says so plainly: %s', async (_what, environment, status, words) => {
    const gateway = await TestGateway.prepare(environment);
    mkdirSync(dirname(gateway.dataDir), { recursive: true });
    const ended = await failing(gateway);
    expect(ended.said).toMatch(words);
    expect(ended.said).not.toMatch(/hunter2|\n\s+at /);
    expect(ended.status).toBe(status);
    await gateway.remove();
  });

  it.each([
    [
      'an empty secret',
      (dataDir: string) => {
        writeFileSync(join(dataDir, 'auth-secret'), '', { mode: 0o600 });
      },
      /auth-secret" has 0 bytes, expected at least 32/,
    ],
    [
      'a secret that others can read',
      (dataDir: string) => {
        writeFileSync(join(dataDir, 'auth-secret'), 'x'.repeat(48), { mode: 0o644 });
      },
      /others may read the secret .*\(mode 644\), expected 600/,
    ],
    [
      'a data folder that others may write',
      (dataDir: string) => {
        chmodSync(dataDir, 0o1777);
      },
      /other users may write .* \(mode 1777\)/,
    ],
  ])('says so plainly: %s', async (_what, breakIt, words) => {
    const gateway = await TestGateway.prepare({ AUTH_SECRET: '' });
    mkdirSync(gateway.dataDir, { recursive: true });
    breakIt(gateway.dataDir);
    const { status, said } = await failing(gateway);
    expect(said).toMatch(words);
    expect(said).not.toMatch(/\n\s+at /);
    expect(status).toBe(78);
    await gateway.remove();
  });

  it('reads .env outside production, and what is really set wins', async () => {
    const gateway = await TestGateway.prepare({ LOG_LEVEL: '' });
    mkdirSync(dirname(gateway.dataDir), { recursive: true });
    writeFileSync(join(dirname(gateway.dataDir), '.env'), 'LOG_LEVEL=shout\nGRPC_PORT=nonsense\n');
    const { said } = await failing(gateway);
    expect(said).toMatch(/1 mistake:[\s\S]*LOG_LEVEL: found "shout"/);
    expect(existsSync(join(gateway.dataDir, 'postgres'))).toBe(false);
    await gateway.remove();
  });
});
