/** Configurations that would make a fetch or a push run a program, or lead it elsewhere. */
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { git, refusal } from './git-runner.js';
import { Hostile } from './hostile.js';

let hostile: Hostile;
beforeAll(async () => {
  hostile = await Hostile.start();
});
afterAll(() => hostile.runner.stop());
afterEach(() => {
  hostile.forget();
});

/** Plain git, whatever becomes of it. */
function plain(repository: string, ...args: string[]): void {
  try {
    git(repository, '-c', 'protocol.allow=always', ...args);
  } catch {
    // The program is no server.
  }
}

type Case = [name: string, outcome: string, config: Record<string, string>, remote?: Record<string, string>];

const CASES: Case[] = [
  ['core.sshCommand', 'GIT_FAILED', { 'core.sshCommand': 'P', 'remote.origin.url': 'ssh://127.0.0.1:1/x' }],
  [
    'an upload-pack and a receive-pack',
    'GIT_FAILED',
    { 'remote.origin.uploadpack': 'P', 'remote.origin.receivepack': 'P' },
  ],
  ['a remote helper', 'GIT_FAILED', { 'remote.origin.vcs': 'ext', 'remote.origin.url': 'ext::P' }],
  ['ext::', 'GIT_FAILED', { 'remote.origin.url': 'ext::P x', 'protocol.ext.allow': 'always' }],
  ['ext:: alone', 'GIT_FAILED', { 'remote.origin.url': 'ext::P x' }],
  ['another address', 'GIT_FAILED', { 'url.ext::P .insteadOf': '/', 'protocol.allow': 'always' }],
  ['a git proxy', 'GIT_FAILED', { 'core.gitProxy': 'P', 'remote.origin.url': 'git://127.0.0.1:1/x' }],
  [
    'missing objects',
    'GIT_FAILED',
    { 'extensions.partialClone': 'origin', 'remote.origin.promisor': 'true', 'remote.origin.uploadpack': 'P' },
  ],
  [
    'signing',
    'no error',
    { 'push.gpgSign': 'true', 'gpg.program': 'P', 'push.negotiate': 'true' },
    { 'receive.certNonceSeed': 'x' },
  ],
  ['alternate refs of a remote', 'no error', {}, { 'core.alternateRefsCommand': 'P' }],
];

describe('over the network a hostile repository runs nothing', () => {
  it.each(CASES)('by %s', async (name, outcome, config, remote = {}) => {
    const { runner } = hostile;
    const repository = hostile.repository();
    const bare = `${repository}-remote.git`;
    if (name.startsWith('alternate')) {
      const other = runner.repository(`${bare.slice(bare.lastIndexOf('/') + 1)}-other`);
      writeFileSync(join(bare, 'objects/info/alternates'), `${other}/.git/objects\n`);
    }
    const { worktree } = await runner.create(repository);
    hostile.configure(repository, config);
    hostile.configure(bare, remote);
    expect(await refusal(runner.call('Push', { id: worktree.id }))).toBe(outcome);
    expect(await refusal(runner.create(repository, { fetch: true }))).toBe(outcome);
    expect(hostile.ran()).toBe('');
    // Plain git runs it.
    plain(repository, 'fetch', 'origin');
    plain(repository, 'push', 'origin', 'main:refs/heads/plain');
    expect(hostile.ran()).not.toBe('');
  });

  it.each(['fetch.bundleURI', 'transfer.bundleURI', 'fetch.uriProtocols', 'promisor.acceptFromServer', 'http.proxy'])(
    'nor asks elsewhere by %s: nothing is sent or fetched',
    async (name) => {
      const repository = hostile.repository();
      const { worktree } = await hostile.runner.create(repository);
      git(repository, 'config', name, 'https://127.0.0.1:1/x');
      const refused = `The repository sets ${name.toLowerCase()}`;
      await expect(hostile.runner.call('Push', { id: worktree.id })).rejects.toThrow(refused);
      await expect(hostile.runner.create(repository, { fetch: true })).rejects.toThrow(refused);
    },
  );
});
