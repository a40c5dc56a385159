/** Pushes and fetches to servers: https with a real one on loopback, ssh through a program that stands in for `ssh`. */
import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { splitSignIn } from '../../src/runner/git/sign-in.js';
import { GitServer } from '../support/git-server.js';
import { Authority } from '../support/link-certificates.js';
import { git, GitRunner, type Made, refusal, write } from './git-runner.js';

const ADA = { author_name: 'Ada', author_email: 'ada@example.org' };
const PERSON = { name: 'ada', password: 'open/sesame:9f3' };
const SECRET = encodeURIComponent(PERSON.password);
const BASIC = Buffer.from(`${PERSON.name}:${PERSON.password}`).toString('base64');

let runner: GitRunner;
let server: GitServer;
let served: string;
let made = 0;

beforeAll(async () => {
  const path = process.env['PATH'];
  runner = await GitRunner.start();
  await runner.kill();
  const bin = join(runner.folder, 'bin');
  write(bin, { ssh: `#!/bin/sh\necho "$*" >> '${runner.folder}/ssh.log'\nfor last; do :; done\nexec sh -c "$last"\n` });
  chmodSync(join(bin, 'ssh'), 0o755);
  await runner.run([], { ...process.env, PATH: `${bin}:${path ?? ''}` });
  served = join(runner.folder, 'served');
  mkdirSync(served);
  const authority = await Authority.make();
  server = await GitServer.start(served, PERSON, await authority.runner());
  // The runner's account: whom it trusts, and how it signs in.
  write(runner.folder, { 'ca.crt': authority.cert });
  configure('');
});
afterAll(async () => {
  server.close();
  await runner.stop();
});

/** The git configuration of the runner's account. */
function configure(more: string): void {
  writeFileSync(join(runner.folder, '.gitconfig'), `[http]\n\tsslCAInfo = ${runner.folder}/ca.crt\n${more}`);
}

/** A repository whose remote is served, with a worktree that has a commit. */
async function start(url: (name: string) => string): Promise<Made & { repository: string; remote: string }> {
  made += 1;
  const name = `served-${String(made)}.git`;
  const repository = runner.repository(`remotes-${String(made)}`);
  const remote = join(served, name);
  git(served, 'clone', '-q', '--bare', repository, name);
  git(remote, 'config', 'http.receivepack', 'true');
  git(repository, 'remote', 'add', 'origin', url(name));
  const { worktree } = await runner.create(repository);
  write(worktree.path, { new: 'x' });
  await runner.call('Commit', { id: worktree.id, message: 'x', all: true, ...ADA });
  return { ...worktree, repository, remote };
}

/** Pushes a worktree's commit, then fetches one that somebody else has pushed meanwhile. */
async function useRemote({ id, branch, remote, repository }: Awaited<ReturnType<typeof start>>): Promise<void> {
  expect(await runner.call('Push', { id })).toMatchObject({ remote: 'origin', branch });
  expect(git(remote, 'show', `${branch}:new`)).toBe('x');
  const clone = join(runner.folder, `clone-${String(made)}`);
  git(runner.folder, 'clone', '-q', remote, clone);
  write(clone, { newest: 'x' });
  git(clone, 'add', '.');
  git(clone, 'commit', '-qm', 'newest');
  git(clone, 'push', '-q', 'origin', 'main');
  const { worktree } = await runner.create(repository, { fetch: true, base_ref: 'main' });
  expect(existsSync(join(worktree.path, 'newest'))).toBe(true);
}

/** Everything that others than the runner's user may get to see. */
const shown = async (): Promise<string> =>
  [
    ...[...server.commands, ...runner.process.output],
    ...(await Promise.all(['ListRepositories', 'ListWorktrees'].map((each) => runner.call(each, {})))).map((each) =>
      JSON.stringify(each),
    ),
  ].join('\n');

