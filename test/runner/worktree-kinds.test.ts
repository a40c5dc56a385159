/** Worktrees of repositories of every kind: bare, empty, detached, with submodules, with large files elsewhere. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ListRepositoriesResponse__Output } from '../../src/generated/gatehouse/runner/v1/ListRepositoriesResponse.js';
import type { RemoveWorktreeResponse__Output } from '../../src/generated/gatehouse/runner/v1/RemoveWorktreeResponse.js';
import { git, GitRunner, type Made, makeRepository, refusal, write } from './git-runner.js';

let runner: GitRunner;
beforeAll(async () => {
  runner = await GitRunner.start();
});
afterAll(() => runner.stop());

const ADA = { author_name: 'Ada', author_email: 'ada@example.org' };
const stakes = ({ at_stake = [] }: RemoveWorktreeResponse__Output): string[] =>
  at_stake.map(({ kind = '', what = '' }) => `${kind} ${what}`);

const files = async (id: string): Promise<object[]> => (await runner.status(id)).files ?? [];

async function described(name: string): Promise<object | undefined> {
  const { repositories = [] } = await runner.call<ListRepositoriesResponse__Output>('ListRepositories', {});
  return repositories.find((each) => each.name === name);
}

describe('a bare repository', () => {
  it('has worktrees that are worked in, merged into each other and removed like others', async () => {
    const bare = join(runner.projects, 'bare.git');
    git(runner.projects, 'clone', '-q', '--bare', makeRepository(join(runner.folder, 'of-bare')), bare);
    expect(await described('bare.git')).toMatchObject({ bare: true, default_branch: 'main' });
    const { worktree, copied = [] } = await runner.create('bare.git', { copy: ['**'] });
    expect([copied, worktree.base_ref]).toEqual([[], 'refs/heads/main']);
    const { id, path, branch } = worktree;
    write(path, { new: 'x' });
    expect(await runner.status(id)).toMatchObject({ branch, files: [{ path: 'new', kind: 'untracked' }] });
    await runner.call('Commit', { id, message: 'one', all: true, ...ADA });
    expect(stakes(await runner.remove(id))).toEqual([`unpushed_commits ${git(bare, 'rev-parse', branch)}`]);
    const other = (await runner.create('bare.git')).worktree;
    expect(await runner.call('Integrate', { id: other.id, mode: 'merge', base_ref: branch, ...ADA })).toMatchObject({
      result: 'done',
    });
    for (const each of [id, other.id])
      expect(await runner.remove(each, { force: true })).toMatchObject({ removed: true });
    expect(git(bare, 'worktree', 'list').split('\n')).toEqual([expect.stringContaining('(bare)')]);
  });
});

describe('an empty repository', () => {
  it('is listed without a branch, and has no worktree until there is a commit to start from', async () => {
    const path = join(runner.projects, 'empty');
    git(runner.projects, 'init', '-q', '--initial-branch=main', path);
    expect(await described('empty')).toMatchObject({ default_branch: '', bare: false });
    expect(await refusal(runner.create('empty'))).toBe('REF_NOT_FOUND');
    expect(await refusal(runner.create('empty', { existing_branch: 'main' }))).toBe('REF_NOT_FOUND');
    expect([git(path, 'for-each-ref'), existsSync(join(path, '.git', 'worktrees'))]).toEqual(['', false]);
    git(path, 'commit', '-q', '--allow-empty', '-m', 'first');
    expect((await runner.create('empty')).worktree.base_ref).toBe('refs/heads/main');
  });
});

describe('a detached HEAD', () => {
  it('of the repository is a base by its commit, against which commits are at stake', async () => {
    const repository = runner.repository('detached');
    git(repository, 'checkout', '-q', '--detach');
    git(repository, 'branch', '-q', '-D', 'main');
    const head = git(repository, 'rev-parse', 'HEAD');
    expect(await described('detached')).toMatchObject({ default_branch: '' });
    const { id, path, base_ref, base_commit } = (await runner.create(repository)).worktree;
    expect([base_ref, base_commit]).toEqual([head, head]);
    git(path, 'commit', '-q', '--allow-empty', '-m', 'only here');
    expect(await runner.status(id)).toMatchObject({ ahead_of_base: 1, behind_base: 0 });
    const commit = git(path, 'rev-parse', 'HEAD');
    expect(await runner.remove(id, { delete_branch: true })).toMatchObject({
      ...{ removed: false, at_stake: [{ kind: 'unpushed_commits', what: commit }] },
    });
    expect(await runner.call('Integrate', { id, mode: 'rebase', ...ADA })).toMatchObject({ result: 'up_to_date' });
  });

  it('of a worktree takes commits, which are at stake with those of its branch', async () => {
    const repository = runner.repository('wanders');
    const { id, path, branch } = (await runner.create(repository)).worktree;
    git(path, 'commit', '-q', '--allow-empty', '-m', 'on the branch');
    git(path, 'checkout', '-q', '--detach', 'main');
    write(path, { new: 'x' });
    await runner.call('Commit', { id, message: 'on none', all: true, ...ADA });
    expect(await runner.status(id)).toMatchObject({ detached: true, branch: '', ahead_of_base: 1 });
    expect(stakes(await runner.remove(id)).toSorted()).toEqual(
      [git(path, 'rev-parse', 'HEAD'), git(repository, 'rev-parse', branch)]
        .map((each) => `unpushed_commits ${each}`)
        .toSorted(),
    );
    const { rescue } = await runner.remove(id, { force: true });
    expect(git(repository, 'show', `${rescue?.ref ?? ''}^1:new`)).toBe('x');
    expect(git(repository, 'log', '-1', '--format=%s', branch)).toBe('on the branch');
  });
});

describe('a repository with a submodule', () => {
  const local = ['-c', 'protocol.file.allow=always'];
  let made = 0;

  /** A worktree in which somebody has checked the submodule out and committed in it. */
  async function start(): Promise<Made & { commit: string; sub: string }> {
    made += 1;
    const library = makeRepository(join(runner.folder, `library-${String(made)}`), { lib: '1\n' });
    const repository = runner.repository(`with-sub-${String(made)}`);
    git(repository, ...local, 'submodule', '--quiet', 'add', library, 'libs/sub');
    git(repository, 'commit', '-qm', 'a submodule');
    const { worktree } = await runner.create(repository);
    const sub = join(worktree.path, 'libs', 'sub');
    expect(existsSync(join(sub, 'lib'))).toBe(false);
    expect(await files(worktree.id)).toEqual([]);
    git(worktree.path, ...local, 'submodule', '--quiet', 'update', '--init');
    git(sub, 'commit', '-q', '--allow-empty', '-m', 'only here');
    return { ...worktree, sub, commit: git(sub, 'rev-parse', 'HEAD') };
  }
  const kept = (rescue: string | undefined, ...names: string[]): string =>
    join(runner.worktrees, '.rescues', `${rescue ?? ''}.nested`, ...names);
  const subject = (gitDir: string, commit: string): string =>
    git(runner.folder, `--git-dir=${gitDir}`, '--work-tree=.', 'log', '-1', '--format=%s', commit);

  it('keeps the commits and files of one that is checked out', async () => {
    const { id, sub, commit } = await start();
    write(sub, { lib: 'changed\n', new: 'x' });
    expect(await runner.status(id)).toMatchObject({ files: [{ path: 'libs/sub', worktree: 'M' }] });
    expect(stakes(await runner.remove(id))).toEqual(['unstaged libs/sub', 'submodule libs/sub']);
    const { rescue } = await runner.remove(id, { force: true });
    const gitDir = kept(rescue?.id, 'modules', 'libs', 'sub');
    expect(subject(gitDir, commit)).toBe('only here');
    const work = [`--git-dir=${gitDir}`, `--work-tree=${kept(rescue?.id, '0')}`];
    expect(git(runner.folder, ...work, 'status', '--porcelain').split('\n')).toEqual([' M lib', '?? new']);
  });

  it('keeps the commits of one that is not checked out any more', async () => {
    const { id, path, commit } = await start();
    git(path, 'submodule', '--quiet', 'deinit', '--force', 'libs/sub');
    expect(stakes(await runner.remove(id))).toEqual(['submodule .git/modules/']);
    const { rescue } = await runner.remove(id, { force: true });
    expect(subject(kept(rescue?.id, 'modules', 'libs', 'sub'), commit)).toBe('only here');
  });

  it('keeps the commits of one whose worktree’s folder somebody deleted', async () => {
    const { id, path, commit } = await start();
    rmSync(path, { recursive: true });
    expect(stakes(await runner.remove(id))).toEqual(['submodule .git/modules/']);
    const { rescue } = await runner.remove(id, { force: true });
    expect(subject(kept(rescue?.id, 'modules', 'libs', 'sub'), commit)).toBe('only here');
  });
});

