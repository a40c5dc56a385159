import { describe, expect, it } from '@jest/globals';
import { accessRefusal, isListEntry, matchesEntry } from '../../src/auth/providers/access-lists.js';
import { authFileSchema, type ProviderConfig } from '../../src/auth/providers/auth-config.js';
import { providerPrincipal } from '../../src/auth/providers/provider-claims.js';
import { DomainError } from '../../src/kernel/errors.js';
import type { Principal } from '../../src/kernel/principal.js';

const schema = (production = false, providers?: string) =>
  authFileSchema({ production, AUTH_JWKS_PROVIDERS: providers });

const BASE = { name: 'idp', issuer: 'https://idp.example.com', discovery: true, audiences: ['gatehouse'] };

function provider(members: object = {}): ProviderConfig {
  const [only] = schema().parse({ authentication: { jwks_providers: [{ ...BASE, ...members }] } }).jwks_providers;
  if (!only) throw new Error('no provider');
  return only;
}

const read = (payload: object, members: object = {}): Principal =>
  providerPrincipal(payload as Record<string, unknown>, provider(members), {
    issuedAt: 1000,
    expires: 2000,
    notBefore: null,
  });

function reasonOf(payload: object, members: object = {}): unknown {
  try {
    read(payload, members);
  } catch (error) {
    return error instanceof DomainError ? `${error.code} ${String(error.reason)}` : error;
  }
  return 'accepted';
}

