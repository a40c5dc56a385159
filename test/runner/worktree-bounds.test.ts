/** What one caller can make the runner do and say at most. */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { GetDiffResponse__Output } from '../../src/generated/gatehouse/runner/v1/GetDiffResponse.js';
import type { GetLogResponse__Output } from '../../src/generated/gatehouse/runner/v1/GetLogResponse.js';
import type { ListRescuesResponse__Output } from '../../src/generated/gatehouse/runner/v1/ListRescuesResponse.js';
import type { ListWorktreesResponse__Output } from '../../src/generated/gatehouse/runner/v1/ListWorktreesResponse.js';
import { MAX_ANSWER_BYTES, pageWithin } from '../../src/runner/git/bounded.js';
import type { Entry } from '../../src/runner/git/journal.js';
import { Places } from '../../src/runner/git/places.js';
import { listRepositories } from '../../src/runner/git/repositories.js';
import { baseEnvironment } from '../../src/runner/git/settings.js';
import { readStatus } from '../../src/runner/git/status.js';
import { Worktree } from '../../src/runner/git/worktree.js';
import { allPages } from '../../src/runner-link/runner-worktree-client.js';
import { git, GitRunner, type Made, write } from './git-runner.js';

/** Of a session's output so much is kept. */
const RING_BYTES = 128 * 1024;

let runner: GitRunner;
let made = 0;
beforeAll(async () => {
  runner = await GitRunner.start('--ring-bytes', String(RING_BYTES));
});
afterAll(() => runner.stop());

const journalOf = (id: string): string => join(runner.worktrees, '.journal', `${id}.json`);

async function start(): Promise<Made> {
  made += 1;
  return (await runner.create(runner.repository(`bounds-${String(made)}`))).worktree;
}

describe('an answer', () => {
  it('stays small, whatever there is to tell', async () => {
    const { id, path } = await start();
    const name = (number: number): string =>
      [String(number), ...Array.from({ length: 14 }, () => 'x'.repeat(240))].join('/');
    for (let number = 0; number < 1000; number += 1) write(path, { [name(number)]: '' });
    const status = await runner.status(id);
    expect([status.truncated, (status.files?.length ?? 0) > 400]).toEqual([true, true]);
    const { at_stake = [], truncated } = await runner.remove(id);
    expect([truncated, at_stake.length > 400, at_stake.length < 1000]).toEqual([true, true, true]);
    git(path, 'add', '--all');
    const diff = await runner.call<GetDiffResponse__Output>('GetDiff', { id, path: name(1) });
    expect([diff.truncated, (diff.files?.length ?? 0) > 200]).toEqual([true, true]);
    git(path, 'commit', '-qm', 'many');
    const message = join(runner.folder, 'message');
    write(runner.folder, { message: `long\n\n${'y'.repeat(100_000)}` });
    for (let number = 0; number < 30; number += 1) git(path, 'commit', '-q', '--allow-empty', '-F', message);
    const log = await runner.call<GetLogResponse__Output>('GetLog', { id });
    expect([log.more, (log.commits?.length ?? 0) > 10, (log.commits?.length ?? 0) < 30]).toEqual([true, true, true]);
    const after = log.commits?.at(-1)?.id;
    const rest = await runner.call<GetLogResponse__Output>('GetLog', { id, after });
    expect((log.commits?.length ?? 0) + (rest.commits?.length ?? 0)).toBe(32);
  });

  it('that lists worktrees or rescues comes in pages of which none is too large, and all are in one of them', async () => {
    const { id } = await start();
    const entry = JSON.parse(readFileSync(journalOf(id), 'utf8')) as Entry;
    const ids: string[] = Array.from({ length: 600 }, () => randomUUID());
    const long = `/${'x'.repeat(4000)}`;
    const rescue = {
      ...{ version: 1, worktreeId: id, repository: long, name: 'x', branch: 'x', ref: 'refs/gatehouse/rescue/x' },
      ...{ commit: 'x', bundle: '/x', bundleBytes: 1, createdAt: 1, keptUntil: Date.now() + 3_600_000 },
    };
    const rescueOf = (each: string): string => join(runner.worktrees, '.rescues', `${each}.json`);
    for (const each of ids) {
      writeFileSync(journalOf(each), JSON.stringify({ ...entry, id: each, path: long }));
      writeFileSync(rescueOf(each), JSON.stringify({ ...rescue, id: each }));
    }
    const sizes: number[] = [];
    const all = (method: string, field: 'worktrees' | 'rescues'): Promise<{ id?: string }[]> =>
      allPages(async (after) => {
        const answer = await runner.call<ListWorktreesResponse__Output & ListRescuesResponse__Output>(method, {
          after,
        });
        const page = answer[field] ?? [];
        sizes.push(page.length);
        return { page, more: answer.more ?? false };
      });
    const found = async (listed: Promise<{ id?: string }[]>): Promise<string[]> =>
      (await listed).map((each) => each.id ?? '').filter((each) => ids.includes(each));
    expect(await found(all('ListWorktrees', 'worktrees'))).toEqual(ids.toSorted());
    expect(await found(all('ListRescues', 'rescues'))).toEqual(ids.toSorted());
    expect([sizes.length, Math.max(...sizes) < 520]).toEqual([4, true]);
    for (const each of ids) for (const file of [journalOf(each), rescueOf(each)]) rmSync(file);
  });

  it('has one entry of a list at least, so that its pages come to an end, which they must', async () => {
    const large = { id: 'b', text: 'x'.repeat(MAX_ANSWER_BYTES) };
    const list = [large, { id: 'a', text: '' }];
    const page = (after: string): unknown => pageWithin(list, after, ({ text }) => [text]);
    expect([page(''), page('a'), page('b')]).toEqual([
      { page: [list[1]], more: true },
      { page: [large], more: false },
      { page: [], more: false },
    ]);
    const endless = allPages(() => Promise.resolve({ page: [{ id: 'a' }], more: true }));
    await expect(endless).rejects.toMatchObject({ code: 'RUNNER_UNAVAILABLE' });
  });
});

