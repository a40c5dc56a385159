import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { freePort, pause, SECRET, token, until } from '../support/gateway.js';

const CANARY = 'canary-in-the-gateways-environment';
const mark = String(process.pid);
const [GATEWAY, RUNNER, GROUP] = [`ghg${mark}`, `ghr${mark}`, `ghl${mark}`];
const missing = ['useradd', 'groupadd', 'unshare', 'setpriv', 'mount'].filter(
  (name) => spawnSync('sh', ['-c', `command -v ${name}`]).status !== 0,
);
const canMake = process.getuid?.() === 0 && missing.length === 0 && spawnSync('unshare', ['-m', 'true']).status === 0;
if (!canMake) {
  if (process.getuid?.() === 0 && process.env['CI'] !== undefined) throw new Error(`missing: ${missing.join(' ')}`);
  console.warn('SKIPPED: gateway and runner as two users need root, useradd, and a mount namespace');
}

(canMake ? describe : describe.skip)('gateway and runner as two users', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-two-'));
  const project = join(folder, 'project');
  const [dataDir, runDir] = [join(folder, 'data'), join(folder, 'run')];
  const children: ChildProcess[] = [];
  let said = '';
  let api = '';
  let gatewayPid = 0;

  /** Runs a program of Node's as one of them. The project may lie where only we can go: they see it elsewhere. */
  function as(user: string, args: readonly string[], env: Record<string, string> = {}): ChildProcess {
    const there = [
      `${project}/node_modules/node/bin/node`,
      ...args.map((arg) => arg.replace('dist/', `${project}/dist/`)),
    ];
    // With a descriptor open by mistake, as a careless parent leaves one.
    const script = 'mount --bind "$1" "$2" && cd "$3" && shift 3 && exec "$@" 60</dev/zero';
    const drop = [
      'setpriv',
      '--reuid',
      user,
      '--regid',
      user,
      '--init-groups',
      '--inh-caps=-all',
      '--no-new-privs',
      '--',
    ];
    const command = ['-m', '--propagation', 'private', 'bash', '-c', script, 'bash', resolve('.'), project, folder];
    const child = spawn('unshare', [...command, ...drop, ...there], {
      env: { PATH: '/usr/bin:/bin', HOME: folder, ...env },
    });
    const keep = (chunk: Buffer): void => void (said += chunk.toString());
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    children.push(child);
    return child;
  }

  async function call(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
    const headers = { authorization: `Bearer ${token()}`, 'content-type': 'application/json' };
    const answer = await fetch(`${api}${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    return (await answer.json()) as Record<string, unknown>;
  }

  /** What a shell in a session says. */
  async function session(script: string): Promise<string> {
    const { id } = await call('POST', '/sessions', { command: ['/bin/sh', '-c', script], cwd: '/' });
    await until('its end', async () => (await call('GET', `/sessions/${String(id)}`))['state'] !== 'running');
    const headers = { authorization: `Bearer ${token()}` };
    return (await fetch(`${api}/sessions/${String(id)}/output`, { headers })).text();
  }

  beforeAll(async () => {
    execFileSync('groupadd', [GROUP]);
    for (const user of [GATEWAY, RUNNER]) {
      execFileSync('useradd', [
        '--system',
        '--user-group',
        '--groups',
        GROUP,
        '--no-create-home',
        '--shell',
        '/bin/sh',
        user,
      ]);
    }
    chmodSync(folder, 0o755);
    for (const path of [project, dataDir, runDir]) mkdirSync(path, { mode: path === project ? 0o755 : 0o700 });
    const idOf = (user: string): number => Number(execFileSync('id', ['-u', user]));
    chownSync(dataDir, idOf(GATEWAY), idOf(GATEWAY));
    chownSync(runDir, idOf(RUNNER), idOf(RUNNER));
    as(RUNNER, ['dist/src/runner/main.js', '--dir', runDir, '--sockets-for-group', GROUP]);
    const listens = (): boolean => said.includes('"listening"');
    await until('the runner', listens, 40_000).catch(() => {
      throw new Error(said);
    });
    const [http, grpc] = [await freePort(), await freePort()];
    const ports = { HTTP_PORT: String(http), GRPC_PORT: String(grpc) };
    const env = {
      ...ports,
      NODE_ENV: 'test',
      DATA_DIR: dataDir,
      RUNNER_DIR: runDir,
      AUTH_SECRET: SECRET,
      MY_SECRET: CANARY,
    };
    gatewayPid = as(GATEWAY, ['dist/src/main.js'], env).pid ?? 0;
    await until('the gateway', () => said.includes('Gatehouse is ready'), 60_000).catch(() => {
      throw new Error(said);
    });
    api = `http://127.0.0.1:${String(http)}/api/v1`;
  }, 120_000);

  afterAll(async () => {
    for (const child of children.toReversed()) {
      child.kill('SIGTERM');
      if (child.exitCode === null) await new Promise((done) => child.once('exit', done));
    }
    await pause(200);
    for (const user of [GATEWAY, RUNNER]) spawnSync('userdel', [user]);
    spawnSync('groupdel', [GROUP]);
    rmSync(folder, { recursive: true, force: true });
  });

  it('work together, sessions being the runner’s user’s, who can read nothing of the gateway’s', async () => {
    const secrets = ['auth-secret', 'postgres-password', 'postgres', '.'].map((name) => join(dataDir, name));
    const own = `/proc/${String(gatewayPid)}`;
    const text = await session(
      [
        'id -un; id -Gn',
        ...[...secrets, `${own}/environ`, `${own}/fd`, `${own}/mem`, `${own}/root`].map(
          (path) => `{ cat '${path}' || ls '${path}/'; } >/dev/null 2>&1 && echo 'READS ${path}'`,
        ),
        `kill -0 ${String(gatewayPid)} 2>/dev/null && echo SIGNALS; touch '${dataDir}/x' 2>/dev/null && echo WRITES; env; echo end`,
      ].join('\n'),
    );
    expect(text).toContain(RUNNER);
    expect(text).toContain('end');
    expect(text).not.toMatch(/READS|SIGNALS|WRITES/);
    expect(text).not.toContain(CANARY);
    expect(text).not.toContain(SECRET);
  });

  it('let nobody else near the sockets', () => {
    // Each by a program of the system's: the project is not to be seen here by anybody else.
    const told = (user: string): string => {
      const drop = ['--reuid', user, '--regid', user === 'nobody' ? 'nogroup' : user, '--init-groups', '--'];
      const { stdout } = spawnSync('setpriv', [
        ...drop,
        'curl',
        '-s',
        '-w',
        '%{errormsg}',
        '--unix-socket',
        socket,
        'http://x/',
      ]);
      return stdout.toString();
    };
    const socket = join(runDir, 'control.sock');
    // One is understood too little, the other does not get in.
    expect(told(GATEWAY)).not.toContain('connect');
    expect(told('nobody')).toMatch(/connect/);
  });

  it('pass on to PostgreSQL nothing that was open to them', () => {
    const postgres = readdirSync('/proc').filter((pid) => {
      try {
        return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`) === join(dataDir, 'postgres');
      } catch {
        return false;
      }
    });
    expect(postgres.length).toBeGreaterThan(0);
    for (const pid of postgres) {
      const open = readdirSync(`/proc/${pid}/fd`).map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`));
      expect(open).not.toContain('/dev/zero');
    }
  });
});
