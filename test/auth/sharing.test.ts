import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { waitingFor, whileLocked } from '../support/locks.js';
import { codeOf, rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

const NO_ONE = '01a1fc84-6cb5-7e33-bf1e-bc189c38028f';

describe('sharing a session', () => {
  let gateway: TestGateway;
  let session: string;
  const alice = token();
  const bob = token({ sub: 'bob' });
  const share = (body: object, credential = alice, id = session) =>
    rest(gateway, credential, 'POST', `/api/v1/sessions/${id}/share`, body);
  const get = async (credential: string): Promise<number> =>
    (await rest(gateway, credential, 'GET', `/api/v1/sessions/${session}`)).status;
  const view = { grantee: { kind: 'subject', name: 'bob' }, level: 'view' };

  beforeAll(async () => {
    gateway = await TestGateway.start();
    session = await startSession(gateway, alice, { command: ['/bin/cat'] });
  });
  afterAll(() => gateway.remove());

  it('the grantee watches, finds it in the list, and does nothing else; it is on record', async () => {
    expect(await get(bob)).toBe(404);
    const made = await share(view);
    expect([made.status, made.body]).toEqual([
      201,
      {
        ...{ id: expect.any(String), session_id: session, level: 'view', expires_at: null, created_by: 'alice' },
        ...{ grantee: { kind: 'subject', provider: 'gatehouse', name: 'bob' }, created_at: expect.any(String) },
      },
    ]);
    expect(await get(bob)).toBe(200);
    const items = (await rest(gateway, bob, 'GET', '/api/v1/sessions')).body['items'] as { id: string }[];
    expect(items.map(({ id }) => id)).toEqual([session]);
    const ws = await WsClient.open(gateway, `/ws/pty?id=${session}`, { credential: bob });
    expect(await ws.next('attached')).toMatchObject({ mode: 'viewer' });
    ws.send({ type: 'input', data: 'x' });
    expect(await ws.next('error')).toMatchObject({ code: 'PERMISSION_DENIED' });
    ws.close();
    for (const [method, path, body] of [
      ['DELETE', '', undefined],
      ['POST', '/input', { data: 'x' }],
      ['POST', '/signal', { signal: 'INT' }],
      ['POST', '/share', view],
      ['GET', '/share', undefined],
    ] as const) {
      const answer = await rest(gateway, bob, method, `/api/v1/sessions/${session}${path}`, body);
      expect([path, answer.status, codeOf(answer)]).toEqual([path, 403, 'PERMISSION_DENIED']);
    }
    const [row] = await gateway.audit({ action: 'pty.share', resource: `session:${session}`, success: true });
    expect(row?.['metadata']).toMatchObject({
      grantee_kind: 'subject',
      grantee_provider: 'gatehouse',
      grantee: 'bob',
      level: 'view',
    });
  });

  it('shared for input, the grantee types and sets the size, and neither signals nor kills', async () => {
    const again = await share({ ...view, level: 'input' });
    const list = await rest(gateway, alice, 'GET', `/api/v1/sessions/${session}/share`);
    // The same grantee again replaces the share.
    expect(list.body['items']).toEqual([again.body]);
    const post = (path: string, body: object) => rest(gateway, bob, 'POST', `/api/v1/sessions/${session}${path}`, body);
    expect((await post('/input', { data: 'x\n' })).status).toBe(204);
    expect((await post('/resize', { cols: 90, rows: 30 })).status).toBe(204);
    expect((await post('/signal', { signal: 'INT' })).status).toBe(403);
    expect((await rest(gateway, bob, 'DELETE', `/api/v1/sessions/${session}`)).status).toBe(403);
  });

  it('a group is let in as one, another provider’s group of the same name is not', async () => {
    const member = token({ sub: 'gwen', groups: ['crew'] });
    await share({ grantee: { kind: 'group', provider: 'okta', name: 'crew' }, level: 'view' });
    expect(await get(member)).toBe(404);
    await share({ grantee: { kind: 'group', name: 'crew' }, level: 'view' });
    expect(await get(member)).toBe(200);
    expect(await get(token({ sub: 'gwen' }))).toBe(404);
  });

  it('a share gives nobody what their roles do not hold, and reaches into no other tenant', async () => {
    expect(await get(token({ sub: 'bob', roles: [] }))).toBe(403);
    expect(await get(token({ sub: 'bob', roles: ['admin'], tenant: 'other' }))).toBe(404);
  });

  it('nobody shares what they could not do themselves', async () => {
    const narrow = token({ scope: `pty:share@${session} pty:view@${session}` });
    expect((await share({ ...view, level: 'input' }, narrow)).status).toBe(403);
    expect((await share(view, narrow)).status).toBe(201);
  });

  it('the same over gRPC, each refusal too', async () => {
    const grpc = new GrpcClient(gateway, alice);
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const grantee = { kind: 'GRANTEE_KIND_SUBJECT', name: 'bob' };
    const ends = Math.floor(Date.now() / 1000) + 3600;
    const { share: made } = (await grpc.call('share', {
      ...{ id, grantee, level: 'SHARE_LEVEL_VIEW', expires_at: { seconds: ends, nanos: 0 } },
    })) as { share: Record<string, unknown> };
    expect(made).toMatchObject({ session_id: id, level: 'SHARE_LEVEL_VIEW', expires_at: { seconds: ends } });
    expect(made['grantee']).toMatchObject({ kind: 'GRANTEE_KIND_SUBJECT', provider: 'gatehouse', name: 'bob' });
    expect((await grpc.call('listShares', { id }))['items']).toHaveLength(1);
    const bobs = new GrpcClient(gateway, bob);
    expect(await bobs.call('get', { id })).toBeDefined();
    for (const [method, request] of [
      ['share', { id, grantee, level: 'SHARE_LEVEL_INPUT' }],
      ['listShares', { id }],
      ['unshare', { id, share: made['id'] }],
    ] as const) {
      expect(reasonOf(await refused(bobs.call(method, request)))).toBe('PERMISSION_DENIED');
      expect(reasonOf(await refused(bobs.call(method, { ...request, id: NO_ONE })))).toBe('NOT_FOUND');
    }
    await grpc.call('unshare', { id, share: made['id'] });
    expect(reasonOf(await refused(grpc.call('unshare', { id, share: made['id'] })))).toBe('NOT_FOUND');
    expect(reasonOf(await refused(bobs.call('get', { id })))).toBe('NOT_FOUND');
    for (const wrong of [
      { id, level: 'SHARE_LEVEL_VIEW' },
      { id, grantee, level: 'SHARE_LEVEL_UNSPECIFIED' },
      { id, grantee: { ...grantee, kind: 'GRANTEE_KIND_UNSPECIFIED' }, level: 'SHARE_LEVEL_VIEW' },
      { id, grantee, level: 'SHARE_LEVEL_VIEW', expires_at: { seconds: 5 } },
      { id, grantee, level: 'SHARE_LEVEL_VIEW', expires_at: { seconds: 9e15 } },
    ]) {
      expect(reasonOf(await refused(grpc.call('share', wrong)))).toBe('INVALID_ARGUMENT');
    }
    grpc.close();
    bobs.close();
  });

  it.each<[string, object]>([
    ['nobody', { level: 'view' }],
    ['an unknown level', { ...view, level: 'admin' }],
    ['an unknown kind of grantee', { ...view, grantee: { kind: 'role', name: 'admin' } }],
    ['an empty name', { ...view, grantee: { kind: 'subject', name: '' } }],
    ['a name with a line break', { ...view, grantee: { kind: 'subject', name: 'a\nb' } }],
    ['an end that is past', { ...view, expires_at: '2020-01-01T00:00:00Z' }],
    ['an end that is no time', { ...view, expires_at: 'tomorrow' }],
    ['more than it knows', { ...view, tenant: 'other' }],
  ])('%s is refused', async (_what, body) => {
    const answer = await share(body);
    expect([answer.status, codeOf(answer)]).toEqual([422, 'INVALID_ARGUMENT']);
  });

  it('unknown sessions and shares are not found, and a session has so many shares at most', async () => {
    expect((await share(view, alice, NO_ONE)).status).toBe(404);
    expect((await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${session}/share/${NO_ONE}`)).status).toBe(404);
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    for (let each = 0; each < 50; each += 1) {
      await share({ grantee: { kind: 'subject', name: `n${String(each)}` }, level: 'view' }, alice, id);
    }
    const more = await share({ grantee: { kind: 'subject', name: 'one more' }, level: 'view' }, alice, id);
    expect([more.status, codeOf(more)]).toEqual([429, 'SESSION_LIMIT']);
  });

  it('calls at the same time do not get past the number of shares of a session', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const answers = await Promise.all(
      Array.from({ length: 56 }, (_, n) => share({ ...view, grantee: { kind: 'subject', name: `p${n}` } }, alice, id)),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(50);
    expect(answers.filter((answer) => codeOf(answer) === 'SESSION_LIMIT')).toHaveLength(6);
  });

  it('the id of another tenant’s session is looked for as one that does not exist', async () => {
    const foreign = token({ sub: 'eve', tenant: 'elsewhere', roles: ['admin'] });
    expect(await get(alice)).toBe(200);
    await whileLocked(gateway, 'sessions', async () => {
      const answers = [session, NO_ONE].map((id) => rest(gateway, foreign, 'GET', `/api/v1/sessions/${id}`));
      await until('both being looked for', async () => (await waitingFor(gateway, 'sessions')) === 2);
      void Promise.allSettled(answers);
    });
    expect(await get(foreign)).toBe(404);
  });
});
