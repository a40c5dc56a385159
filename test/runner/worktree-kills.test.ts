/** The runner is killed in the middle of making and removing worktrees, at many instants. */
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ListRescuesResponse__Output } from '../../src/generated/gatehouse/runner/v1/ListRescuesResponse.js';
import type { ListWorktreesResponse__Output } from '../../src/generated/gatehouse/runner/v1/ListWorktreesResponse.js';
import { git, GitRunner, refusal, write } from './git-runner.js';

/** Milliseconds after the call; a creation takes some tens. */
const INSTANTS = [5, 20, 45, 80, 150];
/** Each instant starts a runner, on a machine that may be slow. */
const LIMIT_MS = 180_000;
let runner: GitRunner;
let repository: string;
beforeAll(async () => {
  runner = await GitRunner.start();
  const files = Array.from({ length: 500 }, (_, number) => [
    `dir-${String(number % 20)}/file-${String(number)}`,
    'x\n',
  ]);
  repository = runner.repository('killed', Object.fromEntries(files) as Record<string, string>);
});
afterAll(() => runner.stop());

const listed = async (): Promise<string[]> =>
  ((await runner.call<ListWorktreesResponse__Output>('ListWorktrees', {})).worktrees ?? []).map(
    ({ path = '' }) => path,
  );

/** Disk, git and the runner agree about which worktrees there are. */
async function expectWhole(branches: number): Promise<string[]> {
  const paths = await listed();
  const known = git(repository, 'worktree', 'list', '--porcelain').split('\n');
  const ofGit = known.filter((line) => line.startsWith('worktree ')).map((line) => line.slice(9));
  expect(ofGit.slice(1).toSorted()).toEqual(paths.toSorted());
  for (const path of paths) expect(git(path, 'status', '--porcelain', '--untracked-files=no')).toBe('');
  expect(git(repository, 'branch', '--list', 'gatehouse/*').split('\n').filter(Boolean)).toHaveLength(branches);
  const tenant = join(runner.worktrees, 'default');
  const folders = existsSync(tenant) ? readdirSync(tenant).flatMap((name) => readdirSync(join(tenant, name))) : [];
  expect(folders).toHaveLength(paths.length);
  return paths;
}

describe('a runner that is killed', () => {
  it(
    'while it makes worktrees leaves each of them whole, or nothing of it',
    async () => {
      for (const instant of INSTANTS) {
        const calls = Promise.allSettled([runner.create('killed'), runner.create('killed', { name: 'other' })]);
        await setTimeout(instant);
        await runner.kill();
        await calls;
        await runner.run();
        const paths = await listed();
        await expectWhole(paths.length);
      }
    },
    LIMIT_MS,
  );

  it(
    'while it removes them by force has removed each wholly, or not at all, and has lost nothing',
    async () => {
      for (const [round, instant] of INSTANTS.entries()) {
        const { worktree } = await runner.create('killed', { name: `round ${String(round)}` });
        write(worktree.path, { precious: String(round) });
        const call = runner.remove(worktree.id, { force: true, delete_branch: true }).catch(() => undefined);
        await setTimeout(instant);
        await runner.kill();
        await call;
        await runner.run();
        const paths = await listed();
        if (paths.includes(worktree.path)) {
          expect(existsSync(join(worktree.path, 'precious'))).toBe(true);
          await runner.remove(worktree.id, { force: true, delete_branch: true });
        }
        const { rescues = [] } = await runner.call<ListRescuesResponse__Output>('ListRescues', {});
        const rescue = rescues.find(({ worktree_id }) => worktree_id === worktree.id);
        expect(git(repository, 'show', `${rescue?.ref ?? ''}^3:precious`)).toBe(String(round));
      }
      await expectWhole((await listed()).length);
    },
    LIMIT_MS,
  );
});

describe('a machine', () => {
  it('without git says so', async () => {
    await runner.kill();
    const empty = join(runner.folder, 'no-programs');
    mkdirSync(empty);
    symlinkSync('/bin/bash', join(empty, 'bash'));
    await runner.run([], { ...process.env, PATH: empty });
    const error: unknown = await runner.create('killed').catch((failure: unknown) => failure);
    expect(String(error)).toContain('git is not installed on the runner');
    await runner.kill();
    await runner.run();
  });

  const isRoot = process.getuid?.() === 0;
  if (!isRoot) console.warn('SKIPPED: the test of a full disk needs root, to mount a small one');
  (isRoot ? it : it.skip)('whose disk is full says so, and keeps nothing half-made (needs root)', async () => {
    const small = join(runner.folder, 'small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', small]);
    await runner.kill();
    try {
      await runner.run(['--worktree-root', join(small, 'worktrees')]);
      expect(await refusal(runner.create('killed'))).toBe('DISK_FULL');
      expect(readdirSync(join(small, 'worktrees')).toSorted()).toEqual(['.claim', '.journal', '.rescues']);
      expect(readdirSync(join(small, 'worktrees', '.journal'))).toEqual([]);
    } finally {
      await runner.kill();
      execFileSync('umount', [small]);
      await runner.run();
    }
  });
});
