/** Repositories whose own folders lead elsewhere: git would read and write what is there. */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { requireNoLinks } from '../../src/runner/git/links.js';
import { Pinned } from '../../src/runner/git/pinned.js';
import { git, GitRunner, type Made, makeRepository, refusal, write } from './git-runner.js';

const ADA = { author_name: 'Ada', author_email: 'ada@example.org' };
let runner: GitRunner;
let outside: string;
let made = 0;
beforeAll(async () => {
  runner = await GitRunner.start();
  outside = mkdtempSync(join(tmpdir(), 'gatehouse-outside-'));
});
afterAll(async () => {
  await runner.stop();
  rmSync(outside, { recursive: true });
});

/** A repository with a worktree, and git's two folders for them. */
async function start(): Promise<Made & { repository: string; gitDir: string; admin: string }> {
  made += 1;
  const repository = runner.repository(`links-${String(made)}`);
  const { worktree } = await runner.create(repository);
  git(repository, 'pack-refs', '--all');
  git(repository, 'branch', 'gatehouse/other');
  const admin = git(worktree.path, 'rev-parse', '--absolute-git-dir');
  return { ...worktree, repository, gitDir: join(repository, '.git'), admin };
}

/** Moves a part of git's folder out and leaves a link in its place, as git would follow it. */
function lead(folder: string, part: string): string {
  made += 1;
  const to = join(outside, String(made));
  if (existsSync(join(folder, part))) renameSync(join(folder, part), to);
  else if (/HEAD|index|config|refs\/heads\/x|shallow/.test(part)) writeFileSync(to, '');
  else mkdirSync(to);
  mkdirSync(dirname(join(folder, part)), { recursive: true });
  symlinkSync(to, join(folder, part));
  return to;
}

/** Everything in a folder, with its content. */
function contents(path: string): string[] {
  const names = readdirSync(path, { recursive: true, withFileTypes: true });
  return names.map((each) => {
    const full = join(each.parentPath, each.name);
    return each.isFile() ? `${full} ${readFileSync(full, 'base64')}` : full;
  });
}

/** Each call that writes, and what it was refused for. */
async function writing({ id, path, repository }: Made & { repository: string }): Promise<Record<string, string>> {
  write(path, { 'new.txt': 'x' });
  const calls: Record<string, () => Promise<unknown>> = {
    Stage: () => runner.call('Stage', { id, paths: ['new.txt'] }),
    Commit: () => runner.call('Commit', { id, message: 'x', ...ADA, all: true }),
    Discard: () => runner.call('Discard', { id, path: 'new.txt' }),
    Integrate: () => runner.call('Integrate', { id, mode: 'merge', ...ADA }),
    Remove: () => runner.remove(id, { force: true, delete_branch: true }),
    Create: () => runner.create(repository),
  };
  const codes: Record<string, string> = {};
  for (const [name, call] of Object.entries(calls)) codes[name] = await refusal(call());
  return codes;
}

const REFUSED = Object.fromEntries(
  ['Stage', 'Commit', 'Discard', 'Integrate', 'Remove'].map((name) => [name, 'GIT_FAILED']),
);

