import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { PERMISSIONS } from '../../src/authorization/permissions.js';
import { TestGateway, token } from '../support/gateway.js';
import { type Answer, codeOf, rest, startSession } from '../support/rest.js';

const BINDINGS = '/api/v1/policy/bindings';
const EXPLAIN = '/api/v1/policy/explain';
const NO_ONE = '01a1fc84-6cb5-7e33-bf1e-bc189c38028f';
const root = token({ sub: 'root', roles: ['admin'] });
const alice = token();

type Item = Record<string, unknown>;
const items = ({ body }: Answer): Item[] => body['items'] as Item[];
const fieldsOf = ({ body }: Answer): unknown =>
  ((body['error'] as { details?: { fields?: Item[] } }).details?.fields ?? []).map(({ field }) => field);
const binding = (role: string, name: string, kind = 'subject', provider = 'gatehouse') => ({
  role,
  member: { kind, provider, name },
});

describe('the policy over REST', () => {
  let gateway: TestGateway;
  const call = (credential: string | null, method: string, path: string, body?: unknown): Promise<Answer> =>
    rest(gateway, credential, method, path, body);

  beforeAll(async () => {
    gateway = await TestGateway.start();
  });
  afterAll(() => gateway.remove());

  it('says which roles and permissions there are', async () => {
    const roles = items(await call(root, 'GET', '/api/v1/policy/roles'));
    expect(roles.map(({ name, built_in }) => [name, built_in])).toEqual(
      ['admin', 'operator', 'user', 'viewer', 'auditor'].map((name) => [name, true]),
    );
    expect(roles[3]?.['permissions']).toEqual(['pty:view', 'agent:view', 'worktree:view']);
    const permissions = items(await call(root, 'GET', '/api/v1/policy/permissions'));
    expect(permissions.map(({ name }) => name)).toEqual([...PERMISSIONS]);
    expect(permissions).toContainEqual({ name: 'pty:kill', any: 'pty:kill_any', roles: ['admin', 'operator', 'user'] });
  });

  it('tells anybody what they have themselves, and nobody without a credential', async () => {
    const scoped = token({ roles: ['user', 'unheard-of'], scope: 'pty:view audit:read pty:input@s1' });
    expect((await call(scoped, 'GET', '/api/v1/policy/effective')).body).toEqual({
      roles: ['user'],
      permissions: ['pty:view', 'pty:input@s1'],
    });
    expect((await call(null, 'GET', '/api/v1/policy/effective')).status).toBe(401);
  });

  it.each([
    ['GET', '/api/v1/policy/roles', undefined],
    ['GET', '/api/v1/policy/permissions', undefined],
    ['GET', BINDINGS, undefined],
    ['PUT', BINDINGS, binding('viewer', 'x')],
    ['DELETE', BINDINGS, binding('viewer', 'x')],
    ['POST', EXPLAIN, { subject: 'alice', permission: 'pty:kill' }],
  ])('%s %s is refused to a user and to a stranger', async (method, path, body) => {
    const answer = await call(alice, method, path, body);
    expect([answer.status, codeOf(answer)]).toEqual([403, 'PERMISSION_DENIED']);
    expect((await call(null, method, path, body)).status).toBe(401);
  });

  it('an auditor reads the policy and changes nothing', async () => {
    const auditor = token({ sub: 'audrey', roles: ['auditor'] });
    expect((await call(auditor, 'GET', BINDINGS)).status).toBe(200);
    for (const method of ['PUT', 'DELETE']) {
      expect((await call(auditor, method, BINDINGS, binding('auditor', 'x'))).status).toBe(403);
    }
  });

  it('a bound role is in force with the answer, bound once, on record, and gone with its removal', async () => {
    const dave = token({ sub: 'dave', roles: [], groups: [] });
    const create = async (): Promise<number> =>
      (await call(dave, 'POST', '/api/v1/sessions', { command: ['/bin/cat'] })).status;
    expect(await create()).toBe(403);
    const made = await call(root, 'PUT', BINDINGS, binding('user', 'dave'));
    expect([made.status, made.body]).toEqual([
      200,
      {
        ...binding('user', 'dave'),
        ...{ id: expect.any(String), tenant: 'default', source: 'stored', created_by: 'root' },
        created_at: expect.any(String),
      },
    ]);
    expect(await create()).toBe(201);
    const again = await call(token({ sub: 'root2', roles: ['admin'] }), 'PUT', BINDINGS, binding('user', 'dave'));
    expect([again.status, again.body]).toEqual([200, made.body]);
    const removed = await call(root, 'DELETE', BINDINGS, binding('user', 'dave'));
    expect([removed.status, removed.text]).toEqual([204, '']);
    expect(await create()).toBe(403);
    const gone = await call(root, 'DELETE', BINDINGS, binding('user', 'dave'));
    expect([gone.status, codeOf(gone)]).toEqual([404, 'NOT_FOUND']);
    for (const action of ['policy.role_assigned', 'policy.role_removed']) {
      const [event] = await gateway.audit({ action, user_id: 'root', resource: 'role:user', success: true });
      expect(event?.['metadata']).toEqual({ member_kind: 'subject', member_provider: 'gatehouse', member: 'dave' });
    }
  });

  it('a role is bound to a group, and readonly is viewer', async () => {
    const erin = token({ sub: 'erin', roles: [], groups: ['team'] });
    const made = await call(root, 'PUT', BINDINGS, binding('readonly', 'team', 'group'));
    expect(made.body['role']).toBe('viewer');
    const effective = async (credential: string): Promise<unknown> =>
      (await call(credential, 'GET', '/api/v1/policy/effective')).body['roles'];
    expect(await effective(erin)).toEqual(['viewer']);
    expect(await effective(token({ sub: 'team', roles: [] }))).toEqual([]);
    expect(await effective(token({ sub: 'erin', roles: [], groups: ['team'], tenant: 'other' }))).toEqual([]);
    expect((await call(root, 'DELETE', BINDINGS, binding('readonly', 'team', 'group'))).status).toBe(204);
    expect(await effective(erin)).toEqual([]);
  });

  it('a binding that was stored under the name readonly is found and removed by either name', async () => {
    for (const role of ['viewer', 'readonly']) {
      await gateway.query(
        `INSERT INTO role_bindings (id, tenant, role, member_kind, member_provider, member, created_by)
         VALUES (gen_random_uuid(), 'default', 'readonly', 'subject', 'gatehouse', 'old', 'psql')`,
      );
      const made = await call(root, 'PUT', BINDINGS, binding('viewer', 'old'));
      expect([made.status, made.body['created_by']]).toEqual([200, 'psql']);
      expect((await call(root, 'DELETE', BINDINGS, binding(role, 'old'))).status).toBe(204);
      const effective = await call(token({ sub: 'old', roles: [] }), 'GET', '/api/v1/policy/effective');
      expect(effective.body['roles']).toEqual([]);
    }
    expect(await gateway.query(`SELECT 1 FROM role_bindings WHERE member = 'old'`)).toEqual([]);
  });

  it('a binding that was made in the database by hand counts within a second', async () => {
    const hand = token({ sub: 'hand', roles: [] });
    await gateway.query(
      `INSERT INTO role_bindings (id, tenant, role, member_kind, member_provider, member, created_by)
       VALUES (gen_random_uuid(), 'default', 'viewer', 'subject', 'gatehouse', 'hand', 'psql')`,
    );
    const roles = async (): Promise<unknown> => (await call(hand, 'GET', '/api/v1/policy/effective')).body['roles'];
    const deadline = Date.now() + 10_000;
    while (JSON.stringify(await roles()) !== '["viewer"]' && Date.now() < deadline)
      await new Promise((done) => setTimeout(done, 50));
    expect(await roles()).toEqual(['viewer']);
  });

  it('bindings are listed in pages, and those of another tenant are nobody’s business', async () => {
    const boss = token({ sub: 'boss', roles: ['admin'], tenant: 'pages' });
    for (const name of ['a', 'b', 'c']) await call(boss, 'PUT', BINDINGS, binding('viewer', name));
    const listed: unknown[] = [];
    let cursor: unknown = null;
    do {
      const page = await call(
        boss,
        'GET',
        `${BINDINGS}?limit=2${typeof cursor === 'string' ? `&cursor=${cursor}` : ''}`,
      );
      listed.push(...items(page).map(({ member }) => (member as { name: string }).name));
      cursor = page.body['next_cursor'];
    } while (cursor !== null);
    expect(listed).toEqual(['c', 'b', 'a']);
    const theirs = items(await call(root, 'GET', BINDINGS));
    expect(theirs.filter(({ tenant }) => tenant !== 'default')).toEqual([]);
    expect((await call(root, 'DELETE', BINDINGS, binding('viewer', 'a'))).status).toBe(404);
    for (const wrong of ['limit=0', 'limit=101', 'limit=x', 'cursor=x', 'cursor=file:-1', 'tenant=pages']) {
      expect([wrong, (await call(boss, 'GET', `${BINDINGS}?${wrong}`)).status]).toEqual([wrong, 422]);
    }
  });

  it.each([
    ['an unknown role', binding('root', 'x'), ['role']],
    ['what is no role', binding('Admin', 'x'), ['role']],
    ['a role of an object’s own name', binding('__proto__', 'x'), ['role']],
    ['no member', { role: 'viewer' }, ['member']],
    ['an unknown kind of member', binding('viewer', 'x', 'everyone'), ['member.kind']],
    ['an empty name', binding('viewer', ''), ['member.name', 'member.name']],
    ['a name with a line break', binding('viewer', 'x\ny'), ['member.name']],
    ['a name that is too long', binding('viewer', 'x'.repeat(257)), ['member.name']],
    ['half a character', binding('viewer', '\ud800'), ['member.name']],
    ['a tenant', { ...binding('viewer', 'x'), tenant: 'other' }, ['(request)']],
  ])('%s is not bound, and the field is named', async (_, body, fields) => {
    const answer = await call(root, 'PUT', BINDINGS, body);
    expect([answer.status, codeOf(answer), fieldsOf(answer)]).toEqual([422, 'INVALID_ARGUMENT', fields]);
  });

  it('nobody binds a role that holds more than they have, an administrator with a narrowed token included', async () => {
    const narrowed = token({ sub: 'narrow', roles: ['admin'], scope: 'policy:* pty:view' });
    for (const role of ['admin', 'user', 'viewer']) {
      const answer = await call(narrowed, 'PUT', BINDINGS, binding(role, 'narrow'));
      expect([role, answer.status, codeOf(answer)]).toEqual([role, 403, 'PERMISSION_DENIED']);
    }
    const [event] = await gateway.audit({ action: 'policy.role_assigned', user_id: 'narrow', resource: 'role:admin' });
    expect(event).toMatchObject({ success: false, reason: 'PERMISSION_DENIED', metadata: { member: 'narrow' } });
    expect(await gateway.query(`SELECT 1 FROM role_bindings WHERE member = 'narrow'`)).toEqual([]);
  });

  describe('explains', () => {
    const explain = (credential: string, question: Item): Promise<Answer> =>
      call(credential, 'POST', EXPLAIN, question);

    it('what a subject may do with a session, and why', async () => {
      const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
      const resource = `session:${id}`;
      const own = await explain(root, { subject: 'alice', permission: 'pty:kill', resource });
      expect([own.status, own.body]).toEqual([
        200,
        {
          allow: true,
          rule: 'owner:user',
          roles: ['user'],
          reasons: expect.arrayContaining(['The session is their own.']),
        },
      ]);
      const bob = { subject: 'bob', roles: ['user'], permission: 'pty:kill', resource };
      expect((await explain(root, bob)).body).toMatchObject({ allow: false, rule: 'not_owner' });
      expect((await explain(root, { ...bob, roles: ['operator'] })).body).toMatchObject({ rule: 'any:pty:kill_any' });
      expect((await explain(root, { ...bob, roles: ['operator'], scopes: ['pty:kill'] })).body).toMatchObject({
        rule: 'not_owner',
      });
      expect(
        (await explain(root, { subject: 'alice', scopes: [], permission: 'pty:kill', resource })).body,
      ).toMatchObject({
        rule: 'scope',
      });
    });

    it('what a key may do', async () => {
      const { body } = await call(gateway.adminKey, 'GET', '/api/v1/policy/effective');
      expect(body['roles']).toEqual(['admin']);
      const [, , key = ''] = gateway.adminKey.split('_');
      expect((await explain(root, { key, permission: 'policy:write' })).body).toMatchObject({
        allow: true,
        rule: 'role:admin',
      });
      const foreign = token({ sub: 'boss', roles: ['admin'], tenant: 'other' });
      expect((await explain(foreign, { key, permission: 'policy:write' })).status).toBe(404);
    });

    it('nothing of a session that the asker may not know of', async () => {
      const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
      const ask = (credential: string, session: string): Promise<Answer> =>
        explain(credential, { subject: 'alice', permission: 'pty:kill', resource: `session:${session}` });
      const strangers = [token({ sub: 'audrey', roles: ['auditor'] }), token({ roles: ['admin'], tenant: 'other' })];
      for (const credential of strangers) {
        const answers = [await ask(credential, id), await ask(credential, NO_ONE)];
        expect(answers.map((answer) => [answer.status, codeOf(answer)])).toEqual(Array(2).fill([404, 'NOT_FOUND']));
      }
      expect((await ask(root, NO_ONE)).status).toBe(404);
    });

    it('a session with permissions about sessions only, whatever else the asker may see', async () => {
      const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
      const narrowed = token({ sub: 'keys', roles: ['admin'], scope: 'policy:read api_key:* agent:*' });
      for (const session of [id, NO_ONE]) {
        const about = (permission: string): Promise<Answer> =>
          explain(narrowed, { subject: 'alice', permission, resource: `session:${session}` });
        for (const permission of ['api_key:view', 'agent:view', 'policy:read']) {
          const answer = await about(permission);
          expect([permission, answer.status, fieldsOf(answer)]).toEqual([permission, 422, ['resource']]);
        }
        expect((await about('pty:view')).status).toBe(404);
      }
    });

    it.each([
      ['nobody', { permission: 'pty:kill' }, ['subject']],
      ['a subject and a key', { subject: 'a', key: '0123456789abcdef', permission: 'pty:kill' }, ['subject']],
      ['a key with other roles', { key: '0123456789abcdef', roles: [], permission: 'pty:kill' }, ['key']],
      ['what is no key', { key: 'x', permission: 'pty:kill' }, ['key']],
      ['an unknown permission', { subject: 'a', permission: 'pty:attach' }, ['permission']],
      ['an old name', { subject: 'a', permission: 'KillSession' }, ['permission']],
      ['another tenant', { subject: 'a', tenant: 'other', permission: 'pty:kill' }, ['tenant']],
      ['what is no resource', { subject: 'a', permission: 'pty:kill', resource: 'x' }, ['resource']],
      ['an unknown kind of resource', { subject: 'a', permission: 'pty:kill', resource: 'ship:1' }, ['resource']],
      ['a field that there is not', { subject: 'a', permission: 'pty:kill', admin: true }, ['(request)']],
    ])('not for %s', async (_, question, fields) => {
      const answer = await explain(root, question);
      expect([answer.status, fieldsOf(answer)]).toEqual([422, fields]);
    });
  });
});
