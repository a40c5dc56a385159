import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { ecKey, issue, KeyServer, rsaKey } from '../support/key-server.js';
import { type Answer, codeOf, rest } from '../support/rest.js';

const ME = '/api/v1/auth/info';
const now = (): number => Math.floor(Date.now() / 1000);
const times = (): object => ({ iat: now() - 5, exp: now() + 600 });

describe('keys of identity providers', () => {
  let server: KeyServer;
  let gateway: TestGateway;
  const names = ['main', 'rotating', 'flooded', 'down', 'falling', 'slow', 'large', 'moved', 'mixed', 'many'];
  const keys = Object.fromEntries(names.map((name) => [name, ecKey(`${name}-1`)]));
  const issuerOf = (name: string): string => `https://${name}.example.com`;
  const keyOf = (name: string) => keys[name] ?? ecKey(name);
  const made = (name: string, claims: object = {}, key = keyOf(name)): string =>
    issue('ES256', key, { iss: issuerOf(name), aud: 'gatehouse', sub: `user-of-${name}`, ...times(), ...claims });
  const me = (credential: string): Promise<Answer> => rest(gateway, credential, 'GET', ME);
  const outcome = async (credential: string): Promise<unknown> => {
    const answer = await me(credential);
    return answer.status === 200 ? 200 : [answer.status, codeOf(answer)];
  };
  const settings = (change: object = {}): object => ({
    // Long enough for the first fetch of ten, which comes while the gateway is busy starting.
    timeout_seconds: 5,
    cache_ttl_seconds: 2,
    refresh_interval_seconds: 2,
    jwks_providers: names.map((name) => ({
      ...{ name, issuer: issuerOf(name), url: `${server.url}/${name}`, audiences: ['gatehouse'] },
      ...{ algorithms: ['ES256', 'RS256'] },
    })),
    ...change,
  });

  beforeAll(async () => {
    server = await KeyServer.start();
    for (const name of names) server.publish(`/${name}`, keyOf(name).jwk);
    server.answer('/down', (_request, response) => response.writeHead(500).end());
    server.answer('/slow', () => undefined);
    server.answer('/large', (_request, response) => {
      response.writeHead(200).end(`{"keys":[${JSON.stringify(keyOf('large').jwk)}],"x":"${'x'.repeat(300_000)}"}`);
    });
    server.answer('/moved', (_request, response) => response.writeHead(302, { location: `${server.url}/main` }).end());
    server.publish('/mixed', rsaKey('mixed-1').jwk);
    server.publish('/many', ...Array.from({ length: 101 }, () => keyOf('many').jwk));
    server.configure(settings());
    gateway = await TestGateway.start({ ...server.environment });
  });
  afterAll(async () => {
    await gateway.remove();
    await server.stop();
  });

  it('of two providers at once are told apart', async () => {
    const [one, other] = [await me(made('main')), await me(made('rotating'))];
    expect([one.body['provider'], other.body['provider']]).toEqual(['main', 'rotating']);
    expect(await outcome(made('main', {}, keyOf('rotating')))).toEqual([401, 'JWT_INVALID']);
  });

  it('that are new are used at once, and those that were withdrawn are not, even by a token known before', async () => {
    const old = made('rotating');
    const next = ecKey('rotating-2');
    expect(await outcome(old)).toBe(200);
    server.publish('/rotating', keyOf('rotating').jwk, next.jwk);
    expect(await outcome(made('rotating', {}, next))).toBe(200);
    server.publish('/rotating', next.jwk);
    await until('the old key is out', async () => (await me(old)).status === 401);
    expect(await outcome(old)).toEqual([401, 'JWT_INVALID']);
    expect(await outcome(made('rotating', {}, next))).toBe(200);
    expect(
      (await gateway.audit({ action: 'jwks.fetch_success', resource: 'provider:rotating' }, 2)).length,
    ).toBeGreaterThan(1);
  });

  it('are not asked for by a flood of unknown key ids', async () => {
    server.configure(settings({ refresh_interval_seconds: 600, cache_ttl_seconds: 600 }));
    await gateway.audit({ action: 'config.reloaded' });
    expect(await outcome(made('flooded'))).toBe(200);
    const before = server.requests('/flooded');
    const flood = Array.from({ length: 200 }, (_, i) =>
      outcome(made('flooded', {}, { ...keyOf('flooded'), kid: `x${i}` })),
    );
    const codes = new Set((await Promise.all(flood)).map((each) => JSON.stringify(each)));
    expect([...codes].filter((each) => each !== '[401,"JWT_INVALID"]' && !each.includes('429'))).toEqual([]);
    // The interval of before may have ended once more in between.
    expect(server.requests('/flooded') - before).toBeLessThanOrEqual(2);
    server.configure(settings());
    await gateway.audit({ action: 'config.reloaded' }, 2);
  });

  it.each([
    ['down', 'status'],
    ['slow', 'timeout'],
    ['large', 'too_large'],
    ['moved', 'redirected'],
    ['many', 'too_many_keys'],
  ])('that cannot be had (%s) are a 503, on record, and no 401', async (name, detail) => {
    expect(await outcome(made(name))).toEqual([503, 'JWKS_UNAVAILABLE']);
    const [row] = await gateway.audit({ action: 'jwks.fetch_failed', resource: `provider:${name}` });
    expect(row?.['metadata']).toMatchObject({ detail, failures: 1 });
  });

  it('go on being used while the provider is away', async () => {
    expect(await outcome(made('falling'))).toBe(200);
    server.answer('/falling', (request) => request.socket.destroy());
    const stale = async (): Promise<boolean> => {
      expect(await outcome(made('falling', { jti: String(Math.random()) }))).toBe(200);
      const told = await gateway.query(`SELECT 1 FROM audit_events WHERE action = 'jwks.stale_used'`);
      return told.length > 0;
    };
    await until('keys past their time in use', stale);
    expect(await gateway.audit({ action: 'jwks.stale_used', resource: 'provider:falling' })).toHaveLength(1);
  });

  it('of another type than the algorithm verify nothing', async () => {
    expect(await outcome(made('mixed'))).toEqual([401, 'JWT_INVALID']);
  });
});

