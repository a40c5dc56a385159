/** Who else is at work: other runners, other creations, somebody in a terminal. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { git, GitRunner, write } from './git-runner.js';
import { Holding } from './holding-git.js';

let runner: GitRunner;
beforeAll(async () => {
  runner = await GitRunner.start();
});
afterAll(() => runner.stop());

const ADA = { author_name: 'Ada', author_email: 'ada@example.org' };

describe('a folder for worktrees', () => {
  it('serves one runner: a second one touches nothing in it and says why, and takes it over when the first is dead', async () => {
    const repository = runner.repository('shared');
    const { id, path } = (await runner.create(repository)).worktree;
    const journal = join(runner.worktrees, '.journal', `${id}.json`);
    const creating = readFileSync(journal, 'utf8').replace('"ready"', '"creating"');
    // As they are while the first one makes a worktree and puts something aside.
    writeFileSync(journal, creating);
    const bundle = join(runner.worktrees, '.rescues', 'unfinished.bundle');
    writeFileSync(bundle, 'x');
    const second = await GitRunner.start('--project-root', runner.projects, '--worktree-root', runner.worktrees);
    try {
      await expect(second.create(repository)).rejects.toThrow('Another runner uses the folder for worktrees.');
      expect([existsSync(path), existsSync(bundle), readFileSync(journal, 'utf8')]).toEqual([true, true, creating]);
      writeFileSync(journal, creating.replace('"creating"', '"ready"'));
      expect(await runner.status(id)).toMatchObject({ detached: false });
      await runner.kill();
      await second.kill();
      await second.run(['--project-root', runner.projects, '--worktree-root', runner.worktrees]);
      expect(await second.status(id)).toMatchObject({ detached: false });
      expect(existsSync(bundle)).toBe(false);
    } finally {
      await second.stop();
      await runner.run();
    }
  });
});

describe('two creations', () => {
  it('of one name and another id at the same time make two worktrees', async () => {
    const repository = runner.repository('one-name');
    const both = Array.from({ length: 8 }, () => runner.create('one-name', { name: 'Fix it' }));
    const made = (await Promise.all(both)).map(({ worktree }) => worktree);
    for (const key of ['path', 'branch', 'id'] as const) expect(new Set(made.map((each) => each[key])).size).toBe(8);
    for (const { path, branch } of made) expect(git(path, 'branch', '--show-current')).toBe(branch);
    expect(git(repository, 'worktree', 'list').split('\n')).toHaveLength(9);
  });

  it('that adopt one branch at the same time: one has it, of the other nothing is left', async () => {
    const repository = runner.repository('one-branch');
    git(repository, 'branch', 'feature');
    const both = ['a', 'b'].map((name) => runner.create('one-branch', { name, existing_branch: 'feature' }));
    const results = await Promise.allSettled(both);
    expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
    expect(git(repository, 'worktree', 'list').split('\n')).toHaveLength(2);
    const folder = readdirSync(join(runner.worktrees, 'default')).find((name) => name.startsWith('one-branch-'));
    expect(readdirSync(join(runner.worktrees, 'default', folder ?? ''))).toHaveLength(1);
  });
});

describe('a merge', () => {
  it.each(['merge', 'rebase'])(
    'leaves nothing of the base when somebody moves the HEAD meanwhile: %s',
    async (mode) => {
      const holding = new Holding(runner.folder);
      await runner.kill();
      await runner.run([], holding.environment);
      const repository = runner.repository(`moved-${mode}`, { a: '1\n' });
      const { id, path } = (await runner.create(repository)).worktree;
      write(repository, { a: '2\n', new: 'x' });
      git(repository, 'add', '--all');
      git(repository, 'commit', '-qm', 'base');
      write(path, { mine: 'x' });
      git(path, 'add', '--all');
      git(path, 'commit', '-qm', 'mine');
      // The branch is moved by this call, once the files are there.
      holding.hold('update-ref');
      const call = runner.call('Integrate', { id, mode, ...ADA });
      await holding.held();
      expect(existsSync(join(path, 'new'))).toBe(true);
      const tree = git(path, 'rev-parse', 'HEAD^{tree}');
      const theirs = git(path, 'commit-tree', tree, '-p', 'HEAD', '-m', 'meanwhile');
      git(path, 'update-ref', 'HEAD', theirs);
      holding.letGo();
      await expect(call).rejects.toThrow('git failed');
      expect(git(path, 'status', '--porcelain')).toBe('');
      expect([git(path, 'rev-parse', 'HEAD'), readFileSync(join(path, 'a'), 'utf8')]).toEqual([theirs, '1\n']);
    },
  );
});
