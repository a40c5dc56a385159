/** The parts of git on the runner that are plain functions, and limits that a process would take too long to reach. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { messageOf } from '../../src/runner/git/commit.js';
import { parseGatehouseFile } from '../../src/runner/git/gatehouse-file.js';
import { matchesGlob } from '../../src/runner/git/globs.js';
import { Locks, MAX_WAITING } from '../../src/runner/git/locks.js';
import { slugOf, uniqueName } from '../../src/runner/git/names.js';
import { networkError, transportsOf } from '../../src/runner/git/remote.js';
import { runGit } from '../../src/runner/git/run.js';
import { baseEnvironment } from '../../src/runner/git/settings.js';
import { parseStatus } from '../../src/runner/git/status-parser.js';
import { git, makeRepository } from './git-runner.js';

const folder = mkdtempSync(join(tmpdir(), 'gatehouse-git-parts-'));
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('a name', () => {
  it('becomes a slug that is safe everywhere', () => {
    expect(['Fix Login', 'Ärger & Öl', '../../etc', '---', '', '日本', 'x'.repeat(99)].map(slugOf)).toEqual([
      ...['fix-login', 'arger-ol', 'etc', 'worktree', 'worktree', 'worktree', 'x'.repeat(40)],
    ]);
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        expect(uniqueName(name)).toMatch(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?-[a-z0-9]{6}$/);
      }),
    );
  });
});

describe('a glob', () => {
  it.each([
    ['*.txt', 'a.txt', true],
    ['*.txt', 'dir/a.txt', false],
    ['**/*.txt', 'dir/deep/a.txt', true],
    ['**/*.txt', 'a.txt', true],
    ['dir/**', 'dir/a/b', true],
    ['a?c', 'abc', true],
    ['a?c', 'a/c', false],
    ['*', '.hidden', false],
    ['.*', '.hidden', true],
    ['.*', '.env', false],
    ['.env*', '.env.local', true],
    ['**', '.env', false],
    ['**/.env', 'app/.env', true],
    ['**/x', '.git/x', false],
    ['[a]', 'a', false],
    ['*a*a*a*a*a*a*a*a*b', 'a'.repeat(5000), false],
  ])('%s and %s: %s', (glob, path, matches) => {
    expect(matchesGlob(glob, path)).toBe(matches);
  });
});

describe('.gatehouse.yaml', () => {
  it('says what to copy and to run, and nothing else', () => {
    const text = 'copy: [".env*"]\nsetup: [npm, ci]\nteardown: [make, clean]\n';
    expect(parseGatehouseFile(text)).toEqual({ copy: ['.env*'], setup: ['npm', 'ci'], teardown: ['make', 'clean'] });
    expect(parseGatehouseFile('')).toEqual({ copy: [], setup: [], teardown: [] });
  });
  it.each(['setup: npm ci', 'run: [x]', 'copy: ["../x"]', 'setup: [1]', 'a: 1\na: 2', '[', 'copy: &a [x]\nsetup: *a'])(
    'is refused with its problem: %j',
    (text) => {
      expect(() => parseGatehouseFile(text)).toThrow(/^\.gatehouse\.yaml: \S/);
    },
  );
});

describe('a commit message', () => {
  it('gets its trailers in a paragraph of their own, or in the one that is there', () => {
    const trailers = ['Gatehouse-Session: 1'];
    expect(messageOf({ message: ' Fix\r\n\r\nBody ', trailers })).toBe('Fix\n\nBody\n\nGatehouse-Session: 1\n');
    expect(messageOf({ message: 'Fix\n\nRefs: #1', trailers })).toBe('Fix\n\nRefs: #1\nGatehouse-Session: 1\n');
    expect(messageOf({ message: 'fix: this', trailers })).toBe('fix: this\n\nGatehouse-Session: 1\n');
  });
});

