import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { parseOptions } from '../../src/runner/options.js';
import { sandboxCommand } from '../../src/runner/sandbox/command.js';
import { repositoryPlace, type WorktreePlace, worktreePlace } from '../../src/runner/sandbox/place.js';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-places-')));
afterAll(() => {
  rmSync(root, { recursive: true });
});
const FOLDERS = ['a/.git/objects', 'a/x/.git/objects', 'a/data', 'b', 'c/.git/objects', 'd/.git/objects', 'd/home'];
for (const folder of FOLDERS) mkdirSync(join(root, folder), { recursive: true });
symlinkSync('/etc', join(root, 'a', 'etc'));
symlinkSync(join(root, 'c'), join(root, 'a', 'to-c'));

const place = (cwd: string): unknown =>
  repositoryPlace(cwd, [root], [join(root, 'a', 'data')], join(root, 'd', 'home'));

/** A repository is written to; the parts of its .git are mount points, so that nothing can be put in their place. */
const shown = (name: string): string[] =>
  ['', '.git', '.git/objects', '.git/objects/info', '.git/logs'].map((each) => join(root, name, each));

/** A worktree called `w`, of a repository that has all that git makes. */
function worktreeOf(repository: string): WorktreePlace {
  const [path, gitDir] = [join(root, repository, 'tree'), join(root, repository, '.git')];
  for (const folder of [path, join(gitDir, 'objects'), join(gitDir, 'refs'), join(gitDir, 'worktrees/w')]) {
    mkdirSync(folder, { recursive: true });
  }
  for (const file of [
    join(path, '.git'),
    ...['commondir', 'gitdir'].map((name) => join(gitDir, 'worktrees/w', name)),
  ]) {
    writeFileSync(file, '');
  }
  return { path, gitDir, name: 'w' };
}

describe('the folder of a sandbox', () => {
  it('is the outermost repository, whatever a session made in it', () => {
    for (const cwd of ['a', 'a/x', 'a/x/.git']) {
      expect(place(join(root, cwd))).toMatchObject({ cwd: join(root, cwd), writable: shown('a') });
    }
    // By its real path: this is the other repository, and is all that is shown.
    expect(place(join(root, 'a', 'to-c'))).toMatchObject({ cwd: join(root, 'c'), writable: shown('c') });
  });

  it.each(['', 'b', 'a/etc', 'a/data', '..', '../..', 'd', 'd/home'])('is not %j of the project root', (cwd) => {
    expect(() => place(join(root, cwd))).toThrow('in a sandbox');
  });

  it('of a worktree has no more of its repository than git writes', () => {
    const asked = worktreeOf('e');
    const found = worktreePlace(asked);
    expect(found.writable).toEqual([
      asked.path,
      ...['worktrees/w', 'objects', 'objects/info', 'refs', 'logs'].map((each) => join(asked.gitDir, each)),
    ]);
    const kept = ['config.worktree', 'hooks', 'info', 'commondir', 'gitdir'].map((each) => `worktrees/w/${each}`);
    expect(found.kept).toEqual([
      join(asked.path, '.git'),
      ...[...kept, 'objects/info/alternates'].map((each) => join(asked.gitDir, each)),
    ]);
    for (const path of found.kept) expect(existsSync(path)).toBe(true);
  });

  it.each([
    ...['worktrees/w/info', 'worktrees/w/hooks', 'worktrees/w/config.worktree', 'worktrees/w/gitdir', 'worktrees/w'],
    ...['worktrees', 'objects', 'objects/info', 'objects/info/alternates', 'refs', 'logs'],
  ])('of a worktree is none when %s is a symbolic link', (name) => {
    const asked = worktreeOf(`linked-${name.replaceAll('/', '-')}`);
    const path = join(asked.gitDir, name);
    mkdirSync(dirname(path), { recursive: true });
    rmSync(path, { recursive: true, force: true });
    symlinkSync('../../../../../../b', path);
    expect(() => worktreePlace(asked)).toThrow('is missing or a symbolic link');
    expect(readdirSync(join(root, 'b'))).toEqual([]);
  });

  it.each(['config', 'config.worktree', 'hooks', 'info', 'worktrees', 'logs', 'objects', 'objects/info'])(
    'of a repository is none when %s is a symbolic link',
    (name) => {
      const repository = join(root, `repository-${name.replaceAll('/', '-')}`);
      const path = join(repository, '.git', name);
      mkdirSync(join(repository, '.git', 'objects'), { recursive: true });
      rmSync(path, { recursive: true, force: true });
      mkdirSync(dirname(path), { recursive: true });
      symlinkSync('../../../../b', path);
      expect(() => place(repository)).toThrow('is missing or a symbolic link');
      expect(readdirSync(join(root, 'b'))).toEqual([]);
    },
  );
});

describe('the command of a sandbox', () => {
  it('shows what is inside of what is hidden, and hides what is inside of what is shown', () => {
    const command = sandboxCommand(
      {
        ...{ cwd: '/r', home: '/home/me', readOnly: ['/opt/x'], kept: ['/r/.git/config'] },
        ...{ writable: ['/r/data/worktrees/w', '/r'], hidden: ['/r/data', '/opt/x/secret', '/elsewhere'] },
      },
      ['--die', 'a b'],
    );
    const text = command.join(' ');
    expect(text).toContain(
      '--tmpfs /home/me --ro-bind /opt/x /opt/x --tmpfs /opt/x/secret --bind /r /r --tmpfs /r/data ' +
        '--bind /r/data/worktrees/w /r/data/worktrees/w --ro-bind /r/.git/config /r/.git/config --remount-ro / --chdir /r --',
    );
    expect(text).not.toContain('/elsewhere');
    // What is run is never read as an option of ours.
    expect(command.slice(-3)).toEqual(['--', '--die', 'a b']);
  });

  it.each([
    ['--sandbox', 'docker'],
    ['--sandbox-read-only', 'relative'],
    ['--sockets-for-group', 'no-such-group'],
  ])('is not made by a runner with %s %s', (flag, value) => {
    expect(() => parseOptions(['--dir', '/x', flag, value])).toThrow(flag);
  });
});
