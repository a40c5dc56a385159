import { execFile } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { rest } from '../support/rest.js';
import { git } from '../support/worktrees.js';

jest.setTimeout(180_000);

const walk =
  readFileSync('docs/agents.md', 'utf8').split('## In five minutes')[1]?.split('The same over the three')[0] ?? '';
const BLOCKS = [...walk.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, script = '']) => script);

describe('docs/agents.md', () => {
  let folder: string;
  let gateway: TestGateway;

  beforeAll(async () => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-')));
    const program = join(folder, 'claude');
    writeFileSync(
      program,
      `#!/bin/sh\nexec '${process.execPath}' '${resolve('test/support/agents/claude.mjs')}' "$@"\n`,
    );
    chmodSync(program, 0o755);
    git(folder, 'init', '--quiet', '--initial-branch=main', 'projects/app');
    git(join(folder, 'projects/app'), 'commit', '--quiet', '--allow-empty', '-m', 'first');
    const PATH = `${folder}:${process.env['PATH'] ?? ''}`;
    gateway = await TestGateway.start({ PATH, PROJECT_ROOTS: join(folder, 'projects') });
  });
  afterAll(async () => {
    await gateway.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** The lines of a block of the page, as a person types them. */
  const shell = (script: string): Promise<{ status: number; shown: string }> =>
    new Promise((done) => {
      const env = {
        ...{ GATEHOUSE_URL: gateway.url, GATEHOUSE_TOKEN: token(), ANTHROPIC_API_KEY: 'sk-ant-of-the-test' },
        ...{ PATH: process.env['PATH'], NODE: process.execPath, BIN: resolve('bin/gatehouse.js') },
      };
      const words = 'gatehouse() { "$NODE" "$BIN" "$@"; }; set -e\n';
      execFile('/bin/sh', ['-c', words + script], { cwd: folder, env, timeout: 100_000 }, (error, stdout, stderr) => {
        done({ status: error ? 1 : 0, shown: stdout + stderr });
      });
    });
  const waits = (kind: string): Promise<void> =>
    until(
      `the agent to wait for ${kind}`,
      async () => {
        const { items } = (await rest(gateway, token(), 'GET', '/api/v1/agents')).body as {
          items: { prompt: { kind: string } | null }[];
        };
        return items[0]?.prompt?.kind === kind;
      },
      60_000,
    );

  it('can be followed, block by block', async () => {
    const [providers = '', start = '', look = '', answer = '', end = '', ...more] = BLOCKS;
    expect(more).toEqual([]);
    const run = async (script: string): Promise<string> => {
      const { status, shown } = await shell(script);
      expect([script, status, shown]).toEqual([script, 0, shown]);
      return shown;
    };
    expect(await run(providers)).toMatch(/^claude +Claude Code +claude +2\.0\.0 \(stand-in\) +hook +yes$/m);
    expect(await run(start)).toMatch(/^[0-9a-f-]{36}\n$/);
    await waits('permission');
    expect(await run(look)).toMatch(/login +claude +waiting for input\? .*waits for +permission: .*make this edit/s);
    await run(answer);
    await waits('input');
    expect(await run(end)).toMatch(/^stopped .*\(login\)\n[0-9a-f-]{36}\nstopped .*\(login\)\n$/);
  });
});
