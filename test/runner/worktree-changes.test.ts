import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { GetDiffResponse__Output } from '../../src/generated/gatehouse/runner/v1/GetDiffResponse.js';
import type { GetLogResponse__Output } from '../../src/generated/gatehouse/runner/v1/GetLogResponse.js';
import { git, GitRunner, type Made, refusal, write } from './git-runner.js';

const ADA = { author_name: 'Ada Lovelace', author_email: 'ada@example.org' };
let runner: GitRunner;
let made = 0;
beforeAll(async () => {
  runner = await GitRunner.start();
});
afterAll(() => runner.stop());

/** A worktree of a new repository. */
async function start(files?: Record<string, string>): Promise<Made & { repository: string }> {
  made += 1;
  const repository = runner.repository(`changes-${String(made)}`, files);
  return { ...(await runner.create(repository)).worktree, repository };
}

const files = async (id: string): Promise<string[]> =>
  ((await runner.status(id)).files ?? []).map(
    ({ index, worktree, path }) => `${index ?? ''}${worktree ?? ''} ${path ?? ''}`,
  );
const commit = (id: string, rest: object = {}): Promise<{ commit: string }> =>
  runner.call('Commit', { id, message: 'A change', ...ADA, ...rest });

describe('files', () => {
  it('go into the index and out of it, one by one or all', async () => {
    const { id, path } = await start({ a: '1\n', b: '1\n', 'dir/c': '1\n' });
    write(path, { a: '2\n', new: 'x\n', 'dir/c': '2\n' });
    await runner.call('Stage', { id, paths: ['a', 'dir'] });
    expect(await files(id)).toEqual(['M. a', 'M. dir/c', '?? new']);
    await runner.call('Unstage', { id, paths: ['a'] });
    expect(await files(id)).toEqual(['.M a', 'M. dir/c', '?? new']);
    await runner.call('Stage', { id });
    expect(await files(id)).toEqual(['M. a', 'M. dir/c', 'A. new']);
    await runner.call('Unstage', { id });
    expect(await files(id)).toEqual(['.M a', '.M dir/c', '?? new']);
    expect(await refusal(runner.call('Stage', { id, paths: ['../x'] }))).toBe('INVALID_ARGUMENT');
    expect(await refusal(runner.call('Stage', { id, paths: ['no such file'] }))).toBe('GIT_FAILED');
  });

  it('whose names look like options, patterns or magic are only names', async () => {
    const { id, path } = await start();
    write(path, { '--all': 'x', '*': 'x', ':(top)': 'x', other: 'x' });
    await runner.call('Stage', { id, paths: ['--all', '*', ':(top)'] });
    expect((await files(id)).toSorted()).toEqual(['?? other', 'A. *', 'A. --all', 'A. :(top)']);
  });

  it('get back the content they have in HEAD, or go when HEAD has none', async () => {
    const { id, path } = await start({ kept: 'old\n', 'dir/gone': 'old\n' });
    write(path, { kept: 'new\n', untracked: 'x', added: 'x' });
    git(path, 'rm', '-q', 'dir/gone');
    git(path, 'add', 'added');
    for (const name of ['kept', 'dir/gone', 'untracked', 'added']) await runner.call('Discard', { id, path: name });
    expect(await files(id)).toEqual([]);
    expect(readFileSync(join(path, 'kept'), 'utf8')).toBe('old\n');
    expect(existsSync(join(path, 'added'))).toBe(false);
    expect(await refusal(runner.call('Discard', { id, path: 'kept' }))).toBe('GIT_FAILED');
  });

  it('behind a symbolic link, or replaced by one, are not reached through it', async () => {
    const { id, path } = await start({ 'dir/file': 'old\n', link: 'old\n' });
    const outside = join(runner.folder, 'outside');
    write(outside, { file: 'precious', other: 'precious' });
    git(path, 'rm', '-q', '-r', '--cached', 'dir', 'link');
    git(path, 'reset', '-q');
    git(path, 'clean', '-fdq');
    git(path, 'rm', '-q', '-r', 'dir', 'link');
    git(path, 'reset', '-q');
    symlinkSync(outside, join(path, 'dir'));
    symlinkSync(join(outside, 'other'), join(path, 'link'));
    expect(await refusal(runner.call('Discard', { id, path: 'dir/file' }))).toBe('GIT_FAILED');
    await runner.call('Discard', { id, path: 'link' });
    expect(readFileSync(join(path, 'link'), 'utf8')).toBe('old\n');
    expect(readFileSync(join(outside, 'other'), 'utf8')).toBe('precious');
    await runner.call('Discard', { id, path: 'dir' });
    expect(readFileSync(join(outside, 'file'), 'utf8')).toBe('precious');
  });
});

