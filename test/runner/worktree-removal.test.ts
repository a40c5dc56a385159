import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ListRescuesResponse__Output } from '../../src/generated/gatehouse/runner/v1/ListRescuesResponse.js';
import type { RemoveWorktreeResponse__Output } from '../../src/generated/gatehouse/runner/v1/RemoveWorktreeResponse.js';
import { git, GitRunner, type Made, makeRepository, refusal, write } from './git-runner.js';

let runner: GitRunner;
let made = 0;
beforeAll(async () => {
  runner = await GitRunner.start();
});
afterAll(() => runner.stop());

async function start(files?: Record<string, string>, rest = {}): Promise<Made & { repository: string }> {
  made += 1;
  const repository = runner.repository(`removal-${String(made)}`, files);
  return { ...(await runner.create(repository, rest)).worktree, repository };
}

const stakes = ({ at_stake = [] }: RemoveWorktreeResponse__Output): string[] =>
  at_stake.map(({ kind, what }) => `${kind ?? ''} ${what ?? ''}`).toSorted();

/** Content, kind and mode of everything in a folder, but for git's own. */
function picture(folder: string, below = ''): Record<string, string> {
  const entries: Record<string, string> = {};
  for (const name of readdirSync(join(folder, below), { encoding: 'latin1' })) {
    const path = below === '' ? name : `${below}/${name}`;
    const full = Buffer.from(`${folder}/${path}`, 'latin1');
    const found = lstatSync(full);
    if (path === '.git') continue;
    if (found.isDirectory()) Object.assign(entries, picture(folder, path));
    else if (found.isSymbolicLink()) entries[path] = `-> ${readlinkSync(full)}`;
    else entries[path] = `${(found.mode & 0o777).toString(8)} ${readFileSync(full, 'base64')}`;
  }
  return entries;
}

