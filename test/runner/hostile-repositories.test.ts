/** Repositories that try to make git run a program of theirs, one way each. None of the programs must ever run. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { git, GitRunner, makeRepository, refusal, write } from './git-runner.js';

const ADA = { author_name: 'Ada', author_email: 'ada@example.org' };
const HOOKS = [
  ...[
    'applypatch-msg',
    'pre-commit',
    'prepare-commit-msg',
    'commit-msg',
    'post-commit',
    'pre-merge-commit',
    'post-merge',
  ],
  ...['pre-rebase', 'post-rewrite', 'post-checkout', 'pre-push', 'reference-transaction', 'post-index-change'],
  ...['pre-receive', 'update', 'post-receive', 'post-update', 'proc-receive', 'push-to-checkout', 'pre-auto-gc'],
];
let runner: GitRunner;
let canary: string;
let program: string;
let made = 0;
beforeAll(async () => {
  runner = await GitRunner.start();
  canary = join(runner.folder, 'it-ran');
  program = join(runner.folder, 'program');
  writeFileSync(program, `#!/bin/sh\necho "$0 $*" >> '${canary}'\ncat\n`);
  chmodSync(program, 0o755);
});
afterAll(() => runner.stop());
afterEach(() => {
  rmSync(canary, { force: true });
});

const ran = (): string => (existsSync(canary) ? readFileSync(canary, 'utf8') : '');

/** Everything that the service does, one after the other; what is refused is refused. */
async function useAll(repository: string): Promise<void> {
  const quietly = (call: Promise<unknown>): Promise<unknown> => call.catch(() => undefined);
  await runner.call('ListRepositories', {});
  const { worktree } = await runner.create(repository, { copy: ['*.local'] });
  const { id, path } = worktree;
  write(path, { 'a.txt': 'changed\n', 'new.txt': 'x\n', 'b.bin': 'y' });
  await runner.call('GetStatus', { id, disk_use: true });
  await runner.call('GetDiff', { id, path: 'a.txt' });
  await runner.call('GetLog', { id });
  await quietly(runner.call('Stage', { id, paths: ['a.txt'] }));
  await quietly(runner.call('Unstage', { id }));
  await quietly(runner.call('Discard', { id, path: 'b.bin' }));
  await quietly(runner.call('Commit', { id, message: 'x', ...ADA, all: true }));
  await quietly(runner.call('Push', { id }));
  await quietly(runner.create(repository, { fetch: true }));
  expect(ran()).toBe('');
  write(repository, { 'a.txt': 'base\n' });
  git(repository, '-c', 'core.hooksPath=/dev/null', '-c', 'core.fsmonitor=false', ...clean(), 'commit', '-qam', 'base');
  git(path, '-c', 'core.hooksPath=/dev/null', '-c', 'core.fsmonitor=false', ...clean(), 'checkout', '-qf', 'HEAD');
  rmSync(canary, { force: true });
  for (const mode of ['rebase', 'merge']) await quietly(runner.call('Integrate', { id, mode, ...ADA }));
  write(path, { 'a.txt': 'again\n', 'late.txt': 'x' });
  await runner.remove(id);
  await runner.remove(id, { force: true, delete_branch: true });
}

/** So that the preparing calls of the test itself run nothing. */
function clean(): string[] {
  const names = ['evil', 'process'].flatMap((name) =>
    ['clean', 'smudge', 'process'].map((each) => `filter.${name}.${each}=`),
  );
  return [
    ...names.flatMap((each) => ['-c', each]),
    '-c',
    'filter.evil.required=false',
    '-c',
    'commit.gpgSign=false',
    '-c',
    'diff.external=',
  ];
}

function start(): string {
  made += 1;
  const repository = runner.repository(`hostile-${String(made)}`, { 'a.txt': '1\n', 'b.bin': '1' });
  git(runner.projects, 'clone', '-q', '--bare', repository, `${repository}-remote.git`);
  git(repository, 'remote', 'add', 'origin', `${repository}-remote.git`);
  return repository;
}

