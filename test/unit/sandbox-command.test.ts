import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { parseOptions } from '../../src/runner/options.js';
import { sandboxCommand } from '../../src/runner/sandbox/command.js';
import { repositoryPlace, worktreePlace } from '../../src/runner/sandbox/place.js';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-places-')));
afterAll(() => {
  rmSync(root, { recursive: true });
});
for (const folder of ['a/.git', 'a/x/.git', 'a/data', 'b', 'c/.git'])
  mkdirSync(join(root, folder), { recursive: true });
symlinkSync('/etc', join(root, 'a', 'etc'));
symlinkSync(join(root, 'c'), join(root, 'a', 'to-c'));

const place = (cwd: string): unknown => repositoryPlace(cwd, [root], [join(root, 'a', 'data')]);

describe('the folder of a sandbox', () => {
  it('is the outermost repository, whatever a session made in it', () => {
    for (const cwd of ['a', 'a/x', 'a/x/.git']) {
      expect(place(join(root, cwd))).toMatchObject({ cwd: join(root, cwd), writable: [join(root, 'a')] });
    }
    // By its real path: this is the other repository, and is all that is shown.
    expect(place(join(root, 'a', 'to-c'))).toMatchObject({ cwd: join(root, 'c'), writable: [join(root, 'c')] });
  });

  it.each(['', 'b', 'a/etc', 'a/data', '..', '../..'])('is not %j of the project root', (cwd) => {
    expect(() => place(join(root, cwd))).toThrow('in a sandbox');
  });

  it('of a worktree has no more of its repository than git writes', () => {
    for (const name of ['objects', 'refs', 'logs', 'hooks']) mkdirSync(join(root, 'c/.git', name), { recursive: true });
    const found = worktreePlace({ path: join(root, 'b'), gitDir: join(root, 'c/.git'), name: 'w' });
    expect(found.writable).toEqual(
      ['b', 'c/.git/worktrees/w', 'c/.git/objects', 'c/.git/refs', 'c/.git/logs'].map((each) => join(root, each)),
    );
    expect(found.kept).toContain(join(root, 'b/.git'));
  });
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
        '--bind /r/data/worktrees/w /r/data/worktrees/w --ro-bind-try /r/.git/config /r/.git/config --remount-ro / --chdir /r --',
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
