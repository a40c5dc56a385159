/** What becomes of worktrees whose removal stopped half-way, and of what the runner cannot read. */
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import type { ListRescuesResponse__Output } from '../../src/generated/gatehouse/runner/v1/ListRescuesResponse.js';
import type { ListWorktreesResponse__Output } from '../../src/generated/gatehouse/runner/v1/ListWorktreesResponse.js';
import { findStakes } from '../../src/runner/git/at-stake.js';
import type { Entry } from '../../src/runner/git/journal.js';
import { Places } from '../../src/runner/git/places.js';
import { makeRescue } from '../../src/runner/git/rescue.js';
import { RescueStore } from '../../src/runner/git/rescue-store.js';
import { baseEnvironment } from '../../src/runner/git/settings.js';
import { Worktree } from '../../src/runner/git/worktree.js';
import { git, GitRunner, type Made, makeRepository, write } from './git-runner.js';

let runner: GitRunner;
let made = 0;
beforeAll(async () => {
  runner = await GitRunner.start();
});
afterAll(() => runner.stop());

async function start(files?: Record<string, string>): Promise<Made & { repository: string }> {
  made += 1;
  const repository = runner.repository(`recovery-${String(made)}`, files);
  return { ...(await runner.create(repository)).worktree, repository };
}

const journalOf = (id: string): string => join(runner.worktrees, '.journal', `${id}.json`);

/** As a removal leaves it that began and failed after some of the files were gone. */
function stopHalfWay({ id, path }: Made, gone: string): void {
  const entry = JSON.parse(readFileSync(journalOf(id), 'utf8')) as object;
  const removal = { branchCommit: null, rescue: null, nested: [] };
  writeFileSync(journalOf(id), JSON.stringify({ ...entry, state: 'removing', removal }));
  rmSync(join(path, gone));
}

async function rescuesOf(id: string): Promise<NonNullable<ListRescuesResponse__Output['rescues']>> {
  const { rescues = [] } = await runner.call<ListRescuesResponse__Output>('ListRescues', {});
  return rescues.filter(({ worktree_id }) => worktree_id === id);
}

async function restart(): Promise<void> {
  await runner.kill();
  await runner.run();
  await listed(); // answered once it has looked through everything
}

const listed = async (): Promise<(string | undefined)[]> =>
  ((await runner.call<ListWorktreesResponse__Output>('ListWorktrees', {})).worktrees ?? []).map(({ id }) => id);

describe('a removal that failed half-way', () => {
  it('is ended by the next start, which puts aside first what was written meanwhile', async () => {
    const worktree = await start({ a: '1\n', b: '1\n' });
    stopHalfWay(worktree, 'a');
    write(worktree.path, { late: 'precious', b: 'changed\n' });
    await restart();
    expect(existsSync(worktree.path)).toBe(false);
    const [rescue, ...others] = await rescuesOf(worktree.id);
    expect(others).toEqual([]);
    expect(git(worktree.repository, 'show', `${rescue?.ref ?? ''}^3:late`)).toBe('precious');
    expect(git(worktree.repository, 'show', `${rescue?.ref ?? ''}:b`)).toBe('changed');
    expect(git(worktree.repository, 'worktree', 'list').split('\n')).toHaveLength(1);
  });

  it('goes on when it is asked for again, and makes no rescue when nothing is there', async () => {
    const worktree = await start({ a: '1\n', b: '1\n' });
    stopHalfWay(worktree, 'a');
    expect(await runner.remove(worktree.id)).toMatchObject({ removed: true });
    expect(existsSync(worktree.path)).toBe(false);
    expect(await rescuesOf(worktree.id)).toEqual([]);
  });

  it('answers the rescue that it made first, and keeps a second', async () => {
    const worktree = await start({ a: '1\n', b: '1\n' });
    const { id, path, repository } = worktree;
    write(path, { first: 'first' });
    const before = readFileSync(journalOf(id), 'utf8');
    const { rescue } = await runner.remove(id, { force: true });
    // The same folder, as if it could not be taken away.
    git(repository, 'worktree', 'add', '-q', '-f', path, worktree.branch);
    const removal = { branchCommit: null, rescue: rescue?.id, nested: [] };
    writeFileSync(journalOf(id), JSON.stringify({ ...(JSON.parse(before) as object), state: 'removing', removal }));
    write(path, { second: 'second' });
    expect(await runner.remove(id)).toMatchObject({ removed: true, rescue: { id: rescue?.id } });
    const rescues = await rescuesOf(id);
    expect(rescues.map(({ ref = '' }) => git(repository, 'ls-tree', '--name-only', `${ref}^3`)).toSorted()).toEqual([
      'first',
      'second',
    ]);
  });
});

