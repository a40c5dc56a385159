/** What happens beside a removal: callers who give up, sessions that come, files that are written, a runner that dies. */
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import type { ListRescuesResponse__Output } from '../../src/generated/gatehouse/runner/v1/ListRescuesResponse.js';
import type { RemoveWorktreeResponse__Output } from '../../src/generated/gatehouse/runner/v1/RemoveWorktreeResponse.js';
import { type Entry, Journal } from '../../src/runner/git/journal.js';
import { Places } from '../../src/runner/git/places.js';
import { removeWorktree, type RemoveResult } from '../../src/runner/git/remove.js';
import { RescueStore } from '../../src/runner/git/rescue-store.js';
import { baseEnvironment } from '../../src/runner/git/settings.js';
import { git, GitRunner, type Made, refusal, write } from './git-runner.js';
import { Holding } from './holding-git.js';

let runner: GitRunner;
let made = 0;
beforeAll(async () => {
  runner = await GitRunner.start();
});
afterAll(() => runner.stop());

async function start(): Promise<Made & { repository: string }> {
  made += 1;
  const repository = runner.repository(`race-${String(made)}`);
  return { ...(await runner.create(repository)).worktree, repository };
}

const stakes = ({ at_stake = [] }: RemoveWorktreeResponse__Output): string[] =>
  at_stake.map(({ kind, what }) => `${kind ?? ''} ${what ?? ''}`).toSorted();
const asideOf = (path: string): string => join(dirname(path), `.${basename(path)}.removing`);
const journalOf = (id: string): string => join(runner.worktrees, '.journal', `${id}.json`);

async function rescueOf(id: string): Promise<string> {
  const { rescues = [] } = await runner.call<ListRescuesResponse__Output>('ListRescues', {});
  return rescues.find(({ worktree_id }) => worktree_id === id)?.ref ?? 'none';
}

describe('a removal that waits for its turn', () => {
  it('is not done when its caller has given up meanwhile', async () => {
    const holding = new Holding(runner.folder);
    await runner.kill();
    await runner.run([], holding.environment);
    const { id, path } = await start();
    write(path, { a: '1' });
    holding.hold('commit-tree');
    const author = { author_name: 'Ada', author_email: 'ada@example.org' };
    const committed = runner.call('Commit', { id, message: 'x', all: true, ...author });
    await holding.held();
    const given = runner.call('RemoveWorktree', { id, force: true }, { deadline: Date.now() + 300 });
    await expect(given).rejects.toThrow('DEADLINE_EXCEEDED');
    // On the same connection: when this is answered, the runner knows that nobody waits.
    await runner.call('ListRescues', {});
    holding.letGo();
    await committed;
    await runner.call('Unstage', { id, paths: [] }); // comes after it
    expect(await runner.status(id)).toMatchObject({ ahead_of_base: 1 });
    expect(readFileSync(join(path, 'a'), 'utf8')).toBe('1');
  });

  it('killed while it puts things aside loses nothing, and is ended by the next start', async () => {
    const holding = new Holding(runner.folder);
    await runner.kill();
    await runner.run([], holding.environment);
    const { id, path, repository } = await start();
    write(path, { precious: 'x' });
    holding.hold('commit-tree');
    const call = runner.remove(id, { force: true }).catch(() => undefined);
    await holding.held();
    expect([existsSync(path), existsSync(join(asideOf(path), 'precious'))]).toEqual([false, true]);
    // Nobody knows that name: whoever still writes by the path makes a folder of his own, which stays.
    write(path, { mine: 'new' });
    await runner.kill();
    await call;
    holding.letGo();
    await runner.run();
    expect(git(repository, 'show', `${await rescueOf(id)}^3:precious`)).toBe('x');
    expect(readdirSync(dirname(path))).toEqual([basename(path)]);
    expect(readdirSync(path)).toEqual(['mine']);
    expect(git(repository, 'worktree', 'list').split('\n')).toHaveLength(1);
  });

  it('killed when the folder was just moved aside has kept what was written before', async () => {
    const { id, path, repository } = await start();
    write(path, { late: 'x' });
    await runner.kill();
    const entry = JSON.parse(readFileSync(journalOf(id), 'utf8')) as object;
    const removal = { branchCommit: null, rescue: null, nested: [] };
    writeFileSync(journalOf(id), JSON.stringify({ ...entry, state: 'removing', removal }));
    renameSync(path, asideOf(path));
    await runner.run();
    expect(git(repository, 'show', `${await rescueOf(id)}^3:late`)).toBe('x');
    expect([existsSync(path), existsSync(asideOf(path))]).toEqual([false, false]);
  });
});