describe('a removal', () => {
  it('lists all that it would lose, and loses nothing', async () => {
    const { id, path, repository, branch } = await start({
      a: '1\n',
      b: '1\n',
      c: '1\n',
      '.gitignore': '*.log\nnode_modules/\nkept/\n',
    });
    write(path, {
      a: '2\n',
      b: '2\n',
      new: 'x',
      'deep/er/new': 'x',
      'x.log': 'x',
      'node_modules/m/i.js': 'x',
      'kept/1': 'x',
    });
    git(path, 'add', 'b');
    git(path, 'update-index', '--skip-worktree', 'c');
    write(path, { c: 'hidden' });
    const before = picture(path);
    expect(stakes(await runner.remove(id))).toEqual([
      'ignored kept/',
      'ignored x.log',
      'staged b',
      'unstaged a',
      'unstaged c',
      'untracked deep/er/new',
      'untracked new',
    ]);
    expect(picture(path)).toEqual(before);
    git(path, 'update-index', '--no-skip-worktree', 'c');
    git(path, 'stash', '-q', '-u', '-m', 'for later');
    git(path, 'clean', '-fdxq');
    expect(stakes(await runner.remove(id))).toEqual(['stash stash@{0}']);
    expect(await runner.status(id)).toMatchObject({ stashes: 1 });
    git(path, 'stash', 'drop', '-q');
    write(path, { a: 'committed' });
    git(path, 'commit', '-qam', 'local');
    const commit = git(path, 'rev-parse', 'HEAD');
    expect(stakes(await runner.remove(id))).toEqual([`unpushed_commits ${commit}`]);
    git(path, 'checkout', '-q', '--detach');
    git(path, 'commit', '-q', '--allow-empty', '-m', 'on no branch');
    const orphan = git(path, 'rev-parse', 'HEAD');
    expect(stakes(await runner.remove(id))).toHaveLength(2);
    git(path, 'checkout', '-q', branch);
    git(repository, 'merge', '-q', branch);
    // Only the log of its HEAD leads to that commit now.
    expect(stakes(await runner.remove(id))).toEqual([`unpushed_commits ${orphan}`]);
    git(path, 'reflog', 'expire', '--expire=now', 'HEAD');
    expect(await runner.remove(id, { delete_branch: true })).toMatchObject({ removed: true, branch_deleted: true });
  });

  it('counts files copied at the creation only once they are changed', async () => {
    const repository = runner.repository('copies', { a: '1\n', '.gitignore': '.env\n' });
    write(repository, { '.env': 'SECRET=1' });
    const { worktree, copied } = await runner.create(repository, { copy: ['.env'] });
    expect(copied).toEqual(['.env']);
    write(worktree.path, { '.env': 'SECRET=2' });
    expect(stakes(await runner.remove(worktree.id))).toEqual(['ignored .env']);
    write(worktree.path, { '.env': 'SECRET=1' });
    expect(await runner.remove(worktree.id)).toMatchObject({ removed: true });
  });

  it('by force puts everything aside first: every byte, mode and link comes back with plain git', async () => {
    const { id, path, repository, branch } = await start({
      a: '1\n',
      gone: 'x\n',
      'dir/b': '1\n',
      '.gitignore': '*.log\n',
    });
    git(path, 'commit', '-q', '--allow-empty', '-m', 'only here');
    const head = git(path, 'rev-parse', 'HEAD');
    write(path, { a: 'staged\n' });
    git(path, 'add', 'a');
    write(path, {
      a: 'unstaged\r\nwith \0 and no end',
      'new line\n"quoted" ü': 'x',
      'deep/new': 'y',
      'my.log': 'z',
      tool: '#!',
    });
    writeFileSync(Buffer.concat([Buffer.from(`${path}/not-utf8-`), Buffer.from([0xff, 0xfe])]), 'bytes');
    git(path, 'rm', '-q', '--cached', 'gone');
    chmodSync(join(path, 'dir/b'), 0o755);
    chmodSync(join(path, 'tool'), 0o755);
    chmodSync(join(path, 'my.log'), 0o600);
    symlinkSync('/etc/passwd', join(path, 'link'));
    const before = picture(path);
    const staged = git(path, 'ls-files', '-s');

    const { removed, rescue, branch_deleted } = await runner.remove(id, { force: true, delete_branch: true });
    expect([removed, branch_deleted, existsSync(path)]).toEqual([true, false, false]);
    expect(git(repository, 'branch', '--list', branch)).toBe(`  ${branch}`);
    expect(rescue).toMatchObject({
      worktree_id: id,
      repository,
      branch,
      ref: `refs/gatehouse/rescue/${rescue?.id ?? ''}`,
    });
    expect((rescue?.kept_until_ms ?? 0) - (rescue?.created_at_ms ?? 0)).toBe(7 * 24 * 3600 * 1000);
    expect(await runner.call<ListRescuesResponse__Output>('ListRescues', {})).toEqual({
      rescues: [rescue],
      more: false,
    });
    const bundle = rescue?.bundle ?? '';
    expect([statSync(bundle).size, statSync(bundle).mode & 0o777]).toEqual([rescue?.bundle_bytes, 0o600]);
    expect(git(repository, 'bundle', 'verify', bundle)).toContain(rescue?.ref);

    // As the documentation says.
    const ref = rescue?.ref ?? '';
    const back = join(runner.folder, 'back');
    git(repository, 'worktree', 'add', '-q', '--detach', back, `${ref}^1`);
    git(back, 'stash', 'apply', '-q', '--index', ref);
    expect(git(back, 'log', '-1', '--format=%B', ref)).toContain('0600 "my.log"');
    chmodSync(join(back, 'my.log'), 0o600);
    expect(picture(back)).toEqual(before);
    expect(git(back, 'ls-files', '-s')).toBe(staged);
    expect(git(back, 'rev-parse', 'HEAD')).toBe(head);
  });

  it('by force keeps both sides of a conflict and what was staged in it', async () => {
    const { id, path, repository } = await start({ a: '1\n' });
    write(repository, { a: 'theirs\n' });
    git(repository, 'commit', '-qam', 'theirs');
    write(path, { a: 'mine\n' });
    git(path, 'commit', '-qam', 'mine');
    expect(() => git(path, 'merge', 'main')).toThrow();
    const conflict = readFileSync(join(path, 'a'), 'utf8');
    expect(stakes(await runner.remove(id))).toContain('operation merge');
    const { rescue } = await runner.remove(id, { force: true });
    expect(git(repository, 'show', `${rescue?.ref ?? ''}:a`)).toBe(conflict.trimEnd());
    expect(git(repository, 'show', `${rescue?.ref ?? ''}^2:a`)).toBe('mine');
  });

  it('by force keeps repositories inside the worktree as they are', async () => {
    const { id, path } = await start();
    makeRepository(join(path, 'inner'), { deep: 'content' });
    const commit = git(join(path, 'inner'), 'rev-parse', 'HEAD');
    expect(stakes(await runner.remove(id))).toEqual(['submodule inner/']);
    const { rescue } = await runner.remove(id, { force: true });
    const kept = join(runner.worktrees, '.rescues', `${rescue?.id ?? ''}.nested`, '0');
    expect(git(kept, 'rev-parse', 'HEAD')).toBe(commit);
    expect(readFileSync(join(kept, 'deep'), 'utf8')).toBe('content');
  });

  it('takes away folders that are read-only or very deep, and nothing that links point at', async () => {
    const { id, path } = await start({ '.gitignore': 'build/\n' });
    const outside = join(runner.folder, 'precious');
    write(outside, { file: 'x' });
    write(path, { 'build/locked/file': 'x' });
    symlinkSync(outside, join(path, 'build', 'link'));
    mkdirSync(join(path, 'build', ...Array.from({ length: 300 }, () => 'd')), { recursive: true });
    chmodSync(join(path, 'build', 'locked'), 0o500);
    expect(await runner.remove(id)).toMatchObject({ removed: true });
    expect(existsSync(path)).toBe(false);
    expect(readFileSync(join(outside, 'file'), 'utf8')).toBe('x');
  });

  it('of a worktree whose folder somebody deleted tells only of its commits', async () => {
    const { id, path, repository } = await start();
    git(path, 'commit', '-q', '--allow-empty', '-m', 'only here');
    renameSync(path, join(runner.folder, 'moved-away'));
    expect(await refusal(runner.status(id))).toBe('WORKTREE_NOT_READY');
    expect((await runner.remove(id)).at_stake).toMatchObject([{ kind: 'unpushed_commits' }]);
    expect(await runner.remove(id, { force: true, delete_branch: true })).toMatchObject({
      removed: true,
      branch_deleted: false,
    });
    expect(git(repository, 'worktree', 'list').split('\n')).toHaveLength(1);
  });

  it('of an adopted branch leaves the branch', async () => {
    const repository = runner.repository('adopted');
    git(repository, 'branch', 'feature');
    const { worktree } = await runner.create(repository, { existing_branch: 'feature' });
    expect(worktree).toMatchObject({ branch: 'feature', adopted_branch: true });
    expect(await refusal(runner.create(repository, { existing_branch: 'feature' }))).toBe('BRANCH_IN_USE');
    expect(await refusal(runner.create(repository, { existing_branch: 'main' }))).toBe('BRANCH_IN_USE');
    expect(await runner.remove(worktree.id, { delete_branch: true })).toMatchObject({
      removed: true,
      branch_deleted: false,
    });
    expect(git(repository, 'branch', '--list', 'feature')).toBe('  feature');
  });
});