describe('by force', () => {
  it('commits of a detached HEAD are put aside though the folder is gone', async () => {
    const { id, path, repository } = await start();
    git(path, 'checkout', '-q', '--detach');
    git(path, 'commit', '-q', '--allow-empty', '-m', 'on no branch');
    const commit = git(path, 'rev-parse', 'HEAD');
    renameSync(path, join(runner.folder, 'gone'));
    expect((await runner.remove(id)).at_stake).toEqual([{ kind: 'unpushed_commits', what: commit }]);
    const { rescue } = await runner.remove(id, { force: true });
    expect(git(repository, 'rev-parse', `${rescue?.ref ?? ''}^1`)).toBe(commit);
    expect(git(repository, 'rev-parse', `${rescue?.ref ?? ''}^2^`)).toBe(commit);
  });

  it('a worktree with very many commits is removed all the same', async () => {
    const { id, path, branch, repository, base_commit } = await start();
    const commits = Array.from({ length: 1001 }, (_, number) => {
      const from = number === 0 ? `from ${base_commit}\n` : '';
      return `commit refs/heads/${branch}\ncommitter A <a@b> ${String(number + 1)} +0000\ndata 1\nx\n${from}\n`;
    });
    execFileSync('git', ['fast-import', '--quiet'], { cwd: repository, input: commits.join('') });
    const { removed, truncated } = await runner.remove(id);
    expect([removed, truncated]).toEqual([false, true]);
    const { rescue } = await runner.remove(id, { force: true });
    expect(git(repository, 'rev-list', '--count', `${base_commit}..${rescue?.ref ?? ''}^1`)).toBe('1001');
    expect(existsSync(path)).toBe(false);
  });

  it('a branch that is not merged stays, though it was pushed', async () => {
    const { id, path, branch, repository } = await start();
    git(path, 'commit', '-q', '--allow-empty', '-m', 'pushed');
    git(repository, 'update-ref', `refs/remotes/origin/${branch}`, branch);
    expect(await runner.remove(id, { delete_branch: true })).toMatchObject({ removed: true, branch_deleted: false });
    expect(git(repository, 'branch', '--list', branch)).toBe(`  ${branch}`);
  });
});

describe('a file that cannot be read', () => {
  it('in the journal or among the rescues keeps nothing else from being served', async () => {
    const { id } = await start();
    const rescues = join(runner.worktrees, '.rescues');
    writeFileSync(journalOf('broken'), '{');
    writeFileSync(join(rescues, 'broken.json'), '{"version":2}');
    mkdirSync(join(rescues, 'folder.json'));
    await restart();
    expect(await listed()).toContain(id);
    expect(await listed()).not.toContain('broken');
    await runner.call('ListRescues', {});
    expect(await runner.status(id)).toMatchObject({ detached: false });
    expect(runner.process.output.join('')).toContain('the record of a rescue cannot be read');
    for (const name of ['broken.json', 'folder.json']) rmSync(join(rescues, name), { recursive: true });
    rmSync(journalOf('broken'));
  });
});

