/** Ways to have work in a worktree that `git status` does not tell of. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RemoveWorktreeResponse__Output } from '../../src/generated/gatehouse/runner/v1/RemoveWorktreeResponse.js';
import { git, GitRunner, type Made, makeRepository, refusal, write } from './git-runner.js';

let runner: GitRunner;
let made = 0;
beforeAll(async () => {
  runner = await GitRunner.start();
});
afterAll(() => runner.stop());

async function start(files?: Record<string, string>): Promise<Made & { repository: string }> {
  made += 1;
  const repository = runner.repository(`silent-${String(made)}`, files);
  return { ...(await runner.create(repository)).worktree, repository };
}

const stakes = ({ at_stake = [] }: RemoveWorktreeResponse__Output): string[] =>
  at_stake.map(({ kind, what }) => `${kind ?? ''} ${what ?? ''}`).toSorted();

/** Removes it by force, and answers a path in what was put aside of repositories inside. */
async function force(id: string): Promise<(...names: string[]) => string> {
  const { removed, rescue } = await runner.remove(id, { force: true });
  expect(removed).toBe(true);
  return (...names) => join(runner.worktrees, '.rescues', `${rescue?.id ?? ''}.nested`, ...names);
}

describe('a removal sees and keeps', () => {
  it('a repository in a folder that has files of the worktree', async () => {
    const { id, path } = await start({ 'packages/x/index.js': '1\n' });
    const inner = join(path, 'packages', 'x');
    git(inner, 'init', '-q');
    git(inner, 'commit', '-q', '--allow-empty', '-m', 'only here');
    const commit = git(inner, 'rev-parse', 'HEAD');
    expect(git(path, 'status', '--porcelain', '--ignored')).toBe('');
    expect(stakes(await runner.remove(id))).toEqual(['submodule packages/x']);
    const kept = await force(id);
    expect(git(kept('0'), 'rev-parse', 'HEAD')).toBe(commit);
  });

  it('files in the folder of a submodule that is not checked out', async () => {
    const library = makeRepository(join(runner.folder, 'library'));
    const repository = runner.repository('with-empty-submodule');
    git(repository, '-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', library, 'libs/sub');
    git(repository, 'commit', '-qm', 'a submodule');
    const { id, path } = (await runner.create(repository)).worktree;
    write(path, { 'libs/sub/precious': 'x' });
    expect(git(path, 'status', '--porcelain', '--ignored')).toBe('');
    expect(stakes(await runner.remove(id))).toEqual(['submodule libs/sub']);
    const kept = await force(id);
    expect(readFileSync(kept('0', 'precious'), 'utf8')).toBe('x');
    const other = (await runner.create(repository)).worktree;
    rmSync(join(other.path, 'libs', 'sub'), { recursive: true });
    write(other.path, { 'libs/sub': 'a file in its place' });
    expect(stakes(await runner.remove(other.id))).toEqual(['unstaged libs/sub']);
  });

  it('a repository that somebody made in place of its own `.git`', async () => {
    const { id, path } = await start();
    rmSync(join(path, '.git'));
    git(path, 'init', '-q');
    git(path, 'add', '--all');
    git(path, 'commit', '-qm', 'only here');
    const commit = git(path, 'rev-parse', 'HEAD');
    expect(stakes(await runner.remove(id))).toEqual(['submodule .git']);
    const kept = await force(id);
    expect(git(runner.folder, `--git-dir=${kept('0')}`, 'rev-parse', 'HEAD')).toBe(commit);
  });

  it('repositories in folders that tools make anew, with and without files', async () => {
    const { id, path } = await start({ '.gitignore': 'build/\n' });
    git(makeRepository(join(path, 'build', 'deep', 'inner')), 'commit', '-q', '--allow-empty', '-m', 'only here');
    git(path, 'init', '-q', '--bare', 'build/bare.git');
    expect(stakes(await runner.remove(id))).toEqual(['submodule build/bare.git', 'submodule build/deep/inner']);
    const kept = await force(id);
    const subjects = ['0', '1'].filter((name) => existsSync(kept(name, 'readme.md')));
    expect(subjects.map((name) => git(kept(name), 'log', '-1', '--format=%s'))).toEqual(['only here']);
  });

  it('ignored files in a folder that only has the name of one that tools make', async () => {
    const { id, path } = await start({ '.gitignore': '*.csv\nout\nnode_modules\nnamed/*\n' });
    write(path, {
      'data/out.csv': '1',
      'data/build/results.csv': '2',
      'node_modules/m/i.js': '',
      'named/dist': 'file',
    });
    symlinkSync('/nowhere', join(path, 'out'));
    expect(stakes(await runner.remove(id))).toEqual([
      'ignored data/build/results.csv',
      'ignored data/out.csv',
      'ignored named/dist',
    ]);
    rmSync(join(path, 'data'), { recursive: true });
    rmSync(join(path, 'named'), { recursive: true });
    expect(await runner.remove(id)).toMatchObject({ removed: true });
  });
});