describe('files that are copied into a worktree', () => {
  /** A new repository with files that git does not follow, asked to copy them all. */
  async function copying(fill: (folder: string) => void): Promise<{ copied: string[]; path: string } | string> {
    made += 1;
    const repository = runner.repository(`copies-${String(made)}`);
    mkdirSync(join(repository, 'local'));
    fill(join(repository, 'local'));
    const before = git(repository, 'for-each-ref');
    try {
      const { copied = [], worktree } = await runner.create(repository, { copy: ['local/**', '*.txt'] });
      return { copied, path: worktree.path };
    } catch (error) {
      // Nothing of what was begun is left.
      expect([git(repository, 'for-each-ref'), git(repository, 'worktree', 'list').split('\n').length]).toEqual([
        before,
        1,
      ]);
      return String(error);
    }
  }

  it('are a thousand at most', async () => {
    const fill = (folder: string): void => {
      for (let number = 0; number < 1001; number += 1) writeFileSync(join(folder, String(number)), '');
    };
    expect(await copying(fill)).toContain('more than 1000 files, 256 MiB or 1 MiB of names');
  });

  it('are 256 MiB at most, and have 1 MiB of names', async () => {
    const large = (folder: string): void => {
      writeFileSync(join(folder, 'large'), '');
      truncateSync(join(folder, 'large'), 256 * 1024 * 1024 + 1);
    };
    expect(await copying(large)).toContain('more than 1000 files, 256 MiB');
    const deep = (folder: string): void => {
      const below = join(folder, ...Array.from({ length: 14 }, () => 'x'.repeat(200)));
      mkdirSync(below, { recursive: true });
      for (let number = 0; number < 400; number += 1) writeFileSync(join(below, String(number)), '');
    };
    expect(await copying(deep)).toContain('1 MiB of names');
  });

  it('are neither links nor behind links, and are not written through one', async () => {
    const outside = join(runner.folder, 'outside');
    write(outside, { secret: 'x', 'folder/secret': 'x' });
    const answer = await copying((folder) => {
      write(folder, { plain: 'x' });
      symlinkSync(join(outside, 'secret'), join(folder, 'link'));
      symlinkSync(join(outside, 'folder'), join(folder, 'to-folder'));
    });
    expect(answer).toMatchObject({ copied: ['local/plain'] });
    // In the new worktree the folder is a link that was committed on its branch.
    const repository = runner.repository('linked');
    git(repository, 'checkout', '-q', '-b', 'with-link');
    symlinkSync(join(outside, 'folder'), join(repository, 'conf'));
    git(repository, 'add', 'conf');
    git(repository, 'commit', '-qm', 'a link');
    git(repository, 'checkout', '-q', 'main');
    write(repository, { 'conf/new': 'from the repository' });
    const { copied = [] } = await runner.create(repository, { base_ref: 'with-link', copy: ['conf/*'] });
    expect([copied, existsSync(join(outside, 'folder', 'new'))]).toEqual([[], false]);
  });
});

