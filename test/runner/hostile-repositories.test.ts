/** Repositories that try to make git run a program of theirs, one way each. None of the programs must ever run. */
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { git, type GitRunner, makeRepository, refusal, write } from './git-runner.js';
import { ADA, ALL_DONE, Hostile } from './hostile.js';

let hostile: Hostile;
let runner: GitRunner;
let made = 0;
beforeAll(async () => {
  hostile = await Hostile.start();
  runner = hostile.runner;
});
afterAll(() => runner.stop());
afterEach(() => {
  hostile.forget();
});

describe('a hostile repository runs nothing', () => {
  it('by hooks, its own and those of a remote that is a folder', async () => {
    const repository = hostile.repository();
    hostile.installHooks(join(repository, '.git', 'hooks'));
    hostile.installHooks(`${repository}-remote.git/hooks`);
    expect(await hostile.useAll(repository)).toEqual(ALL_DONE);
    expect(hostile.ran()).toBe('');
  });

  it('by a place for hooks that it configures', async () => {
    const repository = hostile.repository();
    hostile.installHooks(join(repository, 'my-hooks'));
    for (const each of [repository, `${repository}-remote.git`])
      git(each, 'config', 'core.hooksPath', join(repository, 'my-hooks'));
    expect(await hostile.useAll(repository)).toEqual(ALL_DONE);
    expect(hostile.ran()).toBe('');
  });

  const programs = {
    ...{ 'core.fsmonitor': 'P', 'core.pager': 'P', 'core.editor': 'P', 'sequence.editor': 'P', 'pager.log': 'P' },
    ...{ 'diff.external': 'P', 'diff.evil.command': 'P', 'diff.evil.textconv': 'P', 'merge.evil.driver': 'P %A' },
    ...{ 'merge.evil.recursive': 'evil', 'merge.default': 'evil', 'interactive.diffFilter': 'P' },
    ...{ 'commit.gpgSign': 'true', 'gpg.program': 'P', 'log.showSignature': 'true', 'gpg.ssh.program': 'P' },
    ...{ 'gpg.openpgp.program': 'P', 'gpg.ssh.defaultKeyCommand': 'P', 'core.alternateRefsCommand': 'P' },
    ...{ 'trailer.sign.command': 'P', 'trailer.sign.key': 'Signed-off-by', 'trailer.sign.cmd': 'P' },
    ...{ 'alias.status': '!P', 'alias.commit-tree': '!P', 'gc.auto': '1', 'maintenance.auto': 'true' },
    ...{ 'gc.recentObjectsHook': 'P', 'uploadpack.packObjectsHook': 'P', 'core.attributesFile': 'P' },
    ...{ 'submodule.recurse': 'true', 'push.negotiate': 'true' },
  };

  it('by what it configures for work on files, where every call does its work', async () => {
    const repository = hostile.repository({ '.gitattributes': '* diff=evil merge=evil\n' });
    hostile.configure(repository, programs);
    expect(await hostile.useAll(repository)).toEqual(ALL_DONE);
    expect(hostile.ran()).toBe('');
    // The same settings do run it where nobody takes them away.
    write(repository, { 'a.txt': 'for a program\n' });
    git(repository, 'diff');
    expect(() => git(repository, 'commit', '-qam', 'signed')).toThrow();
    for (const name of ['core.fsmonitor', 'diff.evil.command', 'gpg.openpgp.program'])
      expect(hostile.ran()).toContain(name);
  });

  it('by filters, with which files are neither staged nor committed', async () => {
    const repository = hostile.repository({ '.gitattributes': '* filter=evil\n*.bin filter=process\n' });
    hostile.configure(repository, {
      ...{ 'filter.evil.clean': 'P', 'filter.evil.smudge': 'P', 'filter.evil.required': 'true' },
      ...{ 'filter.process.process': 'P' },
    });
    const refused = { Stage: 'GIT_FAILED', Commit: 'GIT_FAILED' };
    expect(await hostile.useAll(repository)).toEqual({ ...ALL_DONE, ...refused });
    expect(hostile.ran()).toBe('');
    write(repository, { 'a.txt': 'for a filter\n' });
    git(repository, 'add', 'a.txt');
    expect(hostile.ran()).toContain('filter.evil.clean');
  });

  const names = ['', 'a.b.clean', 'a=b', 'EVIL', 'ü"]\\'];
  const quoted = (name: string): string => `"${name.replaceAll(/["\\]/g, '\\$&')}"`;
  /** A file of its own for each of the names, which an attribute gives to it. */
  const named = (attribute: string): Record<string, string> => ({
    ...Object.fromEntries(names.map((_, index) => [`${String(index)}.txt`, '1\n'])),
    '.gitattributes': names.map((name, index) => `${String(index)}.txt ${attribute}=${name}\n`).join(''),
  });
  const each = (lines: (program: string) => string, section: string): string =>
    names
      .map((name, index) => `[${section} ${quoted(name)}]\n${lines(`${hostile.program} n${String(index)}`)}`)
      .join('');

  it('by filters, whatever their names are', async () => {
    const repository = hostile.repository(named('filter'));
    hostile.append(
      repository,
      each((program) => `\tclean = ${program}\n\tsmudge = ${program}\n`, 'filter'),
    );
    expect(await hostile.useAll(repository)).toEqual(ALL_DONE);
    expect(hostile.ran()).toBe('');
    git(repository, 'worktree', 'add', '-q', '-b', 'plain', join(runner.folder, `named-${String((made += 1))}`));
    for (const index of names.keys()) expect(hostile.ran()).toContain(` n${String(index)}\n`);
  });

  it('by merge drivers, whatever their names are', async () => {
    const repository = hostile.repository(named('merge'));
    hostile.append(
      repository,
      each((program) => `\tdriver = ${program} %A\n`, 'merge'),
    );
    const { worktree } = await runner.create(repository);
    const files = [...names.keys()].map((index) => `${String(index)}.txt`);
    const change = (text: string): Record<string, string> => Object.fromEntries(files.map((file) => [file, text]));
    write(worktree.path, change('mine\n'));
    await runner.call('Commit', { id: worktree.id, message: 'x', ...ADA, all: true });
    write(repository, change('theirs\n'));
    git(repository, 'commit', '-qam', 'base');
    for (const mode of ['merge', 'rebase']) {
      const answer = await runner.call('Integrate', { id: worktree.id, mode, ...ADA });
      expect(answer).toMatchObject({ conflicts: files });
    }
    expect(hostile.ran()).toBe('');
    git(repository, 'merge-tree', '--write-tree', 'main', worktree.branch);
    for (const index of names.keys()) expect(hostile.ran()).toContain(` n${String(index)} `);
  });

  it.each([
    ['filter', 'smudge'],
    ['merge', 'driver'],
  ])('by a %s whose name is no text: it is refused', async (section, what) => {
    const repository = hostile.repository();
    mkdirSync(join(repository, '.git/info'), { recursive: true });
    writeFileSync(join(repository, '.git/info/attributes'), Buffer.from(`* ${section}=\xff\n`, 'latin1'));
    const { worktree } = await runner.create(repository);
    hostile.append(repository, Buffer.from(`[${section} "\xff"]\n\t${what} = ${hostile.program}\n`, 'latin1'));
    expect(await refusal(runner.create(repository))).toBe('GIT_FAILED');
    expect(await refusal(runner.status(worktree.id))).toBe('GIT_FAILED');
    expect(await runner.create(repository).catch(String)).toContain('no UTF-8');
    expect(hostile.ran()).toBe('');
  });

  it('by hooks that its configuration names: it is refused, and so is a remote', async () => {
    const repository = hostile.repository();
    const { worktree } = await runner.create(repository);
    const hook = `[hook "evil"]\n\tevent = reference-transaction\n\tcommand = ${hostile.program}\n`;
    writeFileSync(`${repository}-remote.git/config`, hook, { flag: 'a' });
    expect(await refusal(runner.call('Push', { id: worktree.id }))).toBe('GIT_FAILED');
    expect(await refusal(runner.create(repository, { fetch: true }))).toBe('GIT_FAILED');
    hostile.append(repository, hook);
    for (const call of ['GetStatus', 'Push', 'RemoveWorktree', 'Stage'])
      expect([call, await refusal(runner.call(call, { id: worktree.id }))]).toEqual([call, 'GIT_FAILED']);
    expect(await runner.create(repository).catch(String)).toContain('names hooks (hook.evil.');
    expect(hostile.ran()).toBe('');
  });

  it('by a submodule, its address and how it is to be updated', async () => {
    const repository = hostile.repository();
    const address = `ext::${hostile.as('submodule')} x`;
    write(repository, { '.gitmodules': `[submodule "s"]\n\tpath = s\n\turl = ${address}\n` });
    mkdirSync(join(repository, 's'));
    git(repository, 'update-index', '--add', '--cacheinfo', `160000,${git(repository, 'rev-parse', 'HEAD')},s`);
    git(repository, 'add', '.gitmodules');
    git(repository, 'commit', '-qm', 'submodule');
    hostile.configure(repository, {
      ...{ 'submodule.s.url': address, 'submodule.s.active': 'true', 'submodule.s.update': '!P' },
      ...{ 'submodule.s.fetchRecurseSubmodules': 'yes', 'submodule.recurse': 'true', 'submodule.s.ignore': 'none' },
      ...{ 'fetch.recurseSubmodules': 'yes', 'push.recurseSubmodules': 'on-demand', 'diff.submodule': 'diff' },
      ...{ 'status.submoduleSummary': 'true', 'diff.ignoreSubmodules': 'none' },
    });
    expect(await hostile.useAll(repository)).toEqual(ALL_DONE);
    expect(hostile.ran()).toBe('');
    const plain = ['-c', 'protocol.ext.allow=always', 'submodule', 'update', '--init'];
    expect(() => git(repository, ...plain, '--checkout')).toThrow();
    expect(hostile.ran()).not.toBe('');
  });

  /** With a filter for every file, in a file that the configuration does not lead to yet. */
  function startFiltered(): string {
    const repository = hostile.repository();
    write(repository, {
      '.gitattributes': '* filter=evil\n',
      '.git/more': `[filter "evil"]\n\tclean = ${hostile.program}\n\tsmudge = ${hostile.program}\n`,
    });
    git(repository, 'add', '.gitattributes');
    git(repository, 'commit', '-qm', 'attributes');
    return repository;
  }

  it.each(['include.path', 'includeIf.onbranch:gatehouse/**.path', 'includeIf.gitdir:**/worktrees/**.path'])(
    'by settings in a file that it includes (%s): it is refused',
    async (name) => {
      const repository = startFiltered();
      const { worktree } = await runner.create(repository);
      git(repository, 'config', name, join(repository, '.git', 'more'));
      expect(await refusal(runner.create(repository))).toBe('GIT_FAILED');
      expect(await refusal(runner.status(worktree.id))).toBe('GIT_FAILED');
      const why = await runner.create(repository).catch(String);
      expect(why).toContain('includes other files (include');
      expect(hostile.ran()).toBe('');
      // Plain git runs it, where a worktree is made as the service would.
      git(
        repository,
        'worktree',
        'add',
        '-q',
        '-b',
        'gatehouse/plain',
        join(runner.folder, `plain-${String((made += 1))}`),
      );
      expect(hostile.ran()).not.toBe('');
    },
  );

  it('by settings for a worktree alone', async () => {
    const repository = startFiltered();
    git(repository, 'config', 'extensions.worktreeConfig', 'true');
    const evil = `[core]\n\tfsmonitor = ${hostile.program}\n[filter "evil"]\n\tclean = ${hostile.program}\n\tsmudge = ${hostile.program}\n`;
    write(repository, { '.git/config.worktree': evil });
    await hostile.useAll(repository);
    expect(hostile.ran()).toBe('');
    const { worktree } = await runner.create(repository);
    const admin = join(repository, '.git', 'worktrees', worktree.path.split('/').at(-1) ?? '');
    rmSync(join(repository, '.git', 'config.worktree'));
    write(admin, { 'config.worktree': evil });
    write(worktree.path, { 'a.txt': 'changed\n' });
    await runner.status(worktree.id);
    await runner.call('GetDiff', { id: worktree.id, path: 'a.txt' });
    await runner.call('Discard', { id: worktree.id, path: 'a.txt' });
    expect(hostile.ran()).toBe('');
    git(worktree.path, 'status');
    expect(hostile.ran()).not.toBe('');
    write(admin, { 'config.worktree': `[include]\n\tpath = ${repository}/.git/more\n` });
    expect(await refusal(runner.status(worktree.id))).toBe('GIT_FAILED');
  });

  it('by a file .git that leads to another repository', async () => {
    const repository = hostile.repository();
    const { worktree } = await runner.create(repository);
    const evil = makeRepository(join(runner.folder, 'evil'));
    git(evil, 'config', 'core.fsmonitor', hostile.program);
    hostile.installHooks(join(evil, '.git', 'hooks'));
    writeFileSync(join(worktree.path, '.git'), `gitdir: ${evil}/.git\n`);
    write(worktree.path, { 'new.txt': 'x' });
    expect(await runner.status(worktree.id)).toMatchObject({ branch: worktree.branch, files: [{ path: 'new.txt' }] });
    await runner.call('Commit', { id: worktree.id, message: 'x', ...ADA, all: true });
    expect(git(evil, 'rev-list', '--count', '--all')).toBe('1');
    expect(hostile.ran()).toBe('');
  });

  it('by the configuration of a submodule, into which nobody looks', async () => {
    const repository = hostile.repository();
    const { worktree } = await runner.create(repository);
    const inner = makeRepository(join(worktree.path, 'inner'));
    git(worktree.path, '-c', 'advice.addEmbeddedRepo=false', 'add', 'inner');
    git(inner, 'config', 'core.fsmonitor', hostile.program);
    write(inner, { dirty: 'x' });
    await runner.status(worktree.id);
    await runner.call('GetDiff', { id: worktree.id });
    expect((await runner.remove(worktree.id)).at_stake).toMatchObject([{ kind: 'staged' }, { kind: 'submodule' }]);
    expect(hostile.ran()).toBe('');
  });
});

