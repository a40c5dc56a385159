import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { BWRAP } from '../../src/runner/sandbox/command.js';
import { RunnerProcess } from '../runner/runner-process.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { GrpcClient, refused } from '../support/grpc-client.js';
import { codeOf, rest, startSession } from '../support/rest.js';
import { describeSandboxed } from '../support/sandboxes.js';
import { WorktreeWorld } from '../support/worktrees.js';

const CANARY = 'canary-that-no-session-may-see';
const SESSIONS = '/api/v1/sessions';
const alice = token({ roles: ['user'] });

describeSandboxed('a gateway with SANDBOX=bwrap', () => {
  let world: WorktreeWorld;
  beforeAll(async () => {
    const canaries = { MY_SECRET: CANARY, AWS_SECRET_ACCESS_KEY: CANARY, LD_LIBRARY_PATH: `/${CANARY}` };
    world = await WorktreeWorld.start({ SANDBOX: 'bwrap', AUTH_SECRET_PREVIOUS: `${CANARY}-previous`, ...canaries });
    writeFileSync(join(world.gateway.dataDir, 'canary.txt'), CANARY);
  });
  afterAll(() => world.remove());

  async function said(script: string, rest_: Record<string, unknown> = {}): Promise<string> {
    const { gateway } = world;
    const id = await startSession(gateway, alice, { command: ['/bin/sh', '-c', script], ...rest_ });
    await until(
      'its end',
      async () => (await rest(gateway, alice, 'GET', `${SESSIONS}/${id}`)).body['state'] !== 'running',
    );
    return (await rest(gateway, alice, 'GET', `${SESSIONS}/${id}/output`)).text;
  }

  it('shows a session its worktree and nothing of the server’s: no file, no process, no variable', async () => {
    const { gateway } = world;
    const made = await rest(gateway, alice, 'POST', '/api/v1/worktrees', { repository: 'app', name: 'fix' });
    expect(made.status).toBe(201);
    const script = [
      'cat readme.md; env; cat /proc/[0-9]*/environ | tr "\\0" "\\n"',
      `cat '${gateway.dataDir}'/* '${gateway.dataDir}/auth-secret' /proc/${String(gateway.pid)}/environ 2>&1`,
      `ls '${gateway.dataDir}/run'; git status --short && echo clean`,
    ].join('\n');
    const text = await said(script, { worktree_id: made.body['id'] });
    expect(text).toContain('hello');
    expect(text).toContain('clean');
    expect(text).not.toContain(CANARY);
    expect(text).not.toMatch(/AUTH_SECRET|DATABASE_URL|control\.sock/);
  });

  it('gives its runner, and a session without a folder, nothing of its variables either', async () => {
    const [runner = 0] = world.gateway.runnerPids();
    expect(readFileSync(`/proc/${String(runner)}/environ`, 'utf8')).not.toMatch(/canary|SECRET|DATABASE|MY_/);
    expect(await said('env; ls -A')).not.toMatch(/canary|SECRET|DATABASE|MY_/);
  });

  it('refuses a session in any other folder, or with another home, over REST and gRPC', async () => {
    const { gateway } = world;
    const grpc = new GrpcClient(gateway, alice);
    const homed = { command: ['/bin/true'], env: { HOME: gateway.dataDir } };
    expect(codeOf(await rest(gateway, alice, 'POST', SESSIONS, homed))).toBe('INVALID_ARGUMENT');
    expect(await refused(grpc.call('start', homed))).toMatchObject({ code: 3 });
    for (const cwd of ['/', gateway.dataDir, '/root']) {
      const answer = await rest(gateway, alice, 'POST', SESSIONS, { command: ['/bin/true'], cwd });
      expect([answer.status, codeOf(answer)]).toEqual([422, 'INVALID_ARGUMENT']);
      const { code, details } = await refused(grpc.call('start', { command: ['/bin/true'], cwd }));
      expect([code, details]).toEqual([3, expect.stringContaining('in a sandbox')]);
    }
    grpc.close();
  });
});

describeSandboxed('a start with SANDBOX=bwrap', () => {
  /** How it ends, and what it says. */
  async function refusal(gateway: TestGateway, behind: readonly string[] = []): Promise<string> {
    const [code] = (await once(gateway.spawn(behind), 'exit')) as [number];
    return `${String(code)}: ${gateway.stdout.trim().split('\n').at(-1) ?? ''}`;
  }

  it('without bubblewrap, or with a runner that makes no sandboxes, is refused in a sentence', async () => {
    const without = await TestGateway.prepare({ SANDBOX: 'bwrap' });
    expect(await refusal(without, [BWRAP, '--dev-bind', '/', '/', '--tmpfs', '/usr/bin', '--'])).toBe(
      '1: gatehouse: SANDBOX=bwrap cannot be had: /usr/bin/bwrap is not there (install bubblewrap).',
    );
    await without.remove();
    const runner = await RunnerProcess.start();
    const other = await TestGateway.prepare({ SANDBOX: 'bwrap', RUNNER_DIR: runner.directory });
    expect(await refusal(other)).toContain(
      `1: gatehouse: SANDBOX=bwrap, but the runner in RUNNER_DIR (${runner.directory})`,
    );
    await other.remove();
    await runner.stop();
  });
});