describe('an address', () => {
  it('is of a transport that is allowed, or refused', () => {
    expect(['https://h/x', 'ssh://h/x', 'git@h:x/y', 'h:x'].map(transportsOf)).toEqual([
      ['https'],
      ['ssh'],
      ['ssh'],
      ['ssh'],
    ]);
    for (const url of [
      'http://h/x',
      'git://h/x',
      'ext::sh',
      'ftp://h',
      '-oProxyCommand=x:y',
      './x',
      '',
      'ssh://-x/y',
    ]) {
      expect(() => transportsOf(url)).toThrow('not allowed');
    }
  });
  it.each([
    ['', '!\trefs/heads/x:refs/heads/x\t[rejected] (fetch first)\n', 'REMOTE_REJECTED'],
    ["fatal: Authentication failed for 'https://h/x'", '', 'REMOTE_REJECTED'],
    ['git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.', '', 'REMOTE_REJECTED'],
    ['fatal: could not read Username for x: terminal prompts disabled', '', 'REMOTE_REJECTED'],
    ['fatal: unable to access x: Could not resolve host: h', '', 'REMOTE_UNREACHABLE'],
    ['ssh: connect to host h port 22: Connection refused', '', 'REMOTE_UNREACHABLE'],
  ])('that fails with %j is told as %s%s', (stderr, stdout, code) => {
    expect(networkError({ code: 1, stderr, stdout: Buffer.from(stdout), truncated: false }).code).toBe(code);
  });
});

describe('a call of git', () => {
  const env = baseEnvironment({ ...process.env, GIT_DIR: '/nonexistent' }, {});
  const run = (args: string[], rest = {}): ReturnType<typeof runGit> => runGit({ args, env, cwd: folder, ...rest });

  it('is ended after its time, with everything that it started', async () => {
    const mark = join(folder, 'late');
    const sleeper = ['-c', `alias.wait=!sleep 60; touch ${mark}`, 'wait'];
    await expect(run(sleeper, { timeoutMs: 300 })).rejects.toMatchObject({ code: 'GIT_TIMEOUT' });
  });
  it('is ended when it says more than it may', async () => {
    const { stdout, truncated } = await run(['-c', 'alias.flood=!yes', 'flood'], { maxBytes: 1000 });
    expect([stdout.length, truncated]).toEqual([1000, true]);
  });
  it('ends after its time, though a helper that left its group holds its output', async () => {
    const pid = join(folder, 'helper');
    const helper = `!setsid sh -c 'echo $$ > ${pid}; exec sleep 60' & sleep 60`;
    const call = run(['-c', `alias.leave=${helper}`, 'leave'], { timeoutMs: 2000 });
    await expect(call).rejects.toMatchObject({ code: 'GIT_TIMEOUT' });
    process.kill(Number(readFileSync(pid, 'utf8')), 'SIGKILL');
  });
  it('that uses the network leaves room for those that do not', async () => {
    const stop = join(folder, 'stop');
    const wait = ['-c', `alias.hang=!until [ -e ${stop} ]; do sleep 0.05; done`, 'hang'];
    const hanging = Array.from({ length: 20 }, () => run(wait, { network: true }));
    expect(await run(['version'])).toMatchObject({ code: 0 });
    writeFileSync(stop, '');
    await Promise.all(hanging);
  });
  it('waits for its turn, and is refused when too many wait', async () => {
    const calls = Array.from({ length: 1200 }, () =>
      run(['version']).then(
        () => 'done',
        (error: unknown) => (error as { code: string }).code,
      ),
    );
    const ends = await Promise.all(calls);
    expect(ends.filter((end) => end === 'WORKTREE_LIMIT')).toHaveLength(1200 - 1016);
    expect(ends.filter((end) => end === 'done')).toHaveLength(1016);
  });
});

describe('a repository', () => {
  it('does one thing at a time, in order, for so many at most', async () => {
    const locks = new Locks();
    const order: number[] = [];
    const gate = Promise.withResolvers<undefined>();
    const calls = Array.from({ length: MAX_WAITING + 1 }, (_, number) =>
      locks
        .hold('a', async () => {
          await gate.promise;
          order.push(number);
          if (number === 3) throw new Error('fails alone');
        })
        .catch(() => undefined),
    );
    await expect(locks.hold('a', () => Promise.resolve())).rejects.toMatchObject({ code: 'WORKTREE_LIMIT' });
    expect(await locks.hold('b', () => Promise.resolve('free'))).toBe('free');
    gate.resolve(undefined);
    await Promise.all(calls);
    expect(order).toEqual(calls.map((_, number) => number));
    expect(await locks.hold('a', () => Promise.resolve('free'))).toBe('free');
  });
});

