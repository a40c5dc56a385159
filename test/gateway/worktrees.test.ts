import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { token, until } from '../support/gateway.js';
import { reasonOf, refused } from '../support/grpc-client.js';
import { type Answer, codeOf, startSession } from '../support/rest.js';
import { git, type Made, violationsOf, WorktreeGrpcClient, WorktreeWorld } from '../support/worktrees.js';

const FILE = `
setup: [/bin/sh, -c, 'echo prepared > made.txt; printf done; exit 3']
teardown: [/bin/sh, -c, 'echo gone > ../torn-down; exit 4']
`;
const atStake = ({ body }: Answer): { kind: string; what: string }[] =>
  (body['error'] as { details: { at_stake: { kind: string; what: string }[] } }).details.at_stake;

describe('worktrees', () => {
  let world: WorktreeWorld;
  let grpc: WorktreeGrpcClient;
  const alice = token();
  const person = (sub: string, roles = ['user'], claims: object = {}): string => token({ sub, roles, ...claims });
  const write = (made: Made, name: string, text = 'text\n'): void => {
    writeFileSync(join(made.path, name), text);
  };
  const show = async (id: string): Promise<Made> => {
    return (await world.call(alice, 'GET', `/worktrees/${id}`)).body as unknown as Made;
  };
  const post = (made: Made, verb: string, body?: object): Promise<Answer> =>
    world.call(alice, 'POST', `/worktrees/${made.id}/${verb}`, body);

  beforeAll(async () => {
    world = await WorktreeWorld.start(
      { WORKTREES_PER_USER: '60', SESSIONS_PER_USER: '50', RUNNER_PERSIST: 'true' },
      FILE,
    );
    grpc = new WorktreeGrpcClient(world.gateway, alice);
  });
  afterAll(async () => {
    grpc.close();
    await world.remove();
  });

  it('are made of the repositories under the project roots, on REST and gRPC alike', async () => {
    const listed = await world.call(alice, 'GET', '/repositories');
    expect(listed.body).toMatchObject({ truncated: false });
    const items = listed.body['items'] as { name: string; path: string; trusted: boolean }[];
    expect(items.map(({ name, trusted }) => [name, trusted])).toEqual([
      ['app', false],
      ['origin.git', false],
      ['trusted', true],
    ]);
    const over = (await grpc.call('ListRepositories', {})) as { items: { name: string }[] };
    expect(over.items.map(({ name }) => name)).toEqual(['app', 'origin.git', 'trusted']);
    const made = await world.create(alice, { name: 'Fix the Äpfel' });
    expect(made).toMatchObject({
      ...{ name: 'Fix the Äpfel', owner: 'alice', state: 'ready', repository: world.repository() },
      ...{ adopted_branch: false, setup_session_id: null, failure: null, removed_at: null, rescue: null },
    });
    expect(git(made.path, 'branch', '--show-current')).toBe(made.branch);
    expect(git(made.path, 'rev-parse', 'HEAD')).toBe(made['base_commit']);
    expect(await show(made.id)).toEqual({ ...made, copied: undefined });
    const { worktree } = (await grpc.call('Create', { repository: 'app', name: 'two' })) as { worktree: Made };
    expect(worktree).toMatchObject({ name: 'two', state: 'WORKTREE_STATE_READY', owner: 'alice' });
    expect((await grpc.call('Get', { id: worktree.id }))['worktree']).toEqual(worktree);
    for (const { id } of [made, worktree])
      expect((await world.call(alice, 'DELETE', `/worktrees/${id}`)).status).toBe(200);
  });

  it('are listed to their owner, page by page, by state and repository', async () => {
    const lister = person('lister');
    const ids: string[] = [];
    for (const name of ['one', 'two', 'three']) ids.unshift((await world.create(lister, { name })).id);
    const first = await world.call(lister, 'GET', '/worktrees?limit=2');
    expect((first.body['items'] as Made[]).map(({ id }) => id)).toEqual(ids.slice(0, 2));
    const next = await world.call(lister, 'GET', `/worktrees?limit=2&cursor=${String(first.body['next_cursor'])}`);
    expect((next.body['items'] as Made[]).map(({ id }) => id)).toEqual(ids.slice(2));
    expect(next.body['next_cursor']).toBeNull();
    await world.call(lister, 'DELETE', `/worktrees/${String(ids[0])}`);
    const count = async (query: string): Promise<number> =>
      ((await world.call(lister, 'GET', `/worktrees?${query}`)).body['items'] as Made[]).length;
    expect(await count('state=ready')).toBe(2);
    expect(await count('state=removed')).toBe(1);
    expect(await count(`repository=${encodeURIComponent(world.repository())}`)).toBe(3);
    expect(await count('repository=/elsewhere')).toBe(0);
    const over = new WorktreeGrpcClient(world.gateway, lister);
    const { items } = (await over.call('List', { state: 'WORKTREE_STATE_REMOVED' })) as { items: Made[] };
    over.close();
    expect(items.map(({ id }) => id)).toEqual(ids.slice(0, 1));
    expect(
      ((await world.call(person('op', ['operator']), 'GET', '/worktrees')).body['items'] as Made[]).length,
    ).toBeGreaterThan(2);
  });

  it('tell what is changed in them', async () => {
    const made = await world.create(alice);
    write(made, 'new.txt');
    const answer = await world.call(alice, 'GET', `/worktrees/${made.id}/status?disk_use=true`);
    expect(answer.body).toMatchObject({
      ...{ branch: made.branch, detached: false, truncated: false, operation: null, live_sessions: 0, sessions: [] },
      files: [{ path: 'new.txt', kind: 'untracked', path_bytes: null, old_path: null }],
    });
    expect(answer.body['disk_bytes']).toBeGreaterThan(0);
    const over = await grpc.call('GetStatus', { id: made.id });
    expect(over).toMatchObject({ branch: made.branch, files: [{ path: 'new.txt', kind: 'untracked' }] });
    expect('disk_bytes' in over).toBe(false);
  });

  it('are made once for all requests with the same id, on two gateways at once', async () => {
    const sibling = await world.gateway.sibling();
    const request = { repository: 'app', name: 'once', request_id: 'r-1' };
    const answers = await Promise.all(
      [world.gateway, sibling, world.gateway].map((gateway) =>
        world.call(alice, 'POST', '/worktrees', request, gateway),
      ),
    );
    await sibling.end();
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 201]);
    expect(new Set(answers.map(({ body }) => body['id'])).size).toBe(1);
    const other = await world.call(alice, 'POST', '/worktrees', { ...request, name: 'other' });
    expect([other.status, codeOf(other)]).toEqual([409, 'IDEMPOTENCY_CONFLICT']);
    expect(reasonOf(await refused(grpc.call('Create', { ...request, name: 'other' })))).toBe('IDEMPOTENCY_CONFLICT');
    const grpcAnswer = await grpc.call('Create', request);
    expect(grpcAnswer).toMatchObject({ idempotent_replay: true, worktree: { id: answers[0]?.body['id'] } });
  });

  it('that could not be made are not in the way of the same request again', async () => {
    const request = { repository: 'app', name: 'later', base_ref: 'not-yet', request_id: 'r-2' };
    const answer = await world.call(alice, 'POST', '/worktrees', request);
    expect([answer.status, codeOf(answer)]).toEqual([422, 'REF_NOT_FOUND']);
    const { items } = (await world.call(alice, 'GET', '/worktrees?state=failed')).body as { items: Made[] };
    expect(items).toMatchObject([{ name: 'later', failure: 'REF_NOT_FOUND', path: '' }]);
    git(world.repository(), 'branch', 'not-yet');
    expect((await world.call(alice, 'POST', '/worktrees', request)).status).toBe(201);
  });

  it('run a setup command as a session, and stay when it fails', async () => {
    const made = await world.create(alice, { repository: 'trusted' });
    const session = async (): Promise<Record<string, unknown>> =>
      (await world.call(alice, 'GET', `/sessions/${String(made.setup_session_id)}`)).body;
    await until('the end of the setup', async () => (await session())['ended_at'] !== null);
    expect(await session()).toMatchObject({ exit_code: 3, worktree_id: made.id, cwd: made.path, name: 'setup fix it' });
    expect(readFileSync(join(made.path, 'made.txt'), 'utf8')).toBe('prepared\n');
    expect((await world.call(alice, 'GET', `/sessions/${String(made.setup_session_id)}/output`)).text).toBe('done');
    // The caller's own comes before the repository's.
    const own = await world.create(alice, { repository: 'trusted', setup: ['/bin/sh', '-c', 'echo own > own.txt'] });
    await until('the other setup', () => existsSync(join(own.path, 'own.txt')));
    expect(existsSync(join(own.path, 'made.txt'))).toBe(false);
    const none = await world.create(alice, { setup: ['/no/such/program'] });
    expect(none).toMatchObject({ state: 'ready', setup_session_id: null, setup_failure: 'START_FAILED' });
  });

  it('run no command of a repository for who may not run any', async () => {
    const narrowed = person('alice', ['user'], { scope: 'worktree:create worktree:remove' });
    const made = await world.create(narrowed, { repository: 'trusted', name: 'quiet' });
    expect(made).toMatchObject({ state: 'ready', setup_session_id: null, setup_failure: 'PERMISSION_DENIED' });
    const answer = await world.call(narrowed, 'DELETE', `/worktrees/${made.id}`);
    const teardown = { session_id: null, exit_code: null, failure: 'PERMISSION_DENIED' };
    expect(answer.body).toMatchObject({ state: 'removed', teardown });
    expect(existsSync(join(made.path, '../torn-down'))).toBe(false);
  });

  it('run a teardown command before they are removed, and tell how it went', async () => {
    const made = await world.create(alice, { repository: 'trusted', setup: ['/bin/true'] });
    await until('nothing lives in it', async () => {
      return (await world.call(alice, 'GET', `/worktrees/${made.id}/status`)).body['live_sessions'] === 0;
    });
    const answer = await world.call(alice, 'DELETE', `/worktrees/${made.id}`);
    expect(answer.body).toMatchObject({ state: 'removed', teardown: { exit_code: 4, failure: 'exited' } });
    expect(readFileSync(join(made.path, '../torn-down'), 'utf8')).toBe('gone\n');
    expect(existsSync(made.path)).toBe(false);
  });

  it('are not removed while work would be lost, which is listed, on record, and still there', async () => {
    const made = await world.create(alice);
    write(made, 'precious.txt');
    const session = await startSession(world.gateway, alice, { command: ['/bin/cat'], worktree_id: made.id });
    const answer = await world.call(alice, 'DELETE', `/worktrees/${made.id}`);
    expect([answer.status, codeOf(answer)]).toEqual([409, 'WOULD_LOSE_WORK']);
    expect(atStake(answer)).toEqual([
      { kind: 'session', what: session },
      { kind: 'untracked', what: 'precious.txt' },
    ]);
    const error = await refused(grpc.call('Remove', { id: made.id }));
    expect([error.code, reasonOf(error)]).toEqual([9, 'WOULD_LOSE_WORK']);
    expect(violationsOf(error)).toEqual([`session ${session}`, 'untracked precious.txt']);
    expect(await show(made.id)).toMatchObject({ state: 'ready' });
    const rows = await world.gateway.audit({ action: 'worktree.remove_refused', resource: `worktree:${made.id}` }, 2);
    expect(rows[0]).toMatchObject({ success: false, reason: 'WOULD_LOSE_WORK', metadata: { at_stake: 2 } });
    expect(await world.gateway.audit({ action: 'worktree.remove', resource: `worktree:${made.id}` }, 0)).toEqual([]);
  });

  it('are removed by force when their name confirms it: sessions end, and the work is put aside', async () => {
    const made = await world.create(alice, { name: 'by force' });
    write(made, 'precious.txt', 'gold\n');
    const session = await startSession(world.gateway, alice, { command: ['/bin/cat'], worktree_id: made.id });
    for (const body of [{ force: true }, { force: true, confirm: 'by forc' }]) {
      const answer = await world.call(alice, 'DELETE', `/worktrees/${made.id}`, body);
      expect([answer.status, codeOf(answer)]).toEqual([409, 'CONFIRMATION_REQUIRED']);
    }
    const error = await refused(grpc.call('Remove', { id: made.id, force: true, confirm: 'x' }));
    expect(reasonOf(error)).toBe('CONFIRMATION_REQUIRED');
    const answer = await world.call(alice, 'DELETE', `/worktrees/${made.id}`, { force: true, confirm: 'by force' });
    expect(answer.body).toMatchObject({ state: 'removed', teardown: null });
    expect((await world.call(alice, 'GET', `/sessions/${session}`)).body).toMatchObject({ state: 'killed' });
    const { rescue } = answer.body as { rescue: { id: string; ref: string } };
    expect(git(world.repository(), 'rev-parse', '--verify', rescue.ref)).toMatch(/^[0-9a-f]{40}$/);
    const { items } = (await world.call(alice, 'GET', '/worktrees/rescues')).body as {
      items: Record<string, unknown>[];
    };
    expect(items[0]).toMatchObject({ id: rescue.id, worktree_id: made.id, name: 'by force', owner: 'alice' });
    const over = (await grpc.call('ListRescues', {})) as { items: { id: string }[] };
    expect(over.items[0]?.id).toBe(rescue.id);
    const others = await world.call(person('stranger'), 'GET', '/worktrees/rescues');
    expect(others.body['items']).toEqual([]);
    const gone = await world.call(alice, 'DELETE', `/worktrees/${made.id}`);
    expect([gone.status, codeOf(gone)]).toEqual([409, 'WORKTREE_NOT_READY']);
    expect(reasonOf(await refused(grpc.call('Remove', { id: made.id })))).toBe('WORKTREE_NOT_READY');
  });

  it('are not removed by force by whom the sessions in them are not to end', async () => {
    const made = await world.create(alice, { name: 'shared' });
    const session = await startSession(world.gateway, person('root', ['admin']), {
      command: ['/bin/cat'],
      worktree_id: made.id,
    });
    const answer = await world.call(alice, 'DELETE', `/worktrees/${made.id}`, { force: true, confirm: 'shared' });
    expect([answer.status, codeOf(answer)]).toEqual([403, 'PERMISSION_DENIED']);
    const request = { id: made.id, force: true, confirm: 'shared' };
    expect(reasonOf(await refused(grpc.call('Remove', request)))).toBe('PERMISSION_DENIED');
    expect((await world.call(person('root', ['admin']), 'GET', `/sessions/${session}`)).body).toMatchObject({
      state: 'running',
    });
    const status = await world.call(alice, 'GET', `/worktrees/${made.id}/status`);
    expect(status.body).toMatchObject({ live_sessions: 1, sessions: [] });
  });

  it('take a session in their folder from whoever may change them, and from nobody else', async () => {
    const made = await world.create(alice);
    const id = await startSession(world.gateway, alice, { command: ['/bin/pwd'], worktree_id: made.id });
    await until('its end', async () => (await world.call(alice, 'GET', `/sessions/${id}`)).body['ended_at'] !== null);
    expect((await world.call(alice, 'GET', `/sessions/${id}/output`)).text.trim()).toBe(made.path);
    const start = (credential: string, body: object): Promise<Answer> =>
      world.call(credential, 'POST', '/sessions', { command: ['/bin/cat'], ...body });
    expect(codeOf(await start(person('mallory'), { worktree_id: made.id }))).toBe('NOT_FOUND');
    expect(codeOf(await start(alice, { worktree_id: crypto.randomUUID() }))).toBe('NOT_FOUND');
    const narrowed = person('alice', ['user'], { scope: 'pty:create worktree:view' });
    expect(codeOf(await start(narrowed, { worktree_id: made.id }))).toBe('PERMISSION_DENIED');
    const both = await start(alice, { worktree_id: made.id, cwd: '/' });
    expect([both.status, codeOf(both)]).toEqual([422, 'INVALID_ARGUMENT']);
    await world.call(alice, 'DELETE', `/worktrees/${made.id}`);
    expect(codeOf(await start(alice, { worktree_id: made.id }))).toBe('WORKTREE_NOT_READY');
  });

  it('are staged, committed by the caller, pushed and rebased over REST', async () => {
    const made = await world.create(alice);
    write(made, 'one.txt');
    write(made, 'two.txt');
    expect((await post(made, 'stage', { paths: ['one.txt', 'two.txt'] })).status).toBe(204);
    expect((await post(made, 'unstage', { paths: ['two.txt'] })).status).toBe(204);
    const session = await startSession(world.gateway, alice, { command: ['/bin/cat'], worktree_id: made.id });
    const committed = await post(made, 'commit', { message: 'one', session_id: session });
    expect(committed.status).toBe(201);
    expect(git(made.path, 'log', '-1', '--format=%H %an <%ae>')).toBe(
      `${String(committed.body['commit'])} alice <alice@default.gatehouse.invalid>`,
    );
    expect(git(made.path, 'log', '-1', '--format=%B')).toContain(`Gatehouse-Session: ${session}`);
    expect((await post(made, 'discard', { path: 'two.txt' })).status).toBe(204);
    expect(existsSync(join(made.path, 'two.txt'))).toBe(false);
    const empty = await post(made, 'commit', { message: 'nothing' });
    expect([empty.status, codeOf(empty)]).toEqual([409, 'NOTHING_TO_COMMIT']);
    const other = await post(made, 'commit', { message: 'x', session_id: crypto.randomUUID() });
    expect([other.status, codeOf(other)]).toEqual([422, 'INVALID_ARGUMENT']);
    const pushed = await post(made, 'push');
    expect(pushed.body).toEqual({ remote: 'origin', branch: made.branch, commit: committed.body['commit'] });
    expect((await post(made, 'rebase')).body).toMatchObject({ result: 'up_to_date', conflicts: [] });
    expect((await post(made, 'merge')).body).toMatchObject({ result: 'up_to_date' });
    const diff = await world.call(alice, 'GET', `/worktrees/${made.id}/diff?path=one.txt`);
    expect(diff.body).toMatchObject({
      files: [{ path: 'one.txt', status: 'A', additions: 1, deletions: 0, binary: false }],
      hunks: [{ lines: ['+text'] }],
    });
    const log = await world.call(alice, 'GET', `/worktrees/${made.id}/log?since_base=true`);
    expect(log.body).toMatchObject({ more: false, commits: [{ subject: 'one', author_name: 'alice' }] });
    const rows = await world.gateway.audit({ action: 'worktree.write', resource: `worktree:${made.id}` }, 8);
    expect(rows.map(({ metadata }) => (metadata as Record<string, unknown>)['operation'])).toEqual([
      ...['stage', 'unstage', 'commit', 'discard', 'commit', 'commit', 'push', 'rebase', 'merge'],
    ]);
  });

  it('are staged, committed and merged over gRPC, and a conflict is told', async () => {
    const made = await world.create(alice);
    const { id } = made;
    write(made, 'readme.md', 'mine\n');
    await grpc.call('Stage', { id });
    await grpc.call('Unstage', { id });
    const { commit } = await grpc.call('Commit', { id, message: 'mine', all: true });
    expect(git(made.path, 'log', '-1', '--format=%H')).toBe(commit);
    expect(git(made.path, 'log', '-1', '--format=%B')).toContain(`Gatehouse-Worktree: ${id}`);
    git(world.repository(), 'checkout', '--quiet', '-b', 'theirs');
    writeFileSync(join(world.repository(), 'readme.md'), 'theirs\n');
    git(world.repository(), 'commit', '--quiet', '--all', '-m', 'theirs');
    git(world.repository(), 'checkout', '--quiet', 'main');
    const merged = await grpc.call('Merge', { id, base_ref: 'theirs' });
    expect(merged).toMatchObject({ result: 'INTEGRATION_RESULT_CONFLICT', conflicts: ['readme.md'], head: commit });
    expect(await grpc.call('Rebase', { id, base_ref: 'theirs' })).toMatchObject({
      result: 'INTEGRATION_RESULT_CONFLICT',
    });
    const diff = (await grpc.call('GetDiff', { id, path: 'readme.md' })) as { hunks: { lines: string[] }[] };
    expect(diff.hunks[0]?.lines).toEqual(['-hello', '+mine']);
    const { commits } = (await grpc.call('GetLog', { id, limit: 1 })) as { commits: { subject: string }[] };
    expect(commits).toMatchObject([{ subject: 'mine', id: commit }]);
    write(made, 'readme.md', 'again\n');
    await grpc.call('Discard', { id, path: 'readme.md' });
    expect(readFileSync(join(made.path, 'readme.md'), 'utf8')).toBe('mine\n');
    expect(await grpc.call('Push', { id })).toMatchObject({ remote: 'origin', commit });
    const { worktree } = (await grpc.call('Remove', { id })) as { worktree: Made };
    expect(worktree.state).toBe('WORKTREE_STATE_REMOVED');
  });
});