/** Each program under the name of its setting, so that the canary tells which one ran. */
function configure(repository: string, config: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(config)) {
    const own = join(runner.folder, name.replaceAll(/[^a-zA-Z.]/g, '-'));
    if (!existsSync(own)) symlinkSync(program, own);
    const fill = (text: string): string => text.replace(/(?<![A-Za-z])P(?![A-Za-z])/, own);
    git(repository, 'config', fill(name), fill(value));
  }
}

function installHooks(folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const hook of HOOKS) {
    symlinkSync(program, join(folder, hook));
  }
}

describe('a hostile repository runs nothing', () => {
  it('by hooks, its own and those of a remote that is a folder', async () => {
    const repository = start();
    installHooks(join(repository, '.git', 'hooks'));
    installHooks(`${repository}-remote.git/hooks`);
    await useAll(repository);
    expect(ran()).toBe('');
  });

  it('by a place for hooks that it configures', async () => {
    const repository = start();
    installHooks(join(repository, 'my-hooks'));
    for (const each of [repository, `${repository}-remote.git`])
      git(each, 'config', 'core.hooksPath', join(repository, 'my-hooks'));
    await useAll(repository);
    expect(ran()).toBe('');
  });

  it('by what it configures for work on files', async () => {
    const repository = start();
    write(repository, { '.gitattributes': '* filter=evil diff=evil merge=evil\n*.bin filter=process\n' });
    git(repository, 'add', '.');
    git(repository, 'commit', '-qm', 'attributes');
    configure(repository, {
      ...{ 'core.fsmonitor': 'P', 'core.pager': 'P', 'core.editor': 'P', 'sequence.editor': 'P', 'pager.log': 'P' },
      ...{ 'diff.external': 'P', 'diff.evil.command': 'P', 'diff.evil.textconv': 'P', 'merge.evil.driver': 'P %A' },
      ...{
        'filter.evil.clean': 'P',
        'filter.evil.smudge': 'P',
        'filter.evil.required': 'true',
        'filter.process.process': 'P',
      },
      ...{ 'commit.gpgSign': 'true', 'gpg.program': 'P', 'log.showSignature': 'true', 'gpg.ssh.program': 'P' },
      ...{ 'gpg.ssh.defaultKeyCommand': 'P', 'core.alternateRefsCommand': 'P', 'trailer.sign.command': 'P' },
      ...{ 'trailer.sign.key': 'Signed-off-by', 'alias.status': '!P', 'alias.commit-tree': '!P', 'core.askPass': 'P' },
      ...{ 'gc.auto': '1', 'maintenance.auto': 'true', 'core.attributesFile': 'P', 'submodule.recurse': 'true' },
    });
    await useAll(repository);
    expect(ran()).toBe('');
    // The same settings do run it where nobody takes them away.
    write(repository, { 'a.txt': 'for a filter\n' });
    git(repository, 'status');
    git(repository, '-c', 'core.fsmonitor=false', 'add', 'a.txt');
    expect(ran()).toContain('core.fsmonitor');
    expect(ran()).toContain('filter.evil.clean');
  });

  const remotes: [name: string, config: Record<string, string>][] = [
    ['core.sshCommand', { 'core.sshCommand': 'P', 'remote.origin.url': 'ssh://127.0.0.1:1/x' }],
    [
      'credential helpers',
      { 'credential.helper': '!P', 'core.askPass': 'P', 'remote.origin.url': 'https://127.0.0.1:1/x' },
    ],
    ['an upload-pack', { 'remote.origin.uploadpack': 'P', 'remote.origin.receivepack': 'P' }],
    ['a remote helper', { 'remote.origin.vcs': 'ext', 'remote.origin.url': 'ext::P' }],
    ['ext::', { 'remote.origin.url': 'ext::P x', 'protocol.ext.allow': 'always' }],
    ['another address', { 'url.ext::P .insteadOf': '/', 'protocol.allow': 'always' }],
    ['a git proxy', { 'core.gitProxy': 'P', 'remote.origin.url': 'git://127.0.0.1:1/x' }],
    [
      'missing objects',
      { 'extensions.partialClone': 'origin', 'remote.origin.promisor': 'true', 'remote.origin.uploadpack': 'P' },
    ],
    ['alternate refs and signing', { 'core.alternateRefsCommand': 'P', 'push.gpgSign': 'true', 'gpg.program': 'P' }],
  ];
  it.each(remotes)('by %s, over the network', async (_, config) => {
    const repository = start();
    const { worktree } = await runner.create(repository);
    configure(repository, config);
    const calls = [runner.call('Push', { id: worktree.id }), runner.create(repository, { fetch: true })];
    await Promise.allSettled(calls);
    expect(ran()).toBe('');
  });

  /** With a filter for every file, in a file that the configuration does not lead to yet. */
  function startFiltered(): string {
    const repository = start();
    write(repository, {
      '.gitattributes': '* filter=evil\n',
      '.git/more': `[filter "evil"]\n\tclean = ${program}\n\tsmudge = ${program}\n`,
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
      expect(ran()).toBe('');
      // Plain git runs it, where a worktree is made as the service would.
      git(repository, 'worktree', 'add', '-q', '-b', 'gatehouse/plain', join(runner.folder, `plain-${String(made)}`));
      expect(ran()).not.toBe('');
    },
  );

  it('by settings for a worktree alone', async () => {
    const repository = startFiltered();
    git(repository, 'config', 'extensions.worktreeConfig', 'true');
    const evil = `[core]\n\tfsmonitor = ${program}\n[filter "evil"]\n\tclean = ${program}\n\tsmudge = ${program}\n`;
    write(repository, { '.git/config.worktree': evil });
    await useAll(repository);
    expect(ran()).toBe('');
    const { worktree } = await runner.create(repository);
    const admin = join(repository, '.git', 'worktrees', worktree.path.split('/').at(-1) ?? '');
    rmSync(join(repository, '.git', 'config.worktree'));
    write(admin, { 'config.worktree': evil });
    write(worktree.path, { 'a.txt': 'changed\n' });
    await runner.status(worktree.id);
    await runner.call('GetDiff', { id: worktree.id, path: 'a.txt' });
    await runner.call('Discard', { id: worktree.id, path: 'a.txt' });
    expect(ran()).toBe('');
    git(worktree.path, 'status');
    expect(ran()).not.toBe('');
    write(admin, { 'config.worktree': `[include]\n\tpath = ${repository}/.git/more\n` });
    expect(await refusal(runner.status(worktree.id))).toBe('GIT_FAILED');
  });

  it('by a file .git that leads to another repository', async () => {
    const repository = start();
    const { worktree } = await runner.create(repository);
    const evil = makeRepository(join(runner.folder, 'evil'));
    git(evil, 'config', 'core.fsmonitor', program);
    installHooks(join(evil, '.git', 'hooks'));
    writeFileSync(join(worktree.path, '.git'), `gitdir: ${evil}/.git\n`);
    write(worktree.path, { 'new.txt': 'x' });
    expect(await runner.status(worktree.id)).toMatchObject({ branch: worktree.branch, files: [{ path: 'new.txt' }] });
    await runner.call('Commit', { id: worktree.id, message: 'x', ...ADA, all: true });
    expect(git(evil, 'rev-list', '--count', '--all')).toBe('1');
    expect(ran()).toBe('');
  });

  it('by the configuration of a submodule, into which nobody looks', async () => {
    const repository = start();
    const { worktree } = await runner.create(repository);
    const inner = makeRepository(join(worktree.path, 'inner'));
    git(worktree.path, '-c', 'advice.addEmbeddedRepo=false', 'add', 'inner');
    git(inner, 'config', 'core.fsmonitor', program);
    write(inner, { dirty: 'x' });
    await runner.status(worktree.id);
    await runner.call('GetDiff', { id: worktree.id });
    expect((await runner.remove(worktree.id)).at_stake).toMatchObject([{ kind: 'staged' }, { kind: 'submodule' }]);
    expect(ran()).toBe('');
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