describe('tokens as the providers make them', () => {
  let server: KeyServer;
  let gateway: TestGateway;
  const [ec, rsa] = [ecKey('k1'), rsaKey('k2')];
  const at = (path: string): string => `${server.url}${path}`;
  const me = async (credential: string): Promise<Record<string, unknown>> =>
    (await rest(gateway, credential, 'GET', ME)).body;
  const provider = (name: string, issuer: string, more: object = {}): object => ({
    ...{ name, preset: name, issuer, url: `${server.url}/jwks`, audiences: ['gatehouse'], algorithms: ['RS256'] },
    ...more,
  });
  const settings = (authorization: object = {}): object => ({
    authorization,
    jwks_providers: [
      provider('backstage', 'https://backstage.example.com/api/auth', {
        audiences: ['backstage'],
        algorithms: ['ES256'],
      }),
      provider('auth0', 'https://example.eu.auth0.com/', {
        claim_mappings: { groups: 'https://example.com/claims/groups', roles: 'https://example.com/claims/roles' },
        role_map: { engineer: 'user' },
      }),
      provider('okta', 'https://example.okta.com/oauth2/default', { tenant: 'red' }),
      provider('keycloak', at('/realms/platform'), {
        ...{ url: undefined, discovery: true, role_map: { 'terminal-user': 'user' } },
      }),
    ],
  });
  const backstage = (sub = 'user:default/ada', header: object = { typ: 'vnd.backstage.user' }): string =>
    issue(
      'ES256',
      ec,
      {
        ...{ iss: 'https://backstage.example.com/api/auth', sub, aud: 'backstage', ...times() },
        ...{ ent: [sub, 'group:default/platform'], uip: 'proof' },
        usc: { displayName: 'Ada', email: 'ada@example.com', ownershipEntityRefs: [sub, 'group:default/platform'] },
      },
      header,
    );
  const okta = (claims: object = {}): string =>
    issue('RS256', rsa, {
      ...{ ver: 1, jti: 'AT.x', iss: 'https://example.okta.com/oauth2/default', aud: 'gatehouse', ...times() },
      ...{
        cid: '0oa1',
        uid: '00u1',
        scp: ['openid'],
        auth_time: now(),
        sub: 'ada@example.com',
        groups: ['Everyone', 'Platform'],
      },
      ...claims,
    });

  beforeAll(async () => {
    server = await KeyServer.start();
    server.publish('/jwks', ec.jwk, rsa.jwk, { ...rsa.jwk, kid: 'enc', use: 'enc' });
    server.answer('/realms/platform/.well-known/openid-configuration', (_request, response) => {
      response.end(JSON.stringify({ issuer: at('/realms/platform'), jwks_uri: at('/jwks') }));
    });
    server.configure(settings());
    gateway = await TestGateway.start({ ...server.environment });
  });
  afterAll(async () => {
    await gateway.remove();
    await server.stop();
  });

  it('Backstage: the user, and the groups of the catalogue', async () => {
    expect(await me(backstage())).toMatchObject({
      ...{ subject: 'user:default/ada', provider: 'backstage', kind: 'user', groups: ['group:default/platform'] },
    });
    for (const typ of ['vnd.backstage.plugin', 'vnd.backstage.limited-user'])
      expect(codeOf(await rest(gateway, backstage('user:default/ada', { typ }), 'GET', ME))).toBe('JWT_INVALID');
  });

  it('Auth0: claims under an address of one’s own; roles through the map only', async () => {
    const claims = {
      ...{
        iss: 'https://example.eu.auth0.com/',
        sub: 'auth0|5f7c',
        aud: ['gatehouse', 'https://example.eu.auth0.com/userinfo'],
      },
      ...{ azp: 'client', scope: 'openid profile email', ...times() },
      ...{
        'https://example.com/claims/groups': ['platform'],
        'https://example.com/claims/roles': ['engineer', 'admin'],
      },
    };
    expect(await me(issue('RS256', rsa, claims))).toMatchObject({
      subject: 'auth0|5f7c',
      groups: ['platform'],
      roles: ['user'],
    });
  });

  it('Okta: groups, and the tenant of the configuration', async () => {
    expect(await me(okta())).toMatchObject({
      subject: 'ada@example.com',
      groups: ['Everyone', 'Platform'],
      tenant: 'red',
    });
  });

  it('Keycloak: found by discovery, roles of the realm, and no refresh token', async () => {
    const claims = {
      ...{
        iss: at('/realms/platform'),
        aud: ['gatehouse', 'account'],
        typ: 'Bearer',
        azp: 'web',
        sid: 's',
        acr: '1',
        ...times(),
      },
      ...{ jti: 'onrtac:1', sub: 'f3a1', realm_access: { roles: ['terminal-user', 'admin', 'offline_access'] } },
      ...{ resource_access: { account: { roles: ['view-profile'] } }, scope: 'profile email', email_verified: true },
      ...{ name: 'Ada L', preferred_username: 'ada', email: 'ada@example.com' },
    };
    expect(await me(issue('RS256', rsa, claims))).toMatchObject({ subject: 'f3a1', roles: ['user'], scopes: null });
    for (const typ of ['Refresh', 'ID', 'Offline'])
      expect(codeOf(await rest(gateway, issue('RS256', rsa, { ...claims, typ }), 'GET', ME))).toBe('JWT_INVALID');
  });

  it('are let in by the lists of the file as it is now; a wrong edit changes nothing, and is on record', async () => {
    const known = backstage();
    const status = async (credential: string): Promise<unknown> => {
      const answer = await rest(gateway, credential, 'GET', ME);
      return answer.status === 200 ? 200 : [answer.status, codeOf(answer)];
    };
    const reload = async (authorization: object, count: number): Promise<void> => {
      server.configure(settings(authorization));
      expect(await gateway.audit({ action: 'config.reloaded' }, count)).toHaveLength(count);
    };
    expect(await status(known)).toBe(200);
    const fetched = server.requests('/jwks');

    await reload({ deny_users: ['user:default/*'], allowed_users: ['user:default/ada'] }, 1);
    expect(await status(known)).toEqual([403, 'UNAUTHORIZED_USER']);
    expect(await status(okta())).toEqual([403, 'UNAUTHORIZED_USER']);
    expect(await status(token({ sub: 'user:default/eve' }))).toEqual([403, 'UNAUTHORIZED_USER']);
    expect(await status(token())).toBe(200);

    server.configure('authentication: { clock_skew_seconds: many }');
    const [rejected] = await gateway.audit({ action: 'config.rejected' });
    expect(rejected?.['metadata']).toMatchObject({ file: server.configFile });
    expect(JSON.stringify(rejected?.['metadata'])).toContain('authentication.clock_skew_seconds');
    expect(await status(known)).toEqual([403, 'UNAUTHORIZED_USER']);

    await reload({ deny_groups: ['Everyone'], allowed_groups: ['group:default/*'] }, 2);
    expect(await status(known)).toBe(200);
    expect(await status(okta())).toEqual([403, 'UNAUTHORIZED_GROUP']);
    expect(await status(okta({ groups: ['Platform'] }))).toEqual([403, 'UNAUTHORIZED_GROUP']);
    expect(await status(token())).toBe(200);

    server.configure({ jwks_providers: [] });
    await gateway.audit({ action: 'config.reloaded' }, 3);
    expect(await status(known)).toEqual([401, 'JWT_INVALID']);
    expect(server.requests('/jwks')).toBe(fetched);
    const denied = await gateway.audit({ action: 'auth.denied', reason: 'UNAUTHORIZED_USER' }, 2);
    expect(denied.map(({ metadata }) => (metadata as { detail: string }).detail)).toContain('user_denied');
  });
});

describe('a gateway whose auth.yaml is wrong', () => {
  it.each([
    ['authentication.enabled', { enabled: false }, {}],
    [
      'authentication.jwks_providers.0.url',
      { jwks_providers: [{ name: 'a', issuer: 'i', audiences: ['x'], url: 'http://example.com' }] },
      {},
    ],
    ['authentication.authorization.deny_users.0', { authorization: { deny_users: ['user*'] } }, {}],
    ['AUTH_JWKS_PROVIDERS', {}, { AUTH_JWKS_PROVIDERS: '[{"name":"gatehouse"}]' }],
  ])('does not start, and names %s', async (field, authentication, environment) => {
    const server = await KeyServer.start();
    server.configure(authentication);
    const gateway = await TestGateway.prepare({ ...server.environment, ...environment });
    try {
      const child = gateway.spawn();
      const status = await new Promise((done) => child.once('exit', done));
      expect(status).toBe(78);
      expect(gateway.stdout).toContain(field);
      expect(gateway.stdout).not.toContain('    at ');
    } finally {
      await gateway.remove();
      await server.stop();
    }
  });
});