describe('no setting of the repository hides', () => {
  it('a file whose name differs from another only in case', async () => {
    const { id, path, repository } = await start({ 'README.md': 'x' });
    git(path, 'config', 'core.ignoreCase', 'true');
    write(path, { 'Readme.md': 'another', 'deep/Readme.md': 'x' });
    git(path, 'add', 'deep');
    write(path, { 'Deep/precious': 'x' });
    expect(stakes(await runner.remove(id))).toEqual([
      'staged deep/Readme.md',
      'untracked Deep/precious',
      'untracked Readme.md',
    ]);
    const { rescue } = await runner.remove(id, { force: true });
    const kept = git(repository, 'ls-tree', '-r', '--name-only', `${rescue?.ref ?? ''}^3`);
    expect(kept.split('\n')).toEqual(['Deep/precious', 'Readme.md']);
  });

  it.each([
    ['core.fileMode', 'false', 'chmod', 'unstaged a'],
    ['core.symlinks', 'false', 'link', 'unstaged a'],
    ['status.showUntrackedFiles', 'no', 'new', 'untracked new'],
    ['core.worktree', '/nonexistent', 'new', 'untracked new'],
    ['core.bare', 'true', 'new', 'untracked new'],
    ['core.splitIndex', 'true', 'new', 'untracked new'],
    ['submodule.recurse', 'true', 'new', 'untracked new'],
    ['index.sparse', 'true', 'new', 'untracked new'],
  ])('a change, not %s=%s: %s', async (name, value, change, expected) => {
    const { id, path, repository } = await start({ a: '1' });
    git(repository, 'config', 'extensions.worktreeConfig', 'true');
    git(repository, 'config', name, value);
    if (change === 'chmod') execFileSync('chmod', ['755', join(path, 'a')]);
    else if (change === 'link') {
      rmSync(join(path, 'a'));
      symlinkSync('1', join(path, 'a'));
    } else write(path, { new: 'x' });
    expect(stakes(await runner.remove(id))).toEqual([expected]);
  });

  it('what the index says of files and folders', async () => {
    const { id, path, repository } = await start({ a: '1', b: '1', 'folder/c': '1' });
    git(path, 'config', 'core.untrackedCache', 'true');
    git(path, 'update-index', '--force-untracked-cache');
    git(path, 'update-index', '--split-index');
    git(path, 'update-index', '--assume-unchanged', 'a');
    git(path, 'update-index', '--skip-worktree', 'b');
    git(path, 'status');
    write(path, { a: '2', b: '2', new: 'x' });
    write(repository, { '.git/info/exclude': 'excluded\n' });
    write(path, { excluded: 'x' });
    expect(stakes(await runner.remove(id))).toEqual(['ignored excluded', 'unstaged a', 'unstaged b', 'untracked new']);
    const { rescue } = await runner.remove(id, { force: true });
    const show = (at: string): string => git(repository, 'show', `${rescue?.ref ?? ''}${at}`);
    expect([show(':a'), show(':b'), show('^3:new'), show('^3:excluded')]).toEqual(['2', '2', 'x', 'x']);
  });

  it('what lies outside of a sparse checkout', async () => {
    const { id, path, repository } = await start({ 'in/a': '1', 'out-of/b': '1' });
    git(path, 'sparse-checkout', 'set', '--cone', '--sparse-index', 'in');
    expect(existsSync(join(path, 'out-of'))).toBe(false);
    write(path, { 'out-of/b': 'changed', 'out-of/new': 'x' });
    expect(stakes(await runner.remove(id))).toEqual(['unstaged out-of/b', 'untracked out-of/new']);
    const { rescue } = await runner.remove(id, { force: true });
    expect(git(repository, 'show', `${rescue?.ref ?? ''}:out-of/b`)).toBe('changed');
    expect(git(repository, 'show', `${rescue?.ref ?? ''}^3:out-of/new`)).toBe('x');
  });
});