describe('claims of a provider', () => {
  it('of Backstage: groups from both places, each once, and nothing that is no group', () => {
    const payload = {
      sub: 'user:default/ada',
      ent: ['user:default/ada', 'group:default/platform'],
      usc: {
        displayName: 'Ada',
        email: 'ada@example.com',
        ownershipEntityRefs: ['group:default/platform', 'group:default/sre'],
      },
    };
    expect(read(payload, { preset: 'backstage' })).toMatchObject({
      subject: 'user:default/ada',
      displayName: 'Ada',
      email: 'ada@example.com',
      groups: ['group:default/platform', 'group:default/sre'],
      roles: [],
      tenant: 'default',
      provider: 'idp',
      kind: 'user',
    });
    expect(reasonOf({ sub: 'plugin:catalog' }, { preset: 'backstage' })).toBe('JWT_INVALID claim_subject');
  });

  it('of Auth0: groups under an address, which is one name; a program is a service', () => {
    const claim_mappings = { groups: 'https://example.com/claims/groups' };
    const payload = { sub: 'abc@clients', azp: 'abc', 'https://example.com/claims/groups': ['ops'] };
    expect(read(payload, { preset: 'auth0', claim_mappings })).toMatchObject({ groups: ['ops'], kind: 'service' });
  });

  it('of Okta and Keycloak: groups and realm roles', () => {
    expect(read({ sub: 'ada', groups: ['Everyone'] }, { preset: 'okta' }).groups).toEqual(['Everyone']);
    const payload = {
      sub: 'u',
      groups: ['/platform'],
      realm_access: { roles: ['admin', 'terminal-user', 'toString'] },
    };
    expect(read(payload, { preset: 'keycloak' }).roles).toEqual([]);
    expect(read(payload, { preset: 'keycloak', role_map: { 'terminal-user': 'user' } })).toMatchObject({
      roles: ['user'],
      groups: ['/platform'],
    });
  });

  it('in one text are one name, or several where a separator is configured', () => {
    const groups = { claim: 'teams', format: 'string' };
    expect(read({ sub: 'a', teams: 'Domain Admins' }, { claim_mappings: { groups } }).groups).toEqual([
      'Domain Admins',
    ]);
    const separated = { ...groups, separator: ' ' };
    expect(read({ sub: 'a', teams: 'a  b' }, { claim_mappings: { groups: separated } }).groups).toEqual(['a', 'b']);
    expect(reasonOf({ sub: 'a', teams: ['a'] }, { claim_mappings: { groups } })).toBe('JWT_INVALID claim_groups');
  });

  it.each([
    ['subject', {}],
    ['subject', { sub: 5 }],
    ['subject', { sub: '' }],
    ['subject', { sub: 'a\u0000b' }],
    ['subject', { sub: ['a'] }],
    ['groups', { sub: 'a', groups: 'a' }],
    ['groups', { sub: 'a', groups: [1] }],
    ['groups', { sub: 'a', groups: { 0: 'a' } }],
    ['groups', { sub: 'a', groups: null }],
    ['roles', { sub: 'a', roles: 'admin' }],
    ['email', { sub: 'a', email: true }],
    ['name', { sub: 'a', name: {} }],
    ['tenant', { sub: 'a', tenant: 0 }],
    ['scope', { sub: 'a', scope: ['pty:view'] }],
  ])('are never coerced: %s', (claim, payload) => {
    expect(reasonOf(payload)).toBe(`JWT_INVALID claim_${claim}`);
  });

  it('on a path through something that is no object are refused', () => {
    expect(reasonOf({ sub: 'a', realm_access: 'admin' }, { preset: 'keycloak' })).toBe('JWT_INVALID claim_roles');
    expect(reasonOf({ sub: 'a' }, { claim_mappings: { subject: 'constructor.name' } })).toBe(
      'JWT_INVALID claim_subject',
    );
  });

  it('name the tenant, else the configuration does', () => {
    expect(read({ sub: 'a', tenant: 'red' }, { tenant: 'blue' }).tenant).toBe('red');
    expect(read({ sub: 'a' }, { tenant: 'blue' }).tenant).toBe('blue');
  });

  it('narrow by scopes of ours, and not by those of others', () => {
    expect(read({ sub: 'a', scope: 'openid pty:view profile' }).scopes).toEqual(['pty:view']);
    expect(read({ sub: 'a', scope: 'openid profile' }).scopes).toBeNull();
  });

  it.each([
    ['a permission that there is not', { scope: 'openid pty:attach' }, []],
    ['one that there is beside one that there is not', { scope: 'pty:attach pty:view' }, ['pty:view']],
    ['an area and an action too many', { scope: 'pty:view:all' }, []],
    ['a list, which is Okta’s', { scp: ['openid', 'pty:view'] }, ['pty:view']],
    ['a text', { scp: 'openid pty:view' }, ['pty:view']],
    ['a list of what there is not', { scp: ['audit:write'] }, []],
    ['both, of which the narrower counts', { scope: 'pty:*', scp: ['pty:view'] }, ['pty:view']],
    ['both, which have nothing in common', { scope: 'pty:kill', scp: ['pty:view'] }, []],
    ['nothing of ours', { scope: 'openid', scp: ['groups', 'other:read', 'pty'] }, null],
  ])('narrow by %s', (_what, claims, scopes) => {
    expect(read({ sub: 'a', ...claims }, { preset: 'okta' }).scopes).toEqual(scopes);
  });

  it('narrow by each area of ours', () => {
    const areas = ['pty', 'agent', 'worktree', 'api_key', 'recording', 'audit', 'policy', 'token', 'config', 'metrics'];
    expect(areas.map((area) => read({ sub: 'a', scope: `${area}:unheard_of` }).scopes)).toEqual(areas.map(() => []));
  });

  it('in scp are Okta’s alone, and of their type', () => {
    expect(read({ sub: 'a', scp: ['pty:view'] }).scopes).toBeNull();
    for (const scp of [{}, 5, [5], null])
      expect(reasonOf({ sub: 'a', scp }, { preset: 'okta' })).toBe('JWT_INVALID claim_scp');
  });

  it('must have a jti where tokens are accepted once', () => {
    expect(reasonOf({ sub: 'a' }, { replay_protection: true })).toBe('JWT_INVALID jti_missing');
  });
});

