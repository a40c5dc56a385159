/** What git outside does with what a session in a sandbox has left, where each call of git is confined. */
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { runGit } from '../../src/runner/git/run.js';
import { baseEnvironment } from '../../src/runner/git/settings.js';
import { describeSandboxed } from '../support/sandboxes.js';
import { git, GitRunner, type Made, refusal, write } from './git-runner.js';

const ADA = { author_name: 'Ada', author_email: 'ada@example.org' };
const FILES = { 'readme.md': 'hello\n', config: '1\n', 'hooks/a': '1\n', 'info/b': '1\n', HEAD: '1\n' };

describeSandboxed('git outside of a sandbox', () => {
  let runner: GitRunner;
  let repository: string;
  let own: Made;
  let admin: string;
  let gitDir: string;

  beforeAll(async () => {
    runner = await GitRunner.start('--sandbox', 'bwrap');
    repository = runner.repository('one', FILES);
    gitDir = join(repository, '.git');
    own = (await runner.create(repository)).worktree;
    await runner.create(repository, { name: 'other' });
    admin = git(own.path, 'rev-parse', '--absolute-git-dir');
    writeFileSync(join(runner.folder, '.bashrc'), 'mine\n');
  });
  afterAll(() => runner.stop());

  /** Where a line of a log must not come to be. */
  function targets(): string[] {
    const other = git(repository, 'worktree', 'list', '--porcelain').match(/other-\w+/)?.[0] ?? '';
    const record = join(gitDir, 'worktrees', other);
    mkdirSync(join(gitDir, 'hooks'), { recursive: true });
    mkdirSync(join(record, 'modules'), { recursive: true });
    return [
      ...[
        join(runner.folder, '.bashrc'),
        join(gitDir, 'config'),
        join(gitDir, 'HEAD'),
        join(gitDir, 'hooks/post-commit'),
      ],
      ...[join(gitDir, 'info/attributes'), join(gitDir, 'objects/info/alternates'), join(record, 'HEAD')],
      ...[join(record, 'commondir'), join(admin, 'commondir'), join(admin, 'gitdir'), join(admin, 'info/exclude')],
      ...[join(admin, 'config.worktree'), join(own.path, '.git')],
    ];
  }

  const read = (file: string): string | undefined => (existsSync(file) ? readFileSync(file, 'utf8') : undefined);

  it('writes no line of a log where a session has made the log lead', async () => {
    const script = `admin=$(git rev-parse --git-dir); rm -f "$admin/logs/HEAD"; ln -s "$1" "$admin/logs/HEAD" && echo planted`;
    for (const target of targets()) {
      const before = read(target);
      const { id } = await runner.process.startSession(
        ['sh', '-c', script, 'sh', relative(join(admin, 'logs'), target)],
        {
          ...{ cwd: own.path, worktree_id: own.id },
        },
      );
      await runner.process.ended(id);
      expect(await runner.process.text(id)).toContain('planted');
      write(own.path, { 'new.txt': target });
      const calls = {
        Commit: { message: 'x', ...ADA, all: true },
        Integrate: { mode: 'merge', ...ADA },
        RemoveWorktree: { force: true },
      };
      for (const [name, request] of Object.entries(calls)) {
        expect([target, name, await refusal(runner.call(name, { id: own.id, ...request }))]).toEqual([
          ...[target, name, 'GIT_FAILED'],
        ]);
      }
      // Nor would git, if the link came after we had looked.
      const tip = git(repository, 'rev-parse', 'main');
      const commit = git(repository, 'commit-tree', '-p', tip, '-m', 'x', `${tip}^{tree}`);
      const env = { GIT_DIR: admin, GIT_COMMON_DIR: gitDir, GIT_WORK_TREE: own.path };
      const args = ['update-ref', '--create-reflog', '-m', 'a line', 'HEAD', commit];
      const call = { args, env: { ...baseEnvironment(process.env, {}), ...env }, cwd: own.path, accept: [0, 1, 128] };
      await runGit({ ...call, confined: { readOnly: [runner.projects], hidden: [] } });
      expect([target, read(target)]).toEqual([target, before]);
      rmSync(join(admin, 'logs/HEAD'));
    }
    const plain = join(runner.folder, 'followed');
    symlinkSync(plain, join(admin, 'logs/HEAD'));
    const env = { ...baseEnvironment(process.env, {}), GIT_DIR: admin, GIT_COMMON_DIR: gitDir };
    await runGit({ args: ['update-ref', '-m', 'a line', 'HEAD', 'main'], env, cwd: own.path });
    expect(read(plain)).toContain('a line');
    rmSync(join(admin, 'logs/HEAD'));
  });

  it('finds nothing where a folder of the worktree has become a link, and can put nothing beside what is git’s', async () => {
    const elsewhere = join(runner.folder, 'elsewhere');
    write(elsewhere, { secret: 'canary' });
    const env = { GIT_DIR: admin, GIT_COMMON_DIR: gitDir, GIT_WORK_TREE: own.path };
    const call = { env: { ...baseEnvironment(process.env, {}), ...env }, cwd: own.path, accept: [0, 1, 128] };
    const around = { readOnly: [runner.projects], hidden: [runner.worktrees] };
    symlinkSync(elsewhere, join(own.path, 'became'));
    const read = { ...call, args: ['hash-object', '-w', '--no-filters', '--', 'became/secret'] };
    expect((await runGit({ ...read, confined: around })).code).toBe(128);
    expect((await runGit(read)).code).toBe(0);
    for (const file of ['commondir', 'config', 'hooks/post-commit', 'packed-refs', 'worktrees/new']) {
      const bundle = { ...call, args: ['bundle', 'create', '--quiet', join(gitDir, file), 'main'] };
      expect([file, (await runGit({ ...bundle, confined: around })).code]).toEqual([file, 128]);
    }
    expect(existsSync(join(gitDir, 'commondir'))).toBe(false);
    rmSync(join(own.path, 'became'));
  });

  it('does all that it is for: commits, pushes to a folder, merges, and removes with a rescue', async () => {
    const work = runner.repository('two', FILES);
    const remote = runner.repository('two-remote');
    git(work, 'remote', 'add', 'origin', remote);
    const { worktree } = await runner.create(work);
    const { id, path, branch } = worktree;
    write(path, { 'hooks/a': '2\n', 'new.txt': 'x\n' });
    await runner.call('Stage', { id, paths: ['hooks/a'] });
    await runner.call('Unstage', { id });
    await runner.call('Discard', { id, path: 'hooks/a' });
    expect(readFileSync(join(path, 'hooks/a'), 'utf8')).toBe('1\n');
    await runner.call('Commit', { id, message: 'x', ...ADA, all: true });
    await runner.call('Push', { id });
    expect(git(remote, 'show', `${branch}:new.txt`)).toBe('x');
    // Its own folders of these names are no part of git's.
    write(work, { config: '3\n', 'hooks/a': '3\n', 'info/b': '3\n', HEAD: '3\n' });
    git(work, 'commit', '-qam', 'base');
    expect(await runner.call('Integrate', { id, mode: 'merge', ...ADA })).toMatchObject({ result: 'done' });
    for (const file of ['config', 'hooks/a', 'info/b', 'HEAD'])
      expect(readFileSync(join(path, file), 'utf8')).toBe('3\n');
    write(work, { config: '4\n' });
    git(work, 'commit', '-qam', 'base');
    await runner.call('Integrate', { id, mode: 'rebase', ...ADA });
    expect((await runner.create(work, { fetch: true })).worktree.id).not.toBe(id);
    write(path, { precious: 'x' });
    const { rescue } = await runner.remove(id, { force: true, delete_branch: true });
    expect(git(work, 'show', `${rescue?.ref ?? ''}^3:precious`)).toBe('x');
    expect(existsSync(path)).toBe(false);
  });
});