describe('commits without a branch', () => {
  const commit = (path: string, message: string): string => {
    git(path, 'commit', '-q', '--allow-empty', '-m', message);
    return git(path, 'rev-parse', 'HEAD');
  };

  const save = (path: string, file: string): void => {
    write(path, { [file]: '1' });
    git(path, 'add', '.');
    commit(path, file);
  };

  it('that an amended commit or a rebase took the place of are no work any more', async () => {
    const { id, path, repository, branch } = await start();
    save(path, 'mine');
    git(path, 'commit', '-q', '--amend', '-m', 'second try');
    save(repository, 'theirs');
    git(path, 'rebase', '-q', 'main');
    git(repository, 'merge', '-q', branch);
    expect(await runner.remove(id)).toMatchObject({ removed: true });
  });

  it('that a rebase made, or came back to, before they were reset away are told', async () => {
    const { id, path, repository } = await start();
    save(path, 'mine');
    save(repository, 'theirs');
    git(path, 'rebase', '-q', 'main');
    const rebased = git(path, 'rev-parse', 'HEAD');
    git(path, 'reset', '-q', '--hard', 'main');
    expect(stakes(await runner.remove(id))).toEqual([`unpushed_commits ${rebased}`]);
    const kept = commit(path, 'given up');
    write(path, { theirs: '2' });
    git(path, 'add', '.');
    const tip = commit(path, 'in conflict');
    write(repository, { theirs: '3' });
    git(repository, 'commit', '-qam', 'x');
    expect(() => git(path, 'rebase', '-q', 'main')).toThrow();
    git(path, 'rebase', '--abort');
    git(path, 'reset', '-q', '--hard', 'main');
    const told = [rebased, tip, kept].map((each) => `unpushed_commits ${each}`);
    expect(stakes(await runner.remove(id))).toEqual(told.toSorted());
  });

  it('that only the worktree’s own refs and the log of its HEAD know are told and kept', async () => {
    const { id, path, repository } = await start();
    const lost = commit(path, 'reset');
    git(path, 'reset', '-q', '--hard', 'HEAD^');
    const own = commit(path, 'of a ref');
    git(path, 'update-ref', 'refs/worktree/mine', own);
    git(path, 'reset', '-q', '--hard', 'HEAD^');
    const expected = [lost, own].map((each) => `unpushed_commits ${each}`).toSorted();
    expect(stakes(await runner.remove(id))).toEqual(expected);
    write(path, { new: 'x' });
    const { rescue } = await runner.remove(id, { force: true });
    const ref = rescue?.ref ?? '';
    const kept = git(repository, 'rev-parse', `${ref}^2^@`).split('\n');
    expect(kept.toSorted()).toEqual([git(repository, 'rev-parse', `${ref}^1`), lost, own].toSorted());
    expect(git(repository, 'bundle', 'list-heads', rescue?.bundle ?? '')).toContain(ref);
    git(repository, 'stash', 'apply', '-q', '--index', ref);
    expect(readFileSync(join(repository, 'new'), 'utf8')).toBe('x');
  });

  it('are kept too when the folder is gone', async () => {
    const { id, path, repository } = await start();
    const lost = commit(path, 'reset');
    git(path, 'reset', '-q', '--hard', 'HEAD^');
    renameSync(path, join(runner.folder, 'moved-with-log'));
    expect(stakes(await runner.remove(id))).toEqual([`unpushed_commits ${lost}`]);
    const { rescue } = await runner.remove(id, { force: true });
    expect(git(repository, 'rev-list', rescue?.ref ?? '').split('\n')).toContain(lost);
  });

  it('that a rebase has put away are told', async () => {
    const { id, path, repository } = await start({ a: '1\n' });
    write(repository, { a: 'theirs\n' });
    git(repository, 'commit', '-qam', 'theirs');
    write(path, { a: 'mine\n' });
    git(path, 'commit', '-qam', 'mine');
    write(path, { a: 'not committed\n' });
    expect(() => git(path, 'rebase', '-q', '--autostash', 'main')).toThrow();
    const { rescue } = await runner.remove(id, { force: true });
    const all = git(repository, 'rev-list', rescue?.ref ?? '').split('\n');
    expect(all.map((each) => git(repository, 'show', `${each}:a`))).toContain('not committed');
  });

  it('that a branch, a tag or a stash has are not at stake', async () => {
    const { id, path } = await start();
    const base = git(path, 'rev-parse', 'HEAD');
    commit(path, 'on a branch');
    git(path, 'branch', 'kept');
    git(path, 'reset', '-q', '--hard', base);
    commit(path, 'with a tag');
    git(path, 'tag', 'kept-too');
    git(path, 'reset', '-q', '--hard', base);
    expect(await runner.remove(id)).toMatchObject({ removed: true });
  });

  it('in a log that cannot be read whole are not passed over, and not removed by force', async () => {
    const { id, path, repository } = await start();
    const log = join(repository, '.git', 'worktrees', path.replace(/^.*\//, ''), 'logs', 'HEAD');
    const before = readFileSync(log);
    truncateSync(log, 8 * 1024 * 1024 + 1);
    expect(stakes(await runner.remove(id))).toEqual(['unpushed_commits logs/HEAD']);
    expect(await refusal(runner.remove(id, { force: true }))).toBe('WOULD_LOSE_WORK');
    rmSync(log);
    symlinkSync('/dev/null', log);
    expect(await refusal(runner.remove(id, { force: true }))).toBe('GIT_FAILED');
    rmSync(log);
    writeFileSync(log, before);
    expect(lstatSync(path).isDirectory()).toBe(true);
    expect(await runner.remove(id)).toMatchObject({ removed: true });
  });

  it('are kept, however many there are', async () => {
    const { id, path, repository, base_commit: base } = await start();
    const input = Array.from({ length: 1200 }, (_, number) => {
      const head = `commit refs/worktree/${String(number)}\ncommitter A <a@b> ${String(number + 1)} +0000\n`;
      return `${head}data 1\nx\nfrom ${base}\n\n`;
    });
    execFileSync('git', ['fast-import', '--quiet'], { cwd: path, input: input.join('') });
    const { removed, truncated } = await runner.remove(id);
    expect([removed, truncated]).toEqual([false, true]);
    const { rescue } = await runner.remove(id, { force: true });
    const lost = git(repository, 'rev-list', '--max-parents=1', `${base}..${rescue?.ref ?? ''}`, '--grep=^x').split(
      '\n',
    );
    expect(lost).toHaveLength(1200);
  });
});

describe('a folder', () => {
  it('so deep that it cannot be looked into is not removed by force either', async () => {
    const { id, path } = await start({ '.gitignore': 'build/\n' });
    let folder = join(path, 'build');
    mkdirSync(folder);
    // Deeper than a path can be: each part is made from within the last.
    const script = 'for n in $(seq 30); do mkdir "$1" && cd "$1" || exit 1; done';
    execFileSync('bash', ['-c', script, 'bash', 'd'.repeat(200)], { cwd: folder });
    const { at_stake = [] } = await runner.remove(id);
    expect(at_stake.map(({ kind }) => kind)).toEqual(['submodule']);
    expect(await refusal(runner.remove(id, { force: true }))).toBe('WOULD_LOSE_WORK');
    folder = join(runner.folder, 'deep');
    renameSync(join(path, 'build'), folder);
    expect(await runner.remove(id)).toMatchObject({ removed: true });
    execFileSync('rm', ['-rf', folder]);
  });
});
