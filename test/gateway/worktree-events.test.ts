import { randomUUID } from 'node:crypto';
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type TestGateway, token, until } from '../support/gateway.js';
import { type Made, WorktreeWorld } from '../support/worktrees.js';
import { type Message, WsClient } from '../support/ws-client.js';

describe('who watches worktrees', () => {
  let world: WorktreeWorld;
  let sibling: TestGateway;
  const alice = token();
  const person = (sub: string, roles = ['user'], claims: object = {}): string => token({ sub, roles, ...claims });
  const watching = async (credential: string, gateway = world.gateway): Promise<WsClient> => {
    const ws = await WsClient.open(gateway, '/ws', { credential });
    ws.send({ type: 'watch_worktrees', id: 7 });
    expect(await ws.next('worktrees_watched')).toEqual({ type: 'worktrees_watched', id: 7 });
    return ws;
  };
  /** The next change of this worktree to this state. */
  const told = async (ws: WsClient, id: string, state: string): Promise<Message> => {
    for (;;) {
      const message = await ws.next('worktree_changed');
      const worktree = message['worktree'] as Made;
      if (worktree.id === id && worktree.state === state) return message;
    }
  };
  const settled = async (ws: WsClient): Promise<void> => {
    ws.send({ type: 'ping' });
    await ws.next('pong');
  };

  beforeAll(async () => {
    world = await WorktreeWorld.start({ RUNNER_PERSIST: 'true' });
    sibling = await world.gateway.sibling();
  });
  afterAll(async () => {
    await sibling.end();
    await world.remove();
  });

  it('is told of his, on whichever gateway they change, and of nobody else’s', async () => {
    const here = await watching(alice);
    const there = await watching(alice, sibling);
    const stranger = await watching(person('mallory'));
    const operator = await watching(person('op', ['operator']));
    const foreign = await watching(person('alice', ['admin'], { tenant: 'other' }));
    const made = await world.create(alice);
    for (const ws of [here, there, operator]) {
      expect(await told(ws, made.id, 'ready')).toEqual({
        type: 'worktree_changed',
        worktree: { ...made, copied: undefined },
      });
    }
    await world.call(alice, 'POST', `/worktrees/${made.id}/stage`, {}, sibling);
    expect((await told(here, made.id, 'ready'))['worktree']).toMatchObject({ id: made.id });
    await world.call(alice, 'DELETE', `/worktrees/${made.id}`);
    for (const ws of [here, there, operator]) await told(ws, made.id, 'removed');
    for (const ws of [stranger, foreign]) {
      await settled(ws);
      expect(ws.messages.filter(({ type }) => type === 'worktree_changed')).toEqual([]);
    }
    here.send({ type: 'unwatch_worktrees' });
    await here.next('worktrees_unwatched');
    const next = await world.create(alice);
    await told(there, next.id, 'ready');
    await settled(here);
    expect(here.messages.filter(({ type }) => type === 'worktree_changed')).toEqual([]);
    for (const ws of [here, there, stranger, operator, foreign]) ws.close();
  });

  it('is told no more once he lost the right, while his connection stays', async () => {
    const root = person('root', ['admin']);
    const member = { kind: 'subject', provider: 'gatehouse', name: 'temp' };
    const bound = await world.call(root, 'PUT', '/policy/bindings', { role: 'operator', member });
    expect(bound.status).toBeLessThan(300);
    const ws = await watching(person('temp', ['user']));
    const first = await world.create(alice, { name: 'seen' });
    await told(ws, first.id, 'ready');
    await world.call(root, 'DELETE', '/policy/bindings', { role: 'operator', member });
    const witness = await watching(person('op', ['operator']));
    const second = await world.create(alice, { name: 'unseen' });
    await told(witness, second.id, 'ready');
    await settled(ws);
    expect(ws.messages.filter(({ worktree }) => (worktree as Made | undefined)?.id === second.id)).toEqual([]);
    ws.close();
    witness.close();
  });

  it('is refused without the permission, or with more than the message has', async () => {
    const clerk = await WsClient.open(world.gateway, '/ws', { credential: person('clerk', ['auditor']) });
    clerk.send({ type: 'watch_worktrees' });
    expect(await clerk.next('error')).toMatchObject({ code: 'PERMISSION_DENIED' });
    clerk.close();
    const ws = await WsClient.open(world.gateway, '/ws', { credential: alice });
    ws.send({ type: 'watch_worktrees', everything: true });
    expect(await ws.next('error')).toMatchObject({ code: 'INVALID_MESSAGE' });
    ws.close();
  });

  it('is told that he may have missed some when the database’s connection was lost', async () => {
    const ws = await watching(alice);
    await world.gateway.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name = 'gatehouse changes'`,
    );
    await ws.next('worktrees_missed');
    const made = await world.create(alice, { name: 'after' });
    await told(ws, made.id, 'ready');
    ws.close();
  });

  it('sees what the runner’s disk has become, when the runner comes back', async () => {
    const mine = person('dave');
    const ws = await watching(mine);
    const kept = await world.create(mine, { name: 'kept' });
    const lost = await world.create(mine, { name: 'lost' });
    const half = await world.create(mine, { name: 'half' });
    const removing = await world.create(mine, { name: 'removing' });
    const never = randomUUID();
    await world.gateway.query(
      `UPDATE worktrees SET state = 'creating', state_at = now() - interval '1 hour', path = '' WHERE id = $1`,
      [half.id],
    );
    await world.gateway.query(
      `UPDATE worktrees SET state = 'removing', state_at = now() - interval '1 hour' WHERE id = $1`,
      [removing.id],
    );
    await world.gateway.query(
      `INSERT INTO worktrees SELECT $1, runner, tenant, 'never', owner_provider, owner_subject, 'creating', state_at, repository,
         path, branch, base_ref, base_commit, adopted_branch, setup, teardown, null, null, null, null, null, null, null, null,
         created_at, null FROM worktrees WHERE id = $2`,
      [never, half.id],
    );
    const unmade = await world.create(mine, { name: 'unmade' });
    await world.gateway.query(`UPDATE worktrees SET state = 'failed', removed_at = now() WHERE id = $1`, [unmade.id]);
    const stray = await world.create(mine, { name: 'stray' });
    await world.gateway.query('DELETE FROM worktrees WHERE id = $1', [stray.id]);
    const [pid = 0] = world.gateway.runnerPids();
    process.kill(pid, 'SIGKILL');
    const record = join(world.gateway.dataDir, 'worktrees', '.journal', `${lost.id}.json`);
    renameSync(record, join(world.folder, 'away.json'));
    await told(ws, lost.id, 'lost');
    await told(ws, half.id, 'ready');
    const show = async (id: string): Promise<Record<string, unknown>> =>
      (await world.call(mine, 'GET', `/worktrees/${id}`)).body;
    await until('all are settled', async () => (await show(never))['state'] === 'failed');
    expect(await show(kept.id)).toMatchObject({ state: 'ready' });
    expect(await show(half.id)).toMatchObject({ path: half.path, setup_failure: 'interrupted' });
    expect(await show(removing.id)).toMatchObject({ state: 'ready' });
    expect(await show(never)).toMatchObject({ failure: 'interrupted' });
    const [event] = await world.gateway.audit({ action: 'worktree.remove', resource: `worktree:${lost.id}` });
    expect(event).toMatchObject({ success: false, reason: 'lost', metadata: { owner: 'dave' } });
    // Either gateway may have settled the rows, the other one before this one has met the runner again.
    const answers = (id: string): Promise<unknown> =>
      until(
        'the worktree answers',
        async () => (await world.call(mine, 'GET', `/worktrees/${id}/status`)).status === 200,
      );
    const line = 'worktrees on disk belong to nobody here; they are left alone';
    const logs = (): unknown[] => [...world.gateway.log, ...sibling.log].filter(({ msg }) => msg === line);
    await until('the line of the log', () => logs().length > 0);
    expect(logs()).toContainEqual(
      expect.objectContaining({ worktrees: expect.arrayContaining([stray.id]) as unknown }),
    );
    await answers(kept.id);
    await until('what counts as not made is gone', () => !existsSync(unmade.path));
    expect(await show(unmade.id)).toMatchObject({ state: 'failed' });
    // What was lost comes back with its disk.
    renameSync(join(world.folder, 'away.json'), record);
    const [next = 0] = world.gateway.runnerPids();
    process.kill(next, 'SIGKILL');
    await told(ws, lost.id, 'ready');
    expect(await show(lost.id)).toMatchObject({ removed_at: null });
    const [, found] = await world.gateway.audit({ action: 'worktree.create', resource: `worktree:${lost.id}` });
    expect(found).toMatchObject({ success: true, reason: 'found', metadata: { owner: 'dave' } });
    await answers(lost.id);
    ws.close();
  });
});