describe('a remote over https', () => {
  const at =
    (signIn: string, folder = '') =>
    (name: string) =>
      `https://${signIn}127.0.0.1:${String(server.port)}${folder}/${name}`;

  it('is pushed to and fetched from with the credentials of the runner’s account', async () => {
    const helper = `[credential]\n\thelper = store --file=${runner.folder}/credentials\n`;
    write(runner.folder, { credentials: `https://${PERSON.name}:${SECRET}@127.0.0.1:${String(server.port)}\n` });
    const asked = await start(at(''));
    expect(await refusal(runner.call('Push', { id: asked.id }))).toBe('REMOTE_REJECTED');
    configure(helper);
    await useRemote(asked);
    await useRemote(await start(at(`${PERSON.name}@`)));
    configure('');
  });

  it('is signed in to with what its address says, which nobody else sees', async () => {
    await useRemote(await start(at(`${PERSON.name}:${SECRET}@`)));
    expect(server.seen.filter(({ status }) => status === 200).length).toBeGreaterThan(0);
    expect([...server.commands].join('\n')).toContain('git-remote-https');
    for (const secret of [PERSON.password, SECRET, BASIC]) expect(await shown()).not.toContain(secret);
  });

  it('that does not take the credentials says so, and shows them to nobody', async () => {
    const { id } = await start(at(`${PERSON.name}:wrong-${SECRET}@`));
    expect(await refusal(runner.call('Push', { id }))).toBe('REMOTE_REJECTED');
    expect(await shown()).not.toContain(`wrong-${SECRET}`);
  });

  it.each([
    ['credential.helper', 'REMOTE_REJECTED'],
    ['credential.https://127.0.0.1:PORT.helper', 'REMOTE_REJECTED'],
    ['core.askPass', 'GIT_FAILED'],
  ])('asks no program that the repository names by %s who signs in', async (setting, code) => {
    const { id, repository } = await start(at(''));
    const canary = join(runner.folder, 'asked');
    write(runner.folder, { helper: `#!/bin/sh\necho "$*" >> '${canary}'\necho password=x\necho username=x\n` });
    chmodSync(join(runner.folder, 'helper'), 0o755);
    git(repository, 'config', setting.replace('PORT', String(server.port)), join(runner.folder, 'helper'));
    const before = server.seen.length;
    expect(await refusal(runner.call('Push', { id }))).toBe(code);
    expect(await refusal(runner.create(repository, { fetch: true }))).toBe(code);
    // Where it is asked at all, the server has asked back, and was told nothing.
    const answers = server.seen.slice(before).map(({ status, authorization }) => [status, authorization]);
    expect(answers).toEqual(
      code === 'GIT_FAILED'
        ? []
        : [
            [401, undefined],
            [401, undefined],
          ],
    );
    expect(existsSync(canary)).toBe(false);
    const trust = ['-c', `http.sslCAInfo=${runner.folder}/ca.crt`];
    const env = { PATH: process.env['PATH'], HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0' };
    // Beside the server, which this process is.
    const fetching = promisify(execFile)('git', [...trust, 'fetch', 'origin'], { cwd: repository, env });
    await expect(fetching).rejects.toThrow('Authentication failed');
    expect(existsSync(canary)).toBe(true);
    rmSync(canary);
  });

  it('does not send them on elsewhere', async () => {
    const { id } = await start(at(`${PERSON.name}:${SECRET}@`, '/moved'));
    expect(await refusal(runner.call('Push', { id }))).toBe('REMOTE_UNREACHABLE');
    expect(server.seen.at(-1)).toMatchObject({ status: 302, authorization: `Basic ${BASIC}` });
    expect(server.seen.filter(({ host }) => host.startsWith('localhost'))).toEqual([]);
  });

  it('whose address says who signs in, in whatever way, is called without that', () => {
    for (const [url, address, names] of [
      ['https://host/x.git', 'https://host/x.git', []],
      ['ssh://me@host/x.git', 'ssh://me@host/x.git', []],
      ['me@host:x.git', 'me@host:x.git', []],
      ['HTTPS://me@host/x.git', 'https://host/x.git', ['credential.https://host/.username']],
      [
        'https://me:100%@host:8443/a%20b.git',
        'https://host:8443/a%20b.git',
        ['http.https://host:8443/.extraHeader', 'http.https://host:8443/.followRedirects'],
      ],
    ] as const) {
      const { address: called, settings } = splitSignIn(url);
      expect([called, settings.map(([name]) => name)]).toEqual([address, names]);
    }
  });
});

describe('a remote over ssh', () => {
  it('is pushed to and fetched from by the `ssh` of the runner’s machine', async () => {
    await useRemote(await start((name) => `ssh://git@server.example:2222${served}/${name}`));
    const calls = readFileSync(join(runner.folder, 'ssh.log'), 'utf8');
    expect(calls).toContain('-p 2222 git@server.example git-receive-pack');
    expect(calls).toContain('git@server.example git-upload-pack');
  });
});
