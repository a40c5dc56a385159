import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { token } from '../support/gateway.js';
import { reasonOf, refused } from '../support/grpc-client.js';
import { codeOf } from '../support/rest.js';
import { type Made, WorktreeGrpcClient, WorktreeWorld } from '../support/worktrees.js';

/** Every call about one worktree: on REST, on gRPC, and the permission it needs. */
const CALLS = [
  ['GET', '', undefined, 'Get', {}, 'view'],
  ['GET', '/status', undefined, 'GetStatus', {}, 'view'],
  ['GET', '/diff', undefined, 'GetDiff', {}, 'view'],
  ['GET', '/log', undefined, 'GetLog', {}, 'view'],
  ['POST', '/stage', {}, 'Stage', {}, 'write'],
  ['POST', '/unstage', {}, 'Unstage', {}, 'write'],
  ['POST', '/discard', { path: 'x' }, 'Discard', { path: 'x' }, 'write'],
  ['POST', '/commit', { message: 'x' }, 'Commit', { message: 'x' }, 'write'],
  ['POST', '/push', {}, 'Push', {}, 'write'],
  ['POST', '/merge', {}, 'Merge', {}, 'write'],
  ['POST', '/rebase', {}, 'Rebase', {}, 'write'],
  ['DELETE', '', undefined, 'Remove', {}, 'remove'],
] as const;
const LONG_PATH = 'p'.repeat(4097);