describe('a commit', () => {
  it('has the author it is given and its trailers, and only what is staged', async () => {
    const { id, path } = await start({ a: '1\n' });
    write(path, { a: '2\n', later: 'x\n' });
    await runner.call('Stage', { id, paths: ['a'] });
    const { commit: oid } = await commit(id, { message: 'Fix it\n\nBody.', trailers: ['Gatehouse-Session: s-1'] });
    expect(git(path, 'rev-parse', 'HEAD')).toBe(oid);
    expect(git(path, 'log', '-1', '--format=%an <%ae>|%cn|%B')).toBe(
      'Ada Lovelace <ada@example.org>|Ada Lovelace|Fix it\n\nBody.\n\nGatehouse-Session: s-1',
    );
    expect(git(path, 'log', '-1', '--format=%(trailers:key=Gatehouse-Session,valueonly)')).toBe('s-1');
    expect(await files(id)).toEqual(['?? later']);
    expect(await refusal(commit(id))).toBe('NOTHING_TO_COMMIT');
    await commit(id, { all: true });
    expect(await runner.status(id)).toMatchObject({ ahead_of_base: 2, behind_base: 0 });
  });

  it.each([
    { message: '' },
    { message: 'a\0b' },
    { author_name: 'A <b>' },
    { author_email: 'a\nb' },
    { trailers: ['no trailer'] },
    { trailers: ['A: b\nC: d'] },
  ])('is refused when it is not well formed: %j', async (wrong) => {
    const { worktrees = [] } = await runner.call<{ worktrees?: { id: string }[] }>('ListWorktrees', {});
    expect(await refusal(commit(worktrees[0]?.id ?? '', wrong))).toBe('INVALID_ARGUMENT');
  });

  it('waits until a merge that somebody began is ended', async () => {
    const { id, path, repository } = await start({ a: '1\n' });
    write(repository, { a: 'base\n' });
    git(repository, 'commit', '-qam', 'base');
    write(path, { a: 'branch\n' });
    await commit(id, { all: true });
    expect(() => git(path, 'merge', 'main')).toThrow();
    expect(await runner.status(id)).toMatchObject({ operation: 'merge', files: [{ path: 'a', kind: 'unmerged' }] });
    expect(await refusal(commit(id, { all: true }))).toBe('WORKTREE_NOT_READY');
    expect(await refusal(runner.call('Discard', { id, path: 'a' }))).toBe('GIT_FAILED');
  });
});

describe('differences', () => {
  it('are told by file with their counts, and by hunk for one', async () => {
    const text = Array.from({ length: 40 }, (_, line) => `line ${String(line)}\n`).join('');
    const { id, path } = await start({ text, moved: text, gone: 'x\n', binary: 'a\0b' });
    write(path, { text: text.replace('line 20', 'changed'), binary: 'c\0d', 'new ü': 'a\nb\n' });
    git(path, 'mv', 'moved', 'moved away');
    git(path, 'rm', '-q', 'gone');
    git(path, 'add', '--all');
    const diff = await runner.call<GetDiffResponse__Output>('GetDiff', { id, path: 'text' });
    expect(diff.files).toMatchObject([
      { path: 'binary', status: 'M', binary: true },
      { path: 'gone', status: 'D', additions: 0, deletions: 1 },
      { path: 'moved away', old_path: 'moved', status: 'R', additions: 0, deletions: 0 },
      { path: 'new ü', status: 'A', additions: 2, deletions: 0 },
      { path: 'text', status: 'M', additions: 1, deletions: 1, binary: false },
    ]);
    expect(diff.hunks).toMatchObject([{ old_start: 18, old_lines: 7, new_start: 18, new_lines: 7 }]);
    expect(diff.hunks?.[0]?.lines?.filter((line) => !line.startsWith(' '))).toEqual(['-line 20', '+changed']);
    expect(await runner.call('GetDiff', { id, path: 'binary' })).toMatchObject({ hunks_omitted: true });
    await commit(id);
    expect((await runner.call<GetDiffResponse__Output>('GetDiff', { id })).files).toHaveLength(5);
    expect(await runner.call('GetDiff', { id, against: 'HEAD' })).toMatchObject({
      against: git(path, 'rev-parse', 'HEAD'),
    });
    expect(await refusal(runner.call('GetDiff', { id, against: 'HEAD~1' }))).toBe('INVALID_ARGUMENT');
    expect(await refusal(runner.call('GetDiff', { id, against: 'nowhere' }))).toBe('REF_NOT_FOUND');
    write(path, { text: 'x'.repeat(2_000_000) });
    expect(await runner.call('GetDiff', { id, path: 'text' })).toMatchObject({ hunks_omitted: true });
  });
});