describe('a `.gatehouse.yaml`', () => {
  it('is followed in a trusted repository only', async () => {
    const files = { '.gatehouse.yaml': 'copy: [local.txt]\nsetup: [./prepare]\nteardown: [./clear, now]\n' };
    const answers = [];
    for (const name of ['trusted', 'stranger']) {
      const repository = runner.repository(name, { ...files, '.gitignore': 'local.txt\n' });
      write(repository, { 'local.txt': 'x' });
      const { copied = [], setup = [], teardown = [] } = await runner.create(repository);
      answers.push({ copied, setup, teardown });
    }
    expect(answers).toEqual([
      { copied: ['local.txt'], setup: ['./prepare'], teardown: ['./clear', 'now'] },
      { copied: [], setup: [], teardown: [] },
    ]);
  });

  it('whose setup fails or hangs, and says very much, is ended in its time; the end of what it said is kept', async () => {
    const repository = join(runner.projects, 'trusted');
    for (const [end, maxSeconds] of [
      ['exit 3', 0],
      ['sleep 1000', 8],
    ] as const) {
      const setup = ['/bin/sh', '-c', `seq 1 30000; pwd; ${end}`];
      write(repository, { '.gatehouse.yaml': JSON.stringify({ setup }) });
      git(repository, 'commit', '-qam', end);
      const { worktree, setup: command = [] } = await runner.create(repository);
      const rest = { cwd: worktree.path, max_duration_seconds: maxSeconds };
      const { id } = await runner.process.startSession(command, rest);
      const ended = await runner.process.ended(id);
      expect(ended).toMatchObject(maxSeconds === 0 ? { exit_code: 3, reason: 'exited' } : { reason: 'max_duration' });
      const { data, dropped_before = 0 } = await runner.process.read({ id });
      expect(dropped_before).toBeGreaterThan(0);
      expect(data?.length).toBeLessThanOrEqual(RING_BYTES);
      expect(data?.toString()).toContain(`30000\r\n${worktree.path}`);
    }
  });

  it('with a mistake, or too long, refuses the creation, of which nothing is left', async () => {
    const repository = join(runner.projects, 'trusted');
    for (const [text, problem] of [
      ['setup: make\n', 'setup'],
      [`# ${'x'.repeat(64 * 1024)}\n`, 'more than 65536 bytes'],
    ] as const) {
      const before = git(repository, 'for-each-ref', 'refs/heads/gatehouse');
      write(repository, { '.gatehouse.yaml': text });
      git(repository, 'commit', '-qam', 'a mistake');
      await expect(runner.create(repository)).rejects.toThrow(problem);
      expect(git(repository, 'for-each-ref', 'refs/heads/gatehouse')).toBe(before);
    }
  });
});

describe('what takes long', () => {
  const places = (): Places =>
    new Places([runner.projects], [], { env: baseEnvironment(process.env, {}), confined: null });

  it('is done for one worktree once at a time, and for two worktrees in all', async () => {
    const open = async ({ id }: Made): Promise<Worktree> => {
      const entry = JSON.parse(readFileSync(join(runner.worktrees, '.journal', `${id}.json`), 'utf8')) as Entry;
      return Worktree.open(entry, await places().open(entry.repository));
    };
    const worktrees = [await open(await start()), await open(await start()), await open(await start())];
    const count = async (asked: (Worktree | undefined)[]): Promise<string[]> => {
      const calls = asked.map((each) => (each ? readStatus(each, true) : Promise.reject(new Error('none'))));
      return (await Promise.allSettled(calls)).map(({ status }) => status);
    };
    expect(await count([worktrees[0], worktrees[0]])).toEqual(['fulfilled', 'rejected']);
    expect(await count(worktrees)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    for (const worktree of worktrees) {
      expect((await readStatus(worktree, true)).diskBytes).toBeGreaterThan(0);
      worktree.close();
      worktree.repository.close();
    }
  });

  it('is shared by those who ask for the repositories at the same time', async () => {
    const roots = places();
    const first = listRepositories(roots);
    expect(listRepositories(roots)).toBe(first);
    await first;
    const later = listRepositories(roots);
    expect(later).not.toBe(first);
    expect(await later).toEqual(await first);
  });
});