describe('what is refused of worktrees', () => {
  let world: WorktreeWorld;
  let made: Made;
  const alice = token();
  const person = (sub: string, roles = ['user'], claims: object = {}): string => token({ sub, roles, ...claims });
  const over = async <T>(credential: string | null, use: (grpc: WorktreeGrpcClient) => Promise<T>): Promise<T> => {
    const grpc = new WorktreeGrpcClient(world.gateway, credential);
    return use(grpc).finally(() => {
      grpc.close();
    });
  };
  const refusedOver = (credential: string | null, method: string, request: object): Promise<[number, string]> =>
    over(credential, async (grpc) => {
      const error = await refused(grpc.call(method, request));
      return [error.code, reasonOf(error)];
    });

  beforeAll(async () => {
    world = await WorktreeWorld.start({ WORKTREES_PER_USER: '2', WORKTREES_PER_TENANT: '4' });
    made = await world.create(alice);
  });
  afterAll(() => world.remove());

  it.each(CALLS)('%s %s to who may not: strangers, other tenants, narrowed keys, nobody', async (...call) => {
    const [method, path, body, rpc, request, permission] = call;
    const address = `/worktrees/${made.id}${path}`;
    for (const credential of [person('mallory'), person('alice', ['user'], { tenant: 'other' })]) {
      const answer = await world.call(credential, method, address, body);
      expect([answer.status, codeOf(answer)]).toEqual([404, 'NOT_FOUND']);
      expect(await refusedOver(credential, rpc, { id: made.id, ...request })).toEqual([5, 'NOT_FOUND']);
    }
    const unknown = await world.call(alice, method, `/worktrees/${randomUUID()}${path}`, body);
    expect([unknown.status, codeOf(unknown)]).toEqual([404, 'NOT_FOUND']);
    expect(await refusedOver(alice, rpc, { id: randomUUID(), ...request })).toEqual([5, 'NOT_FOUND']);
    const others = ['view', 'write', 'remove'].filter((each) => each !== permission).map((each) => `worktree:${each}`);
    const narrowed = person('alice', ['user'], { scope: others.join(' ') });
    const answer = await world.call(narrowed, method, address, body);
    expect([answer.status, codeOf(answer)]).toEqual([403, 'PERMISSION_DENIED']);
    expect(await refusedOver(narrowed, rpc, { id: made.id, ...request })).toEqual([7, 'PERMISSION_DENIED']);
    expect((await world.call(null, method, address, body)).status).toBe(401);
    expect(await refusedOver(null, rpc, { id: made.id, ...request })).toEqual([16, 'AUTH_TOKEN_MISSING']);
  });

  it('a worktree of somebody else to an auditor, and to who only views, making one', async () => {
    for (const roles of [['auditor'], ['viewer']]) {
      const credential = person('looker', roles);
      const answer = await world.call(credential, 'POST', '/worktrees', { repository: 'app', name: 'no' });
      expect([answer.status, codeOf(answer)]).toEqual([403, 'PERMISSION_DENIED']);
      expect(await refusedOver(credential, 'Create', { repository: 'app', name: 'no' })).toEqual([
        7,
        'PERMISSION_DENIED',
      ]);
      expect((await world.call(credential, 'GET', '/repositories')).status).toBe(403);
      expect(await refusedOver(credential, 'ListRepositories', {})).toEqual([7, 'PERMISSION_DENIED']);
    }
    for (const path of ['/worktrees', '/worktrees/rescues']) {
      expect((await world.call(person('clerk', ['auditor']), 'GET', path)).status).toBe(403);
    }
    expect(await refusedOver(person('clerk', ['auditor']), 'List', {})).toEqual([7, 'PERMISSION_DENIED']);
    expect(await refusedOver(person('clerk', ['auditor']), 'ListRescues', {})).toEqual([7, 'PERMISSION_DENIED']);
  });

  it('any repository but the one that a credential is narrowed to', async () => {
    const narrowed = person('alice', ['user'], { scope: 'worktree:create@trusted' });
    const answer = await world.call(narrowed, 'POST', '/worktrees', { repository: 'app', name: 'no' });
    expect([answer.status, codeOf(answer)]).toEqual([403, 'PERMISSION_DENIED']);
    const { items } = (await world.call(narrowed, 'GET', '/repositories')).body as { items: { name: string }[] };
    expect(items.map(({ name }) => name)).toEqual(['trusted']);
  });

  it('a setup command of one’s own without pty:create', async () => {
    const narrowed = person('alice', ['user'], { scope: 'worktree:create' });
    const request = { repository: 'app', name: 'no', setup: ['/bin/true'] };
    const answer = await world.call(narrowed, 'POST', '/worktrees', request);
    expect([answer.status, codeOf(answer)]).toEqual([403, 'PERMISSION_DENIED']);
    expect(await refusedOver(narrowed, 'Create', request)).toEqual([7, 'PERMISSION_DENIED']);
  });

  it.each([
    ['POST', '', { repository: 'app' }, 'name'],
    ['POST', '', { repository: 'app', name: 'a\nb' }, 'name'],
    ['POST', '', { repository: LONG_PATH, name: 'x' }, 'repository'],
    ['POST', '', { repository: 'a\0b', name: 'x' }, 'repository'],
    ['POST', '', { repository: 'app', name: 'x', base_ref: '--upload-pack=x' }, 'base_ref'],
    ['POST', '', { repository: 'app', name: 'x', existing_branch: 'a..b' }, 'existing_branch'],
    ['POST', '', { repository: 'app', name: 'x', copy: Array(51).fill('*') }, 'copy'],
    ['POST', '', { repository: 'app', name: 'x', copy: ['../secret'] }, 'copy.0'],
    ['POST', '', { repository: 'app', name: 'x', setup: [''] }, 'setup'],
    ['POST', '', { repository: 'app', name: 'x', request_id: 'a b' }, 'request_id'],
    ['POST', '', { repository: 'app', name: 'x', fetch: 'yes' }, 'fetch'],
    ['POST', '/stage', { paths: Array(1001).fill('x') }, 'paths'],
    ['POST', '/stage', { paths: ['/etc/passwd'] }, 'paths.0'],
    ['POST', '/unstage', { paths: ['a/../../b'] }, 'paths.0'],
    ['POST', '/discard', {}, 'path'],
    ['POST', '/discard', { path: LONG_PATH }, 'path'],
    ['POST', '/commit', { message: ' \n' }, 'message'],
    ['POST', '/commit', { message: 'x'.repeat(65_537) }, 'message'],
    ['POST', '/push', { remote: '--force' }, 'remote'],
    ['POST', '/merge', { base_ref: 'a b' }, 'base_ref'],
    ['POST', '/rebase', { base_ref: '' }, 'base_ref'],
    ['DELETE', '', { force: 1 }, 'force'],
  ])('%s %s with what is not valid, naming it (%#)', async (method, path, body, field) => {
    const address = method === 'POST' && path === '' ? '/worktrees' : `/worktrees/${made.id}${path}`;
    const answer = await world.call(alice, method, address, body);
    const { details } = answer.body['error'] as { details: { fields: { field: string }[] } };
    expect([answer.status, codeOf(answer), details.fields[0]?.field]).toEqual([422, 'INVALID_ARGUMENT', field]);
    const extra = await world.call(alice, method, address, { ...body, surprise: 1 });
    expect([extra.status, codeOf(extra)]).toEqual([422, 'INVALID_ARGUMENT']);
  });

  it.each([
    ['/worktrees?limit=101', 'limit'],
    ['/worktrees?state=gone', 'state'],
    ['/worktrees?cursor=x', 'cursor'],
    ['/worktrees/rescues?limit=0', 'limit'],
    ['/worktrees/ID/status?disk_use=1', 'disk_use'],
    ['/worktrees/ID/log?after=main', 'after'],
    ['/worktrees/ID/diff?against=-x', 'against'],
  ])('GET %s, naming the field', async (path, field) => {
    const answer = await world.call(alice, 'GET', path.replace('ID', made.id));
    const { details } = answer.body['error'] as { details: { fields: { field: string }[] } };
    expect([answer.status, details.fields[0]?.field]).toEqual([422, field]);
  });

  it.each([
    ['Create', { repository: 'app', name: '' }, 'name'],
    ['Create', { repository: 'app', name: 'x', base_ref: 'a~1' }, 'base_ref'],
    ['List', { limit: 101 }, 'limit'],
    ['GetLog', { limit: 0 }, 'limit'],
    ['Stage', { paths: ['../x'] }, 'paths.0'],
    ['Discard', { path: '' }, 'path'],
    ['Commit', { message: '' }, 'message'],
    ['Push', { remote: '-x' }, 'remote'],
    ['Merge', { base_ref: '@{0}' }, 'base_ref'],
    ['Rebase', { base_ref: 'x.lock' }, 'base_ref'],
    ['Remove', { confirm: '' }, 'confirm'],
  ])('%s over gRPC with what is not valid, naming it', async (method, request, field) => {
    const named = method === 'Create' || method === 'List' ? request : { id: made.id, ...request };
    const error = await over(alice, (grpc) => refused(grpc.call(method, named)));
    expect([error.code, reasonOf(error)]).toEqual([3, 'INVALID_ARGUMENT']);
    expect(error.details).toContain(`${field}: `);
  });

  it('a repository that is not under a project root', async () => {
    for (const repository of ['/', '/etc', 'no-such', '../..']) {
      const answer = await world.call(alice, 'POST', '/worktrees', { repository, name: 'x' });
      expect([answer.status, codeOf(answer)]).toEqual([422, 'REPOSITORY_NOT_ALLOWED']);
      expect(await refusedOver(alice, 'Create', { repository, name: 'x' })).toEqual([9, 'REPOSITORY_NOT_ALLOWED']);
    }
  });

  it('more worktrees than a user, and than a tenant, may have', async () => {
    await world.create(alice, { name: 'second' });
    const third = await world.call(alice, 'POST', '/worktrees', { repository: 'app', name: 'third' });
    expect([third.status, codeOf(third)]).toEqual([429, 'WORKTREE_LIMIT']);
    expect(await refusedOver(alice, 'Create', { repository: 'app', name: 'third' })).toEqual([8, 'WORKTREE_LIMIT']);
    const bob = person('bob');
    const answers = await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        world.call(name === 'c' ? person('carol') : bob, 'POST', '/worktrees', { repository: 'app', name }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, 201, 429]);
    const elsewhere = person('alice', ['user'], { tenant: 'Other Tenant' });
    expect(await world.create(elsewhere)).toMatchObject({ state: 'ready' });
  });
});