describe('a session that works in a worktree', () => {
  it('wherever it was started refuses the removal, and is named', async () => {
    const { id, path } = await start();
    write(path, { 'readme.md': 'hello\n' });
    const inside = await runner.process.startSession(['sleep', '1000'], { cwd: path });
    const script = 'cd "$1"; (trap "" HUP; exec setsid sleep 1000) & echo there; cd /; wait';
    const wanders = await runner.process.startSession(['bash', '-c', script, 'bash', path]);
    const outside = await runner.process.startSession(['sleep', '1000'], { cwd: dirname(path) });
    await runner.process.shows(wanders.id, 'there');
    const expected = [inside, wanders].map((session) => `session ${session.id}`).toSorted();
    expect(stakes(await runner.remove(id, { dry_run: true, force: true }))).toEqual(expected);
    expect(stakes(await runner.remove(id))).toEqual(expected);
    await runner.process.kill(inside.id);
    expect(stakes(await runner.remove(id))).toEqual([`session ${wanders.id}`]);
    await runner.process.kill(wanders.id);
    expect(await runner.remove(id)).toMatchObject({ removed: true });
    await runner.process.kill(outside.id);
  });
});

describe('between the first look and the removal', () => {
  /** Removes a worktree here, while something happens once the removal is in the journal. */
  async function removing(
    { id, repository }: Made & { repository: string },
    force: boolean,
    { meanwhile = () => undefined, ...rest }: { meanwhile?: () => void; givenUp?: () => boolean; sessionsIn?: Find },
  ): Promise<RemoveResult> {
    class Meanwhile extends Journal {
      override async write(entry: Entry): Promise<void> {
        await super.write(entry);
        if (entry.state === 'removing') meanwhile();
      }
    }
    const log = pino({ level: 'silent' });
    const places = new Places([runner.projects], [], { env: baseEnvironment(process.env, {}), confined: null });
    const opened = await places.open(repository);
    const context = {
      journal: new Meanwhile(join(runner.worktrees, '.journal'), log),
      rescues: new RescueStore(join(runner.worktrees, '.rescues'), log),
      ...{ repository: opened, givenUp: () => false, sessionsIn: () => Promise.resolve([]), ...rest },
    };
    const entry = await context.journal.read(id);
    if (!entry) throw new Error('no entry');
    return removeWorktree(entry, context, { force, deleteBranch: false }).finally(() => {
      opened.close();
    });
  }
  type Find = () => Promise<readonly string[]>;

  it('what is written refuses a removal, and everything is where it was', async () => {
    const worktree = await start();
    const meanwhile = (): void => {
      write(worktree.path, { late: 'x' });
    };
    const { removed, stakes: found } = await removing(worktree, false, { meanwhile });
    expect([removed, found.map(({ kind, what }) => `${kind} ${what.toString()}`)]).toEqual([false, ['untracked late']]);
    expect(readFileSync(join(worktree.path, 'late'), 'utf8')).toBe('x');
    expect(existsSync(asideOf(worktree.path))).toBe(false);
    expect(await runner.status(worktree.id)).toMatchObject({ files: [{ path: 'late' }] });
  });

  it('what is written is put aside by force', async () => {
    const worktree = await start();
    const meanwhile = (): void => {
      write(worktree.path, { late: 'x' });
    };
    const { removed, rescue } = await removing(worktree, true, { meanwhile });
    expect(removed).toBe(true);
    expect(git(worktree.repository, 'show', `${rescue?.ref ?? ''}^3:late`)).toBe('x');
  });

  it.each([false, true])('a caller who gives up keeps the worktree (force %s)', async (force) => {
    const worktree = await start();
    if (force) write(worktree.path, { precious: 'x' });
    let givenUp = false;
    const call = removing(worktree, force, { meanwhile: () => (givenUp = true), givenUp: () => givenUp });
    await expect(call).rejects.toMatchObject({ code: 'REQUEST_TIMEOUT' });
    expect(await runner.status(worktree.id)).toMatchObject(force ? { files: [{ path: 'precious' }] } : {});
    expect(await refusal(runner.remove(worktree.id))).toBe('no error');
  });

  it('a session that comes refuses the removal', async () => {
    const worktree = await start();
    let sessions: string[] = [];
    const result = await removing(worktree, false, {
      meanwhile: () => (sessions = ['a-session']),
      sessionsIn: () => Promise.resolve(sessions),
    });
    expect(result).toMatchObject({ removed: false, stakes: [{ kind: 'session', what: Buffer.from('a-session') }] });
    expect(await runner.status(worktree.id)).toMatchObject({ detached: false });
  });
});