describe('a rescue', () => {
  class NoRoomForBundles extends RescueStore {
    override file(id: string, kind: 'json' | 'bundle' | 'index' | 'nested'): string {
      return kind === 'bundle' ? join(super.file(id, 'nested'), 'nowhere', 'bundle') : super.file(id, kind);
    }
  }

  it('is gone after seven days, ref, bundle and all, and so is a ref whose record was never written', async () => {
    const [old, recent] = [await start(), await start()];
    for (const { path } of [old, recent]) {
      write(path, { precious: 'x' });
      write(makeRepository(join(path, 'inner')), { deep: 'x' });
    }
    const { rescue } = await runner.remove(old.id, { force: true });
    const young = (await runner.remove(recent.id, { force: true })).rescue;
    const { repository } = recent;
    const { worktree } = await runner.create(repository);
    const stray = (name: string, date: string): void => {
      const env = { ...process.env, ...{ GIT_AUTHOR_DATE: date, GIT_COMMITTER_DATE: date } };
      const args = ['-c', 'user.name=A', '-c', 'user.email=a@b', 'commit-tree', 'HEAD^{tree}', '-m', 'x'];
      const commit = execFileSync('git', args, { cwd: repository, env, encoding: 'utf8' }).trim();
      git(repository, 'update-ref', `refs/gatehouse/rescue/${name}`, commit);
    };
    stray('long-ago', '2020-01-01T00:00:00Z');
    stray('just-now', new Date().toISOString());
    const rescues = join(runner.worktrees, '.rescues');
    const record = join(rescues, `${rescue?.id ?? ''}.json`);
    const over = { ...(JSON.parse(readFileSync(record, 'utf8')) as object), keptUntil: Date.now() - 1 };
    writeFileSync(record, JSON.stringify(over));
    await restart();
    expect(git(old.repository, 'for-each-ref', 'refs/gatehouse')).toBe('');
    const refs = git(repository, 'for-each-ref', '--format=%(refname)', 'refs/gatehouse').split('\n');
    expect(refs.toSorted()).toEqual(['refs/gatehouse/rescue/just-now', young?.ref].toSorted());
    const names = readdirSync(rescues).filter((name) => name.startsWith(rescue?.id ?? '-'));
    expect([names, existsSync(young?.bundle ?? ''), (await runner.status(worktree.id)).detached]).toEqual([
      [],
      true,
      false,
    ]);
    expect(existsSync(join(rescues, `${young?.id ?? ''}.nested`, '0', 'deep'))).toBe(true);
  });

  it('whose bundle cannot be written leaves nothing', async () => {
    const { id, path, repository } = await start();
    write(path, { precious: 'x' });
    const entry = JSON.parse(readFileSync(journalOf(id), 'utf8')) as Entry;
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-rescue-'));
    const opened = await new Places([runner.projects], [], {
      env: baseEnvironment(process.env, {}),
      confined: null,
    }).open(repository);
    const worktree = await Worktree.open(entry, opened);
    const store = new NoRoomForBundles(folder, pino({ level: 'silent' }));
    const { stakes } = await findStakes(worktree);
    await expect(makeRescue(worktree, stakes, store)).rejects.toMatchObject({ code: 'GIT_FAILED' });
    expect(git(repository, 'for-each-ref', 'refs/gatehouse')).toBe('');
    expect(readdirSync(folder)).toEqual([]);
    worktree.close();
    opened.close();
    rmSync(folder, { recursive: true });
  });

  it.each([
    ['CreateWorktree', { base_ref: 'refs/gatehouse/rescue/x' }],
    ['CreateWorktree', { existing_branch: 'refs/gatehouse/rescue/x' }],
    ['GetDiff', { against: 'refs/gatehouse/rescue/x' }],
  ])('is no ref that a caller may name: %s %j', async (method, wrong) => {
    const { id, repository } = await start();
    const rest = { repository, tenant: 'default', name: 'x', branch_prefix: 'gatehouse/' };
    const request = method === 'CreateWorktree' ? { ...rest, id: 'of-a-rescue', ...wrong } : { id, ...wrong };
    await expect(runner.call(method, request)).rejects.toThrow('not the name of a branch');
  });
});