describe('nothing leads out of the project roots', () => {
  it('neither names, nor links, nor a repository whose files are elsewhere', async () => {
    const outside = makeRepository(join(runner.folder, 'outside'));
    symlinkSync(outside, join(runner.projects, 'link'));
    mkdirSync(join(runner.projects, 'pointer'));
    writeFileSync(join(runner.projects, 'pointer', '.git'), `gitdir: ${outside}/.git\n`);
    mkdirSync(join(runner.projects, 'linked-git'));
    symlinkSync(join(outside, '.git'), join(runner.projects, 'linked-git', '.git'));
    const asked = [
      outside,
      'link',
      '../outside',
      'pointer',
      'linked-git',
      '',
      '.',
      '/',
      join(runner.projects, '..', 'outside'),
      '--help',
      'a\0b',
      'x'.repeat(5000),
    ];
    for (const each of asked)
      expect([each, await refusal(runner.create(each))]).toEqual([each, 'REPOSITORY_NOT_ALLOWED']);
    const { repositories } = await runner.call<{ repositories: { name: string }[] }>('ListRepositories', {});
    expect(repositories.map(({ name }) => name)).not.toContain('link');
  });

  it('not even a link that is put in the place of a repository at the wrong moment', async () => {
    const outside = makeRepository(join(runner.folder, 'swapped'), { secret: 'x' });
    const inside = runner.repository('swap');
    const before = git(outside, 'for-each-ref');
    const calls = Array.from({ length: 12 }, async () => {
      const answer = await runner.create('swap').catch(() => undefined);
      return answer?.worktree.path;
    });
    let over = false;
    const all = Promise.all(calls).finally(() => (over = true));
    for (let round = 0; !(over as boolean); round += 1) {
      // A place of its own each time: a git that was under way may make its folder again where it was.
      const away = join(runner.projects, `swap-away-${String(round)}`);
      renameSync(inside, away);
      symlinkSync(outside, inside);
      await new Promise(setImmediate);
      rmSync(inside, { recursive: true });
      renameSync(away, inside);
      await new Promise(setImmediate);
    }
    for (const path of await all) if (path !== undefined) expect(existsSync(join(path, 'secret'))).toBe(false);
    expect(git(outside, 'for-each-ref')).toBe(before);
    expect(existsSync(join(outside, '.git', 'worktrees'))).toBe(false);
  });
});
