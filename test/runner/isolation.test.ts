import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { credentials } from '@grpc/grpc-js';
import { environmentSchema } from '../../src/config/schema.js';
import { loadAgentProto } from '../../src/runner/agent/proto.js';
import { GitRunner } from './git-runner.js';
import { until } from './until.js';

const CANARY = 'canary-that-no-child-may-see';
/** What a runner started by hand might have: every variable of the gateway, and some that it does not know. */
const UNKNOWN = [
  'AWS_SECRET_ACCESS_KEY',
  'GITHUB_TOKEN',
  'ENCRYPTION_MASTER_KEY',
  'REDIS_URL',
  'MY_OWN_THING',
  'LCX_A',
];
const CANARIES = Object.fromEntries(
  [...Object.keys(environmentSchema.shape), ...UNKNOWN].map((name) => [name, CANARY]),
);
/** What a child may have of the runner's environment. */
const PASSED = ['PATH', 'HOME', 'SHELL', 'LANG', 'LC_ALL', 'TZ', 'USER', 'LOGNAME', 'COLORTERM'];

describe('a process that the runner starts', () => {
  const bin = mkdtempSync(join(tmpdir(), 'gatehouse-canary-'));
  const seen = join(bin, 'seen');
  let runner: GitRunner;

  beforeAll(async () => {
    // Each tells what it inherited, then does its work.
    for (const [name, then] of [
      ['git', 'exec /usr/bin/git "$@"'],
      ['canary-agent', 'echo version 1.0'],
    ] as const) {
      const report = `{ echo "== ${name}"; ls -l /proc/self/fd; env; } >>'${seen}'`;
      writeFileSync(join(bin, name), `#!/bin/sh\n${report}\n${then}\n`);
      chmodSync(join(bin, name), 0o755);
    }
    const passed = Object.fromEntries(PASSED.map((name) => [name, `/${name}`]));
    runner = await GitRunner.startIn({ ...CANARIES, ...passed, PATH: `${bin}:/usr/bin:/bin` });
  });
  afterAll(async () => {
    await runner.stop();
    rmSync(bin, { recursive: true, force: true });
  });

  /** What the stand-ins have reported, and nothing of it twice. */
  const reported = (name: string): string => {
    const parts = existsSync(seen) ? readFileSync(seen, 'utf8').split('== ') : [];
    return parts.filter((part) => part.startsWith(`${name}\n`)).join('');
  };

  it('has no terminal of a session, be it git or a program that is asked for its version', async () => {
    const sessions = await Promise.all(Array.from({ length: 20 }, () => runner.process.startSession(['sleep', '600'])));
    // Gaps among the numbers: what is opened next gets one below the masters that live.
    for (const { id } of sessions.slice(0, 10)) await runner.process.kill(id);
    await runner.create(runner.repository('one'));
    const { RunnerAgentService } = loadAgentProto();
    const address = `unix:${join(runner.process.directory, 'control.sock')}`;
    const client = new RunnerAgentService(address, credentials.createInsecure());
    await new Promise((done) => {
      client.Detect({ programs: [{ id: 'x', binary: 'canary-agent', version_args: ['--version'] }] }, done);
    });
    client.close();
    for (const name of ['git', 'canary-agent']) {
      const beside = [...reported(name).matchAll(/ (\d+) -> (.*)$/gm)].filter(([, fd]) => Number(fd) > 2);
      expect(beside.length).toBeGreaterThan(0);
      // The one by which it lists them, and what stands in the place of a terminal.
      for (const [, , what = ''] of beside) expect(what).toMatch(/^(\/proc\/\d+\/fd|\/dev\/null)$/);
    }
  });

  it('has nothing of the server’s environment', async () => {
    const { id } = await runner.process.startSession(['env'], { env: { MINE: 'yes' } });
    await runner.process.ended(id);
    const { id: strict } = await runner.process.startSession(['env', '-0']);
    await until(async () => (await runner.process.text(strict)).includes('GATEHOUSE_RUNNER='), 'it is told');
    const session = await runner.process.text(id);
    expect(session).toContain('MINE=yes');
    const own = ['TERM', 'MINE', 'GATEHOUSE_SESSION_ID', 'GATEHOUSE_RUNNER'];
    const names = [...session.matchAll(/^(\w+)=/gm)].map(([, name]) => name);
    expect(names.filter((name) => ![...PASSED, ...own].includes(name ?? ''))).toEqual([]);
    for (const text of [session, reported('git'), reported('canary-agent')]) {
      expect(text).toContain('PATH=');
      expect(text).not.toContain(CANARY);
    }
    const ours = /^(?:GIT_|GATEHOUSE_RUNNER|PATH|HOME|LANG|LC_ALL|SSH_ASKPASS|PWD|OLDPWD|SHLVL|_)/;
    const ofGit = [...reported('git').matchAll(/^(\w+)=/gm)].map(([, name]) => name ?? '');
    expect(ofGit.filter((name) => !ours.test(name))).toEqual([]);
  });
});