describe('the log', () => {
  it('is told in pieces, newest first, all of it or since the base', async () => {
    const { id, path } = await start();
    for (const number of [1, 2, 3]) {
      write(path, { file: String(number) });
      await commit(id, { message: `Change ${String(number)}\n\nBody\nof two lines.`, all: true });
    }
    const read = (rest: object): Promise<GetLogResponse__Output> => runner.call('GetLog', { id, ...rest });
    const first = await read({ limit: 2 });
    expect(first).toMatchObject({
      more: true,
      commits: [
        { subject: 'Change 3', body: 'Body\nof two lines.\n' },
        { subject: 'Change 2', author_name: 'Ada Lovelace' },
      ],
    });
    const second = await read({ limit: 2, after: first.commits?.[1]?.id });
    expect(second.commits?.map(({ subject }) => subject)).toEqual(['Change 1', 'first']);
    expect(second.more).toBe(false);
    expect((await read({ since_base: true })).commits).toHaveLength(3);
    expect(await refusal(read({ limit: 101 }))).toBe('INVALID_ARGUMENT');
    expect(await refusal(read({ after: '0'.repeat(40) }))).toBe('REF_NOT_FOUND');
  });
});

describe('a push', () => {
  it('takes the branch to a remote, and is refused, unforced, where that has gone on', async () => {
    const { id, path, branch, repository } = await start();
    const remote = join(runner.projects, `remote-${String(made)}.git`);
    git(runner.projects, 'clone', '-q', '--bare', repository, remote);
    git(repository, 'remote', 'add', 'origin', remote);
    write(path, { a: '1' });
    const { commit: oid } = await commit(id, { all: true });
    expect(await runner.call('Push', { id })).toEqual({ remote: 'origin', branch, commit: oid });
    expect(git(remote, 'rev-parse', branch)).toBe(oid);
    expect(git(repository, 'rev-parse', `refs/remotes/origin/${branch}`)).toBe(oid);
    git(path, 'commit', '-q', '--amend', '-m', 'another');
    expect(await refusal(runner.call('Push', { id }))).toBe('REMOTE_REJECTED');
    expect(git(remote, 'rev-parse', branch)).toBe(oid);
    expect(await refusal(runner.call('Push', { id, remote: 'nowhere' }))).toBe('REF_NOT_FOUND');
  });

  it('and a fetch tell when the remote is away, and that a folder elsewhere is none', async () => {
    const { id, path, repository } = await start();
    write(path, { a: '1' });
    await commit(id, { all: true });
    git(repository, 'remote', 'add', 'origin', 'https://127.0.0.1:1/nothing.git');
    expect(await refusal(runner.call('Push', { id }))).toBe('REMOTE_UNREACHABLE');
    expect(await refusal(runner.create(repository, { fetch: true }))).toBe('REMOTE_UNREACHABLE');
    git(
      repository,
      'remote',
      'set-url',
      'origin',
      git(runner.folder, 'init', '-q', '--bare', 'elsewhere.git') || join(runner.folder, 'elsewhere.git'),
    );
    expect(await refusal(runner.call('Push', { id }))).toBe('REPOSITORY_NOT_ALLOWED');
    git(repository, 'remote', 'set-url', 'origin', 'ext::sh -c true');
    expect(await refusal(runner.call('Push', { id }))).toBe('GIT_FAILED');
  });

  it('is not needed for a fetch to bring the newest base', async () => {
    const { repository } = await start();
    const remote = join(runner.projects, `remote-${String(made)}.git`);
    git(runner.projects, 'clone', '-q', '--bare', repository, remote);
    git(repository, 'remote', 'add', 'origin', remote);
    const other = join(runner.folder, `clone-${String(made)}`);
    git(runner.folder, 'clone', '-q', remote, other);
    write(other, { newest: 'x' });
    git(other, 'add', '.');
    git(other, 'commit', '-qm', 'newest');
    git(other, 'push', '-q', 'origin', 'main');
    const { worktree } = await runner.create(repository, { fetch: true, base_ref: 'main' });
    expect(worktree.base_ref).toBe('refs/remotes/origin/main');
    expect(existsSync(join(worktree.path, 'newest'))).toBe(true);
  });
});