describe('entries of the lists', () => {
  it.each(['alice', 'user:default/alice', 'user:default/*', 'user:*/alice', 'user:*', '*', '*/b', 'auth0|5', '/a/*'])(
    'may be %s',
    (entry) => {
      expect(isListEntry(entry)).toBe(true);
    },
  );
  it.each(['user*', 'user:a*', 'user:default/al*', '**', 'a/**/b', 'us*:x', 'a/user:*', '*:*', '*:x'])(
    'may not be %s',
    (entry) => {
      expect(isListEntry(entry)).toBe(false);
    },
  );
  it.each([
    ['user:default/*', 'user:default/alice', true],
    ['user:default/*', 'user:default/a/b', false],
    ['user:default/*', 'user:default/', false],
    ['user:default/*', 'user:defaultx/alice', false],
    ['user:*', 'user:alice', true],
    ['user:*', 'user:', false],
    ['user:*', 'group:alice', false],
    ['user:*/alice', 'user:x/alice', true],
    ['*', 'alice', true],
    ['alice', 'Alice', false],
    ['a.c', 'abc', false],
  ])('%s and %s: %s', (entry, name, matches) => {
    expect(matchesEntry(entry, name)).toBe(matches);
  });
});

describe('who is let in', () => {
  const none = { allowed_users: [], allowed_groups: [], deny_users: [], deny_groups: [] };
  const ada = { subject: 'ada', groups: ['sre'], provider: 'idp', owner: null };
  const code = (lists: object, who: object = ada): unknown =>
    accessRefusal({ ...none, ...lists }, { ...ada, ...who })?.code ?? null;

  it('is everybody while the lists are empty', () => {
    expect(code({})).toBeNull();
  });
  it('is nobody who is denied, allowed or not, local or not', () => {
    expect(code({ allowed_users: ['ada'], deny_users: ['ada'] })).toBe('UNAUTHORIZED_USER');
    expect(code({ allowed_users: ['ada'], deny_groups: ['sre'] })).toBe('UNAUTHORIZED_GROUP');
    expect(code({ deny_users: ['ada'] }, { provider: 'gatehouse' })).toBe('UNAUTHORIZED_USER');
    const ownersKey = { provider: 'gatehouse', groups: [], owner: { roles: [], groups: ['sre'] } };
    expect(code({ deny_groups: ['sre'] }, ownersKey)).toBe('UNAUTHORIZED_GROUP');
  });
  it('must be on each list that is not empty, if a provider vouches for him', () => {
    expect(code({ allowed_users: ['bob'] })).toBe('UNAUTHORIZED_USER');
    expect(code({ allowed_groups: ['ops'] })).toBe('UNAUTHORIZED_GROUP');
    expect(code({ allowed_users: ['ada'], allowed_groups: ['ops'] })).toBe('UNAUTHORIZED_GROUP');
    expect(code({ allowed_users: ['ada'], allowed_groups: ['sre'] })).toBeNull();
    expect(code({ allowed_users: ['bob'] }, { provider: 'gatehouse' })).toBeNull();
  });
});

describe('long lists', () => {
  const names = Array.from({ length: 10_000 }, (_, index) => `user:default/u${index}`);
  const who = (subject: string) => ({ subject, groups: [], provider: 'idp', owner: null });
  /** Lists that count how often they are gone through. */
  function counted() {
    const reads = { count: 0 };
    const list = (): readonly string[] => ((reads.count += 1), [...names, 'user:guests/*']);
    const lists = {
      ...{ allowed_users: [], allowed_groups: [], deny_groups: [] },
      get deny_users() {
        return list();
      },
    };
    return { lists, reads };
  }

  it('are gone through once, however many come', () => {
    const { lists, reads } = counted();
    for (const name of ['user:default/u9999', 'user:guests/x']) {
      expect(accessRefusal(lists, who(name))).toMatchObject({ code: 'UNAUTHORIZED_USER', reason: 'user_denied' });
    }
    for (let calls = 0; calls < 1000; calls += 1)
      expect(accessRefusal(lists, who(`user:default/v${calls}`))).toBeNull();
    expect(reads.count).toBe(1);
  });

  it('are asked once of the same principal, and anew when there are others', () => {
    let asked = 0;
    const ada = {
      ...{ groups: [], provider: 'idp', owner: null },
      get subject() {
        asked += 1;
        return 'ada';
      },
    };
    const lists = { allowed_users: [], allowed_groups: [], deny_users: [], deny_groups: [] };
    for (let calls = 0; calls < 10; calls += 1) expect(accessRefusal(lists, ada)).toBeNull();
    expect(asked).toBe(1);
    expect(accessRefusal({ ...lists, deny_users: ['ada'] }, ada)?.code).toBe('UNAUTHORIZED_USER');
  });
});

