import { type JsonWebKey } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import Provider, { type Configuration } from 'oidc-provider';
import { TestGateway } from '../support/gateway.js';
import { GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { KeyServer, rsaKey } from '../support/key-server.js';
import { codeOf, rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

const CLIENT = { id: 'automation', secret: 'a-secret-of-a-client-0123456789' };
const RESOURCE = 'https://gatehouse.example.com';

/** A real identity provider, whose signing keys may change while it runs. */
class RealProvider {
  readonly #server: Server = createServer((request, response) => {
    void this.#current.callback()(request, response);
  });
  #current!: Provider;

  async start(keys: readonly JsonWebKey[]): Promise<void> {
    await new Promise<void>((done) => {
      this.#server.listen(0, '127.0.0.1', done);
    });
    this.useKeys(keys);
  }

  get issuer(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  useKeys(keys: readonly JsonWebKey[]): void {
    this.#current = new Provider(this.issuer, {
      jwks: { keys } as unknown as NonNullable<Configuration['jwks']>,
      clients: [
        {
          ...{ client_id: CLIENT.id, client_secret: CLIENT.secret, redirect_uris: [], response_types: [] },
          grant_types: ['client_credentials'],
        },
      ],
      features: {
        devInteractions: { enabled: false },
        clientCredentials: { enabled: true },
        resourceIndicators: {
          enabled: true,
          defaultResource: () => RESOURCE,
          getResourceServerInfo: () => ({
            ...{ scope: 'terminals', audience: 'gatehouse', accessTokenTTL: 600 },
            ...{ accessTokenFormat: 'jwt', jwt: { sign: { alg: 'RS256' } } },
          }),
        },
      },
      extraTokenClaims: () => ({ roles: ['operator'], groups: ['robots'] }),
    });
  }

  /** The client-credentials flow. */
  async token(): Promise<string> {
    const response = await fetch(`${this.issuer}/token`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`${CLIENT.id}:${CLIENT.secret}`).toString('base64')}` },
      body: new URLSearchParams({ grant_type: 'client_credentials', resource: RESOURCE, scope: 'terminals' }),
    });
    const answer = (await response.json()) as { access_token?: string };
    if (answer.access_token === undefined) throw new Error(`no token: ${JSON.stringify(answer)}`);
    return answer.access_token;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((done) => this.#server.close(done));
  }
}

describe('a real identity provider', () => {
  const provider = new RealProvider();
  const signingKey = (kid: string): JsonWebKey => ({
    ...rsaKey(kid).privateKey.export({ format: 'jwk' }),
    ...{ kid, alg: 'RS256', use: 'sig' },
  });
  const [first, second] = [signingKey('first'), signingKey('second')];
  let files: KeyServer;
  let gateway: TestGateway;

  beforeAll(async () => {
    // It warns of settings that are for tests, which this is.
    for (const told of ['warn', 'info'] as const) jest.spyOn(console, told).mockImplementation(() => undefined);
    await provider.start([first]);
    files = await KeyServer.start();
    files.configure({
      jwks_providers: [
        {
          ...{
            name: 'real',
            issuer: provider.issuer,
            discovery: true,
            audiences: ['gatehouse'],
            algorithms: ['RS256'],
          },
          role_map: { operator: 'user' },
        },
      ],
    });
    gateway = await TestGateway.start({ ...files.environment });
  });
  afterAll(async () => {
    await gateway.remove();
    await files.stop();
    await provider.stop();
  });

  async function worksEverywhere(token: string): Promise<void> {
    const { body } = await rest(gateway, token, 'GET', '/api/v1/auth/info');
    expect(body).toMatchObject({
      ...{ subject: CLIENT.id, provider: 'real', kind: 'service', roles: ['user'], groups: ['robots'], scopes: null },
    });
    const id = await startSession(gateway, token, { command: ['/bin/cat'] });
    const grpc = new GrpcClient(gateway, token);
    expect(JSON.stringify(await grpc.call('get', { id }))).toContain(id);
    grpc.close();
    const ws = await WsClient.open(gateway, '/ws', { credential: token });
    ws.send({ type: 'attach', session: id });
    await ws.next('attached');
    ws.close();
    const late = await WsClient.open(gateway, '/ws');
    late.send({ type: 'authenticate', token });
    await late.next('authenticated');
    late.close();
    await rest(gateway, token, 'DELETE', `/api/v1/sessions/${id}`);
  }

  it('is found by discovery, and its tokens work on REST, gRPC and WebSocket', async () => {
    await worksEverywhere(await provider.token());
  });

  it('may change its keys while tokens are in use', async () => {
    const old = await provider.token();
    provider.useKeys([second, first]);
    await worksEverywhere(await provider.token());
    await worksEverywhere(old);
  });

  it('is not believed with a damaged token', async () => {
    const token = (await provider.token()).replace(/.{8}$/, 'AAAAAAAA');
    expect(['JWT_INVALID', 'JWT_SIGNATURE_INVALID']).toContain(
      codeOf(await rest(gateway, token, 'GET', '/api/v1/auth/info')),
    );
    const grpc = new GrpcClient(gateway, token);
    expect(reasonOf(await refused(grpc.call('list', {})))).toMatch(/^JWT_/);
    grpc.close();
  });
});