describe('the base', () => {
  const grow = (repository: string, content: Record<string, string>): void => {
    write(repository, content);
    git(repository, 'add', '.');
    git(repository, 'commit', '-qm', 'base goes on');
  };
  const integrate = (id: string, mode: string): Promise<{ result: string; head: string; conflicts?: string[] }> =>
    runner.call('Integrate', { id, mode, ...ADA });

  it.each(['merge', 'rebase'])('comes into the branch by %s', async (mode) => {
    const { id, path, repository } = await start({ a: '1\n' });
    expect((await integrate(id, mode)).result).toBe('up_to_date');
    write(path, { mine: 'x\n' });
    await commit(id, { message: 'Mine', all: true });
    grow(repository, { theirs: 'y\n' });
    write(path, { untracked: 'stays' });
    expect(await runner.status(id)).toMatchObject({ ahead_of_base: 1, behind_base: 1 });
    const { result, head } = await integrate(id, mode);
    expect([result, head]).toEqual(['done', git(path, 'rev-parse', 'HEAD')]);
    expect(await files(id)).toEqual(['?? untracked']);
    expect(readFileSync(join(path, 'theirs'), 'utf8')).toBe('y\n');
    expect(git(path, 'log', '--format=%s', '--first-parent').split('\n')[1]).toBe(
      mode === 'merge' ? 'Mine' : 'base goes on',
    );
    expect(git(path, 'log', '-1', '--format=%P').split(' ')).toHaveLength(mode === 'merge' ? 2 : 1);
    expect(git(path, 'fsck', '--strict')).not.toContain('error');
  });

  it.each(['merge', 'rebase'])('and a conflict leave everything as it was: %s', async (mode) => {
    const { id, path, repository } = await start({ a: '1\n' });
    write(path, { a: 'mine\n' });
    const { commit: head } = await commit(id, { all: true });
    grow(repository, { a: 'theirs\n' });
    expect(await integrate(id, mode)).toEqual({ result: 'conflict', head, conflicts: ['a'] });
    expect(await files(id)).toEqual([]);
    expect(git(path, 'rev-parse', 'HEAD')).toBe(head);
    expect(readFileSync(join(path, 'a'), 'utf8')).toBe('mine\n');
  });

  it.each(['merge', 'rebase'])('does not come over files that are ignored: %s', async (mode) => {
    const { id, path, repository } = await start({ a: '1\n', '.gitignore': 'theirs\nfolder\n' });
    write(repository, { theirs: 'y\n', 'folder/file': 'y\n' });
    git(repository, 'add', '-f', '.');
    git(repository, 'commit', '-qm', 'base goes on');
    for (const own of ['theirs', 'folder']) {
      write(path, { [own]: 'mine' });
      await expect(integrate(id, mode)).rejects.toThrow(`in the way: ${own}`);
      expect(readFileSync(join(path, own), 'utf8')).toBe('mine');
      git(path, 'clean', '-fdxq');
    }
    write(path, { 'theirs/inner': 'mine' });
    expect(await refusal(integrate(id, mode))).toBe('WORKTREE_NOT_READY');
    git(path, 'clean', '-fdxq');
    expect((await integrate(id, mode)).result).toBe('done');
  });

  it('does not come over changes, nor over a file that is in its way', async () => {
    const { id, path, repository } = await start({ a: '1\n' });
    grow(repository, { theirs: 'y\n' });
    write(path, { a: '2\n' });
    expect(await refusal(integrate(id, 'merge'))).toBe('WORKTREE_NOT_READY');
    git(path, 'checkout', '-q', 'a');
    git(path, 'update-index', '--assume-unchanged', 'a');
    write(path, { a: 'hidden\n' });
    expect(await refusal(integrate(id, 'merge'))).toBe('WORKTREE_NOT_READY');
    git(path, 'update-index', '--no-assume-unchanged', 'a');
    git(path, 'checkout', '-q', 'a');
    write(path, { theirs: 'mine, untracked' });
    expect(await refusal(integrate(id, 'rebase'))).toBe('WORKTREE_NOT_READY');
    expect(readFileSync(join(path, 'theirs'), 'utf8')).toBe('mine, untracked');
    expect(git(path, 'rev-list', '--count', 'HEAD')).toBe('1');
    expect(await refusal(integrate(id, 'squash'))).toBe('INVALID_ARGUMENT');
  });
});