describe('auth.yaml', () => {
  const problems = (authentication: object, production = false, environment?: string): string[] => {
    const parsed = schema(production, environment).safeParse({ authentication });
    return parsed.success ? [] : parsed.error.issues.map(({ path }) => path.slice(1).join('.'));
  };
  const one = (members: object): object => ({ jwks_providers: [{ ...BASE, ...members }] });

  it('that is empty has the defaults of the contract', () => {
    expect(schema().parse({})).toEqual({
      enabled: true,
      clock_skew_seconds: 60,
      cache_ttl_seconds: 3600,
      refresh_interval_seconds: 900,
      timeout_seconds: 10,
      max_stale_seconds: 86_400,
      max_token_lifetime_seconds: 86_400,
      jwks_providers: [],
      authorization: { allowed_users: [], allowed_groups: [], deny_users: [], deny_groups: [] },
    });
  });

  it.each([
    ['enabled', { enabled: false }],
    ['clock_skew_seconds', { clock_skew_seconds: '60' }],
    ['jwks_providers.0.name', one({ name: 'gatehouse' })],
    ['jwks_providers.0.name', one({ name: 'a b' })],
    ['jwks_providers.0.issuer', one({ issuer: 'gatehouse' })],
    ['jwks_providers.0.issuer', one({ issuer: 'not-an-address' })],
    ['jwks_providers.0.url', one({ url: 'https://idp.example.com/jwks' })],
    ['jwks_providers.0.url', one({ discovery: undefined })],
    ['jwks_providers.0.url', one({ discovery: undefined, url: 'http://idp.example.com/jwks' })],
    ['jwks_providers.0.url', one({ discovery: undefined, url: 'file:///etc/passwd' })],
    ['jwks_providers.0.url', one({ discovery: undefined, url: 'https://user:secret@idp.example.com/jwks' })],
    ['jwks_providers.0.algorithms.0', one({ algorithms: ['HS256'] })],
    ['jwks_providers.0.algorithms.0', one({ algorithms: ['none'] })],
    ['jwks_providers.0.audiences', one({ audiences: [] })],
    ['jwks_providers.0.claim_mappings.subject', one({ claim_mappings: { subject: 'a..b' } })],
    ['jwks_providers.1.name', { jwks_providers: [BASE, { ...BASE, issuer: 'https://other.example.com' }] }],
    ['jwks_providers.1.issuer', { jwks_providers: [BASE, { ...BASE, name: 'other' }] }],
    ['authorization.deny_users.0', { authorization: { deny_users: ['user*'] } }],
  ])('names the field that is wrong: %s', (field, authentication) => {
    expect([...new Set(problems(authentication))]).toEqual([field]);
  });

  it('does not take what it does not know', () => {
    expect(schema().safeParse({ authentication: { jwks_provider: [] } }).success).toBe(false);
    expect(schema().safeParse({ authorization: {} }).success).toBe(false);
  });

  it('takes HTTP on loopback, but not in production', () => {
    for (const host of ['localhost', '127.0.0.1', '[::1]']) {
      const local = one({ discovery: undefined, url: `http://${host}:8080/jwks` });
      expect(problems(local)).toEqual([]);
      expect(problems(local, true)).toEqual(['jwks_providers.0.url']);
    }
    expect(problems(one({ discovery: undefined, url: 'http://127.0.0.1.example.com/jwks' }))).not.toEqual([]);
  });

  it('has the providers, or the environment has them', () => {
    const list = JSON.stringify([BASE]);
    expect(
      schema(false, list)
        .parse({})
        .jwks_providers.map(({ name }) => name),
    ).toEqual(['idp']);
    expect(problems({ jwks_providers: [] }, false, list)).toEqual(['jwks_providers']);
    for (const wrong of ['{}', '[{}]', 'x', '[],"a":1', '[{"name":"a","name":"b"}]']) {
      expect(() => schema(false, wrong)).toThrow(/AUTH_JWKS_PROVIDERS: /);
    }
  });
});