describe('a repository with Git LFS', () => {
  it('has pointers that stay pointers, are never stored as something else, and content that is never lost', async () => {
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n';
    const repository = runner.repository('large', {
      '.gitattributes': '*.bin filter=lfs diff=lfs merge=lfs -text\n',
      'big.bin': pointer,
      'small.txt': '1\n',
    });
    for (const [name, value] of [
      ['clean', 'false'],
      ['smudge', 'false'],
      ['process', 'false'],
      ['required', 'true'],
    ] as const)
      git(repository, 'config', `filter.lfs.${name}`, value);
    const { id, path, branch } = (await runner.create(repository)).worktree;
    expect(readFileSync(join(path, 'big.bin'), 'utf8')).toBe(pointer);
    expect(await files(id)).toEqual([]);
    write(path, { 'small.txt': '2\n' });
    await runner.call('Commit', { id, message: 'small', all: true, ...ADA });
    expect(git(repository, 'show', `${branch}:big.bin`)).toBe(pointer.trimEnd());
    // As `git lfs pull` leaves it: the content in the pointer's place.
    write(path, { 'big.bin': 'large content' });
    await expect(runner.call('Stage', { id, paths: ['big.bin'] })).rejects.toThrow('its filter does not run here');
    const { rescue } = await runner.remove(id, { force: true });
    expect(
      execFileSync('git', ['cat-file', 'blob', `${rescue?.ref ?? ''}:big.bin`], { cwd: repository }).toString(),
    ).toBe('large content');
  });
});