describe('a status', () => {
  const ACTIONS = ['untracked', 'added', 'modified', 'deleted', 'renamed'] as const;
  const EXPECTED = { untracked: '??', added: 'A.', modified: '.M', deleted: '.D', renamed: 'R.' };
  const name = fc
    .uint8Array({ minLength: 1, maxLength: 20 })
    .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 || byte === 0x2f ? 0x20 : byte))))
    .filter((bytes) => !/^(\.{1,2}$|\.git|readme)/i.test(bytes.toString('latin1')));
  const special = fc
    .constantFrom('-rf', ' lead', 'trail ', 'a"b', "a'b", 'a\nb', 'tab\there', 'ü', 'a -> b', '\\')
    .map((text) => Buffer.from(text));
  const file = fc.record({ name: fc.oneof(name, special), action: fc.constantFrom(...ACTIONS) });
  const files = fc.uniqueArray(file, { minLength: 1, maxLength: 8, selector: (each) => each.name.toString('latin1') });

  it('of random changes to files of random names, bytes that are no text too, is read as it is', () => {
    let round = 0;
    fc.assert(
      fc.property(files, (list) => {
        round += 1;
        const path = makeRepository(join(folder, `random-${String(round)}`));
        const at = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from(`${path}/`), bytes]);
        const renamed = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from('renamed '), bytes]);
        const put = (names: readonly Buffer[]): void => {
          const input = Buffer.concat(names.flatMap((each) => [each, Buffer.from([0])]));
          raw(path, ['update-index', '--add', '--remove', '-z', '--stdin'], input);
        };
        const old = list.filter(({ action }) => ['modified', 'deleted', 'renamed'].includes(action));
        for (const each of old) writeFileSync(at(each.name), each.name.toString('hex').repeat(50));
        put(old.map((each) => each.name));
        git(path, 'commit', '-q', '--allow-empty', '-m', 'second');
        for (const { name: bytes, action } of list) {
          if (action === 'renamed') renameSync(at(bytes), at(renamed(bytes)));
          else if (action === 'deleted') rmSync(at(bytes));
          else writeFileSync(at(bytes), `new ${bytes.toString('hex')}`);
          if (action === 'renamed') put([bytes, renamed(bytes)]);
          if (action === 'added') put([bytes]);
        }
        const found = parseStatus(raw(path, ['status', '--porcelain=v2', '-z', '--branch', '--untracked-files=all']));
        const shown = found.changes.map((each) => {
          const from = each.oldPath ? [each.oldPath.toString('latin1')] : [];
          return [`${each.index}${each.worktree}`, each.path.toString('latin1'), ...from];
        });
        const expected = list.map(({ name: bytes, action }) => {
          const own = bytes.toString('latin1');
          return action === 'renamed' ? ['R.', `renamed ${own}`, own] : [EXPECTED[action], own];
        });
        expect(shown.map(String).toSorted()).toEqual(expected.map(String).toSorted());
        expect(found.branch).toBe('main');
      }),
      { numRuns: 20 },
    );
  });

  it('of a repository without a commit, of a detached HEAD and of a conflict says so', () => {
    const path = join(folder, 'states');
    mkdirSync(path);
    const read = (): ReturnType<typeof parseStatus> =>
      parseStatus(raw(path, ['status', '--porcelain=v2', '-z', '--branch']));
    git(path, 'init', '-q', '--initial-branch=main');
    expect(read()).toMatchObject({ head: undefined, branch: 'main', changes: [] });
    writeFileSync(join(path, 'a'), '1\n');
    git(path, 'add', 'a');
    git(path, 'commit', '-qm', 'one');
    git(path, 'checkout', '-q', '--detach');
    writeFileSync(join(path, 'a'), '2\n');
    git(path, 'commit', '-qam', 'two');
    expect(read()).toMatchObject({ head: git(path, 'rev-parse', 'HEAD'), branch: undefined });
    const second = git(path, 'rev-parse', 'HEAD');
    git(path, 'checkout', '-q', 'main');
    writeFileSync(join(path, 'a'), '3\n');
    git(path, 'commit', '-qam', 'three');
    expect(() => git(path, 'merge', second)).toThrow();
    expect(read().changes).toMatchObject([{ kind: 'unmerged', index: 'U', worktree: 'U' }]);
  });

  it('that was cut off is read as far as it goes', () => {
    const whole = Buffer.from('# branch.oid 0\0? one\0? two\0');
    for (let length = 0; length <= whole.length; length += 1) {
      const { changes } = parseStatus(whole.subarray(0, length));
      expect(changes.length).toBe(length >= 27 ? 2 : length >= 21 ? 1 : 0);
    }
    expect(() => parseStatus(Buffer.from('x y\0'))).toThrow('not known');
    expect(() => parseStatus(Buffer.from('1 .M N...\0'))).toThrow('too short');
  });
});

/** Plain git, with bytes in and out. */
function raw(cwd: string, args: readonly string[], input = Buffer.alloc(0)): Buffer {
  const env = { PATH: process.env['PATH'], HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1' };
  return execFileSync('git', args, { cwd, env, input });
}
