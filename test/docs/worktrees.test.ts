import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { token } from '../support/gateway.js';
import { gatehouse, type Outcome } from '../support/command-line.js';
import { git, type Made, WorktreeWorld } from '../support/worktrees.js';

const LIMIT_MS = 120_000;
const TEXT = readFileSync('docs/worktrees-api.md', 'utf8');
const BLOCKS = [...TEXT.matchAll(/```sh( fails)?\n([\s\S]*?)```/g)].map(([, fails, script]) => ({
  fails: fails !== undefined,
  script: script ?? '',
}));

describe('worktrees from the command line', () => {
  let world: WorktreeWorld;
  const env = (): Record<string, string> => ({ GATEHOUSE_URL: world.gateway.url, GATEHOUSE_TOKEN: token() });
  const run = (...args: string[]): Promise<Outcome> => gatehouse(['worktree', ...args], { env: env() });
  /** The lines of a block of the page, as a person types them. */
  const shell = (script: string): Promise<Outcome> =>
    new Promise((done) => {
      const words = 'gatehouse() { "$NODE" "$BIN" "$@"; }; set -e\n';
      const surroundings = {
        ...env(),
        PATH: process.env['PATH'],
        NODE: process.execPath,
        BIN: resolve('bin/gatehouse.js'),
      };
      execFile('/bin/sh', ['-c', words + script], { env: surroundings, timeout: LIMIT_MS }, (error, stdout, stderr) => {
        done({ status: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr });
      });
    });

  beforeAll(async () => {
    world = await WorktreeWorld.start();
  });
  afterAll(() => world.remove());

  it(
    'go as the page says, block by block',
    async () => {
      expect(BLOCKS.map(({ fails }) => fails)).toEqual([false, false, false, true, false]);
      const shown: string[] = [];
      for (const { script, fails } of BLOCKS) {
        const { status, stdout, stderr } = await shell(script);
        expect([script, status, status === 0 || fails ? '' : stderr]).toEqual([script, fails ? 1 : 0, '']);
        shown.push(stdout + stderr);
        // Its program may take a while to have written its file.
        if (script.includes('--detach')) await writtenIn(world);
      }
      expect(shown[0]).toMatch(
        /^NAME +BRANCH .*\napp +main +origin +\/.*name +fix the login\nid .*branch +gatehouse\/fix-the-login-/s,
      );
      expect(shown[2]).toMatch(
        /A \+1 -0 +greeting.txt\n@@ -0,0 \+1,1 @@\n\+hello\n.*alice +Say hello\nnothing to do\n$/s,
      );
      expect(shown[3]).toMatch(
        /unpushed commits: [0-9a-f]{40}\n.*--force --confirm 'fix the login'\n.*WOULD_LOSE_WORK/s,
      );
      expect(shown[4]).toMatch(
        /^removed .* \(fix the login\)\nits work is in refs\/gatehouse\/rescue\/.*NAME +REPOSITORY/s,
      );
    },
    LIMIT_MS,
  );

  it(
    'are made, read by programs, changed and removed',
    async () => {
      const made = JSON.parse(
        (await run('create', 'app', 'two words', '--json', '--', '/bin/sh', '-c', 'exit 0')).stdout,
      ) as Made;
      expect(made).toMatchObject({
        name: 'two words',
        state: 'ready',
        setup_session_id: expect.any(String) as unknown,
      });
      const end = made.id.slice(-8);
      writeFileSync(join(made.path, 'one.txt'), 'one\n');
      expect((await run('status', end, '--disk')).stdout).toMatch(/\?\? one.txt\n$/);
      expect(JSON.parse((await run('status', end, '--json')).stdout)).toMatchObject({ files: [{ path: 'one.txt' }] });
      expect((await run('stage', end)).status).toBe(0);
      expect((await run('status', end)).stdout).toMatch(/A\. one.txt\n$/);
      expect((await run('unstage', end, 'one.txt')).status).toBe(0);
      const { stdout: commit } = await run('commit', end, '-m', 'one', '--all');
      expect(git(made.path, 'rev-parse', 'HEAD')).toBe(commit.trim());
      expect((await run('push', end)).stdout).toContain(`${made.branch} is at ${commit.trim()} on origin`);
      writeFileSync(join(made.path, 'one.txt'), 'other\n');
      expect((await run('discard', end, 'one.txt')).status).toBe(0);
      expect(JSON.parse((await run('log', end, '--limit', '1', '--json')).stdout)).toMatchObject({ more: true });
      expect((await run('merge', end)).stdout).toBe('nothing to do\n');
      expect((await run('list')).stdout).toMatch(/^ID .*\n.* two words +ready +alice /);
      const removed = await run('remove', end, '--json');
      expect([removed.stderr, JSON.parse(removed.stdout)]).toMatchObject(['', { state: 'removed', rescue: null }]);
      expect(JSON.parse((await run('list', '--json')).stdout)).toEqual({ items: [] });
      expect((await run('list', '--all')).stdout).toContain('removed');
    },
    LIMIT_MS,
  );

  it('are not to be found, or asked for wrongly, with a sentence', async () => {
    const none = await run('status', 'nothing');
    expect([none.status, none.stderr]).toEqual([1, 'gatehouse: no worktree nothing; see `gatehouse worktree list`\n']);
    for (const args of [
      ['create', 'app'],
      ['remove', 'x', '--force'],
      ['commit', 'x'],
      ['diff'],
      ['stage'],
      ['discard', 'x'],
    ]) {
      expect([args, (await run(...args)).status]).toEqual([args, 2]);
    }
    const refused = await run('create', '/etc', 'x');
    expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('REPOSITORY_NOT_ALLOWED')]);
  });
});

async function writtenIn(world: WorktreeWorld): Promise<void> {
  const { items } = (await world.call(token(), 'GET', '/worktrees')).body as { items: Made[] };
  const path = join(items[0]?.path ?? '', 'greeting.txt');
  for (let tries = 0; tries < 300; tries += 1) {
    try {
      if (readFileSync(path, 'utf8') === 'hello\n') return;
    } catch {
      // Not yet.
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`${path} was not written`);
}