describe('nothing is written, or read, where a symbolic link of a repository leads', () => {
  it.each([
    ...['HEAD', 'index', 'packed-refs', 'shallow', 'config', 'config.worktree', 'info'],
    ...['worktrees', 'refs', 'logs', 'objects', 'objects/info', 'objects/pack', 'objects/ab'],
    ...['refs/heads', 'refs/heads/gatehouse', 'refs/heads/x', 'logs/HEAD', 'logs/refs/heads/gatehouse'],
  ])('%s', async (part) => {
    const made = await start();
    lead(made.gitDir, part);
    const before = contents(outside);
    expect(await writing(made)).toEqual({ ...REFUSED, Create: 'GIT_FAILED' });
    await expect(runner.create(made.repository)).rejects.toThrow(`“${part}” is a symbolic link`);
    expect(contents(outside)).toEqual(before);
    expect(existsSync(join(made.path, 'new.txt'))).toBe(true);
  });

  it.each(['HEAD', 'index', 'config.worktree', 'commondir', 'logs', 'logs/HEAD', 'refs', 'refs/bisect'])(
    '%s of a worktree',
    async (part) => {
      const made = await start();
      lead(made.admin, part);
      const before = contents(outside);
      expect(await writing(made)).toEqual({ ...REFUSED, Create: 'no error' });
      expect(contents(outside)).toEqual(before);
      const read = part.includes('/') ? 'no error' : 'GIT_FAILED';
      expect(await refusal(runner.status(made.id))).toBe(read);
      rmSync(join(made.admin, part));
    },
  );

  it('of a remote that is a folder, either', async () => {
    const { id, repository } = await start();
    const remote = `${repository}-remote.git`;
    git(runner.projects, 'clone', '-q', '--bare', repository, remote);
    git(repository, 'remote', 'add', 'origin', remote);
    expect(await refusal(runner.call('Push', { id }))).toBe('no error');
    lead(remote, 'refs/heads/gatehouse');
    const before = contents(outside);
    expect(await refusal(runner.call('Push', { id }))).toBe('GIT_FAILED');
    expect(contents(outside)).toEqual(before);
  });

  it('which are looked for among so many refs and logs, and no more', async () => {
    const folder = join(outside, 'many');
    mkdirSync(join(folder, 'refs/heads'), { recursive: true });
    for (let number = 0; number < 99; number += 1) writeFileSync(join(folder, 'refs/heads', String(number)), '');
    const pinned = Pinned.open(folder);
    if (!pinned) throw new Error('it was made');
    await requireNoLinks(pinned, 100);
    writeFileSync(join(folder, 'refs', 'more'), '');
    await expect(requireNoLinks(pinned, 100)).rejects.toThrow('more than 100 refs');
    await requireNoLinks(pinned);
    pinned.close();
    rmSync(folder, { recursive: true });
  });
});

describe('objects of elsewhere', () => {
  const alternates = (repository: string): string => join(repository, '.git/objects/info/alternates');

  it('are not checked out by their ids', async () => {
    const secret = makeRepository(join(outside, 'secret'), { secret: 'x' });
    const { repository, id } = await start();
    const between = runner.repository(`between-${String(made)}`);
    const base_ref = git(secret, 'rev-parse', 'HEAD');
    const objects = `${secret}/.git/objects`;
    symlinkSync(objects, join(runner.projects, `to-objects-${String(made)}`));
    writeFileSync(alternates(between), `${objects}\n`);
    for (const lines of [
      `${objects}\n`,
      `# comment\n\n${objects}`,
      `../../../../${'../'.repeat(20)}${objects}\n`,
      `"${objects}"\n`,
      `${runner.projects}/to-objects-${String(made)}\n`,
      // Through another's.
      `${between}/.git/objects\n`,
      `../../../between-${String(made)}/.git/objects\n`,
      `${repository}/nowhere\n`,
      'x'.repeat(70_000),
    ]) {
      writeFileSync(alternates(repository), lines);
      await expect(runner.create(repository, { base_ref })).rejects.toThrow('takes objects from elsewhere');
      expect(await refusal(runner.status(id))).toBe('GIT_FAILED');
    }
    // Plain git has them.
    writeFileSync(alternates(repository), `${objects}\n`);
    expect(git(repository, 'show', `${base_ref}:secret`)).toBe('x');
    rmSync(alternates(repository));
    cpSync(objects, join(repository, 'copied'), { recursive: true });
    symlinkSync(join(repository, 'copied'), join(repository, '.git/objects/info/alternates'));
    expect(await refusal(runner.create(repository))).toBe('GIT_FAILED');
  });

  it('under a project root are, as `git clone --shared` and `--reference` leave them', async () => {
    const { repository } = await start();
    for (const how of [['--shared'], ['--reference', repository]]) {
      const clone = `shared-${String((made += 1))}`;
      git(runner.projects, 'clone', '-q', ...how, repository, clone);
      expect(existsSync(alternates(join(runner.projects, clone)))).toBe(true);
      const { worktree } = await runner.create(clone);
      expect(git(worktree.path, 'status', '--porcelain')).toBe('');
    }
  });
});
