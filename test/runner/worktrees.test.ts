import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { git, GitRunner, refusal, write } from './git-runner.js';

let runner: GitRunner;
beforeAll(async () => {
  runner = await GitRunner.start();
});
afterAll(() => runner.stop());

describe('a worktree', () => {
  it('is made from a repository, told, looked at and removed, and leaves nothing', async () => {
    const repository = runner.repository('plain');
    const { worktree, existing } = await runner.create('plain', { name: 'Füge Ünïcode hinzu!' });
    expect(existing).toBe(false);
    expect(worktree).toMatchObject({ repository, state: 'ready', base_ref: 'refs/heads/main', adopted_branch: false });
    expect(worktree.branch).toMatch(/^gatehouse\/fuge-unicode-hinzu-[a-z0-9]{6}$/);
    expect(worktree.path.startsWith(join(runner.worktrees, 'default'))).toBe(true);
    expect(readFileSync(join(worktree.path, 'readme.md'), 'utf8')).toBe('hello\n');
    expect(git(worktree.path, 'status', '--porcelain')).toBe('');
    expect(await runner.call('ListWorktrees', {})).toMatchObject({ worktrees: [{ id: worktree.id }] });
    expect(statSync(runner.worktrees).mode & 0o777).toBe(0o700);

    write(worktree.path, { 'new file': 'x' });
    expect(await runner.status(worktree.id)).toMatchObject({
      ...{ branch: worktree.branch, head: worktree.base_commit, detached: false, ahead_of_base: 0, behind_base: 0 },
      files: [{ path: 'new file', kind: 'untracked', index: '?', worktree: '?' }],
    });
    const refused = await runner.remove(worktree.id);
    expect(refused).toMatchObject({ removed: false, at_stake: [{ kind: 'untracked', what: 'new file' }] });
    expect(existsSync(worktree.path)).toBe(true);

    git(worktree.path, 'clean', '-fq');
    expect(await runner.remove(worktree.id, { delete_branch: true })).toMatchObject({
      removed: true,
      branch_deleted: true,
    });
    expect(existsSync(worktree.path)).toBe(false);
    expect(git(repository, 'worktree', 'list').split('\n')).toHaveLength(1);
    expect(git(repository, 'branch', '--list')).toBe('* main');
    expect(existsSync(join(repository, '.git', 'worktrees', worktree.path.split('/').at(-1) ?? ''))).toBe(false);
    expect(readdirSync(runner.worktrees).toSorted()).toEqual(['.claim', '.journal', '.rescues']);
    expect(await refusal(runner.status(worktree.id))).toBe('NOT_FOUND');
  });

  it('of an id is made once, however often and at what time it is asked for', async () => {
    const repository = runner.repository('once');
    const id = 'one-and-only';
    const [first, second] = await Promise.all([runner.create('once', { id }), runner.create('once', { id })]);
    const third = await runner.create('once', { id });
    expect([first, second, third].map(({ existing }) => existing)).toEqual([false, true, true]);
    expect(new Set([first, second, third].map(({ worktree }) => worktree.path)).size).toBe(1);
    expect(git(repository, 'worktree', 'list').split('\n')).toHaveLength(2);
  });
});
