import { connect } from 'node:net';
import { credentials, loadPackageDefinition, Metadata, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { protoPath } from 'grpc-health-check';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { makeKey } from '../support/api-keys.js';
import { ATTEMPTS, BEHIND_PROXY, byMessage, overRest } from '../support/attempts.js';
import { PRODUCT_LIMITS, TestGateway, token, until } from '../support/gateway.js';
import { endOf, GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { type Answer, codeOf, rest } from '../support/rest.js';
import { scrape } from '../support/scrape.js';
import { WsClient } from '../support/ws-client.js';

const LIMIT_HEADERS = ['x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'];
const rate = ({ headers }: Pick<Answer, 'headers'>): number[] => LIMIT_HEADERS.map((name) => Number(headers.get(name)));
const shows = (text: string): boolean =>
  LIMIT_HEADERS.every((name) => new RegExp(`\\r\\n${name}: \\d+\\r\\n`, 'i').test(text));

/** All that is said to these bytes on a connection of their own. */
const said = (gateway: TestGateway, bytes: string): Promise<string> =>
  new Promise((done) => {
    let heard = '';
    const socket = connect(gateway.httpPort, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (chunk: Buffer) => (heard += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      done(heard);
    });
  });

/** The product's bursts, which fill so slowly that what a test takes of them is what there is, however busy the machine. */
const SLOW = {
  ...PRODUCT_LIMITS,
  ...{ RATE_LIMIT_STRANGER_PER_MINUTE: '3', RATE_LIMIT_PRINCIPAL_PER_MINUTE: '60', RATE_LIMIT_CREATE_PER_HOUR: '60' },
  ...{ RATE_LIMIT_HEALTH_PER_MINUTE: '60', CORS_ALLOWED_ORIGINS: 'https://page.example' },
};

describe('the limits of the product', () => {
  let gateway: TestGateway;
  /** A key that may call so often that another limit is met first. */
  let unhurried: string;
  /** The next address that nobody has called from. */
  let last = 0;
  const newcomer = (): string => `192.0.2.${(last += 1)}`;
  const admin = (): string => gateway.adminKey;
  const call = (credential: string | null, path: string, address = newcomer(), method = 'GET', body?: unknown) =>
    rest(gateway, credential, method, path, body, { 'x-forwarded-for': address });

  beforeAll(async () => {
    gateway = await TestGateway.start({ ...SLOW, ...BEHIND_PROXY });
    unhurried = (await makeKey(gateway, admin(), { rate_limit_per_minute: 60_000, roles: ['user'] })).key;
  });
  afterAll(() => gateway.remove());

  /** Repeats it at once until the address has nothing left. */
  const exhaust = async (address: string): Promise<void> => {
    for (let left = 1; left > 0;) [, left = 0] = rate(await call(null, '/api/v1/sessions', address));
  };

  it.each(ATTEMPTS)(
    'let a stranger come twenty times at once over %s, and say when to come back',
    async (_, attempt) => {
      const address = newcomer();
      const outcomes = await Promise.all(Array.from({ length: 40 }, () => attempt(gateway, null, address)));
      const refusals = outcomes.filter(({ code }) => code === 'RATE_LIMIT_EXCEEDED');
      expect(outcomes.length - refusals.length).toBeGreaterThanOrEqual(20);
      expect(refusals.length).toBeGreaterThan(5);
      for (const { retryAfter } of refusals) expect(Math.ceil((retryAfter ?? 0) / 20)).toBe(1);
      expect((await attempt(gateway, null, newcomer())).code).toBe('AUTH_TOKEN_MISSING');
    },
  );

  it('are one for all transports, and one for a whole /64 of IPv6', async () => {
    const [here, there] = ['2001:db8:0:7::1', '2001:db8:0:7:ffff::2'];
    await exhaust(here);
    for (const [, attempt] of ATTEMPTS) expect((await attempt(gateway, null, there)).code).toBe('RATE_LIMIT_EXCEEDED');
    expect((await overRest(gateway, null, '2001:db8:0:8::1')).code).toBe('AUTH_TOKEN_MISSING');
    await exhaust('192.0.2.250');
    expect((await overRest(gateway, null, '::ffff:192.0.2.250')).code).toBe('RATE_LIMIT_EXCEEDED');
  });

  it('are told in the headers of every answer, and a refusal says why in its body', async () => {
    const address = newcomer();
    const first = await call(null, '/api/v1/sessions', address);
    expect([first.status, ...rate(first)]).toEqual([401, 20, 19, 20]);
    await exhaust(address);
    const over = await call(null, '/api/v1/sessions', address);
    expect([over.status, ...rate(over).slice(0, 2)]).toEqual([429, 20, 0]);
    const later = Number(over.headers.get('retry-after'));
    expect(Math.ceil(later / 20)).toBe(1);
    const told = { code: 'RATE_LIMIT_EXCEEDED', message: expect.any(String), details: { retry_after: later } };
    expect(over.body['error']).toMatchObject(told);
    const known = token({ sub: 'head', jti: 'head' });
    const long = JSON.stringify({ name: 'x'.repeat(500_000) });
    for (const [status, limit, answer] of [
      [200, 50, await call(known, '/api/v1/sessions')],
      [404, 50, await call(known, '/nowhere')],
      [413, 50, await call(known, '/api/v1/sessions', newcomer(), 'POST', long)],
      [400, 50, await call(known, '/api/v1/sessions', newcomer(), 'POST', '{')],
      [200, 60, await call(null, '/health/live')],
    ] as const) {
      expect([status, answer.status, rate(answer)[0]]).toEqual([status, status, limit]);
    }
    const upgrade = 'Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n';
    for (const [status, bytes] of [
      [400, 'nonsense\r\n\r\n'],
      [400, 'GET /% HTTP/1.1\r\nHost: localhost\r\n\r\n'],
      [431, `GET / HTTP/1.1\r\nHost: localhost\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`],
      [401, `GET /ws HTTP/1.1\r\n${upgrade}Authorization: Bearer x\r\n\r\n`],
      [404, `GET /nowhere HTTP/1.1\r\n${upgrade}Authorization: Bearer ${known}\r\n\r\n`],
      [429, 'GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(33)],
    ] as const) {
      const text = await said(gateway, bytes);
      const answer = text.slice(text.lastIndexOf('HTTP/1.1 '));
      expect([status, answer.slice(0, 12), shows(answer)]).toEqual([status, `HTTP/1.1 ${status}`, true]);
    }
    // A connection that was upgraded does not end by itself.
    const socket = connect(gateway.httpPort, '127.0.0.1');
    socket.write(`GET /ws HTTP/1.1\r\n${upgrade}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
    const text = await new Promise<string>((done) =>
      socket.once('data', (chunk: Buffer) => {
        done(chunk.toString('latin1'));
      }),
    );
    socket.destroy();
    expect([text.slice(0, 12), shows(text)]).toEqual(['HTTP/1.1 101', true]);
  });

  it('of a caller are the same on all transports; a key’s own stand in the place of its owner’s', async () => {
    const { key } = await makeKey(gateway, admin(), { rate_limit_per_minute: 3, roles: ['user'] });
    const token = await call(key, '/api/v1/auth/tokens', newcomer(), 'POST', {});
    expect(rate(token)).toEqual([3, 2, 20]);
    for (let calls = 0; calls < 2; calls += 1) expect((await overRest(gateway, key, newcomer())).code).toBeNull();
    for (const credential of [key, String(token.body['token'])]) {
      for (const [, attempt] of ATTEMPTS) {
        const outcome = await attempt(gateway, credential, newcomer());
        expect(outcome.code).toBe('RATE_LIMIT_EXCEEDED');
        expect(outcome.retryAfter).toBeGreaterThan(0);
      }
      expect(await byMessage(gateway, credential, newcomer())).toBe('RATE_LIMIT_EXCEEDED');
    }
    expect((await overRest(gateway, admin(), newcomer())).code).toBeNull();
  });

  it('of a key are no more than its maker’s, unless they manage the keys of others', async () => {
    const maker = token({ sub: 'maker', jti: 'maker' });
    const make = (credential: string, rate: number): ReturnType<typeof call> =>
      call(credential, '/api/v1/api-keys', newcomer(), 'POST', {
        name: 'k',
        roles: ['user'],
        rate_limit_per_minute: rate,
      });
    expect((await make(maker, 61)).body).toMatchObject({
      error: { code: 'INVALID_ARGUMENT', details: { fields: [{ field: 'rate_limit_per_minute' }] } },
    });
    expect((await make(admin(), 61)).status).toBe(201);
    const usual = await make(maker, 60);
    expect(usual.status).toBe(201);
    const made = await call(maker, '/api/v1/api-keys', newcomer(), 'POST', { name: 'unlimited', roles: ['user'] });
    for (const [{ body }, rate] of [
      [usual, 61],
      [made, 61],
    ] as const) {
      const path = `/api/v1/api-keys/${String(body['id'])}`;
      const answer = await call(maker, path, newcomer(), 'PATCH', { rate_limit_per_minute: rate });
      expect([answer.status, answer.body]).toMatchObject([422, { error: { code: 'INVALID_ARGUMENT' } }]);
    }
  });

  it('let a caller come fifty times at once, and nobody else wait for it', async () => {
    const [busy, other] = [token({ sub: 'busy', jti: 'busy' }), token({ sub: 'other', jti: 'other' })];
    const address = newcomer();
    const statuses = await Promise.all(
      Array.from({ length: 400 }, async () => (await call(busy, '/api/v1/sessions?limit=1', address)).status),
    );
    expect(statuses.filter((status) => status === 200).length).toBeGreaterThanOrEqual(50);
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(20);
    // The address is nobody's limit who has a credential.
    expect((await call(other, '/api/v1/sessions?limit=1', address)).status).toBe(200);
  });

  it('take nobody who says who they are by a message for a stranger, of whom twenty may come from an address', async () => {
    const [address, known] = [newcomer(), token({ sub: 'page', jti: 'page' })];
    for (let pages = 0; pages < 40; pages += 1) expect(await byMessage(gateway, known, address)).toBeNull();
    expect(rate(await call(null, '/api/v1/sessions', address)).slice(0, 2)).toEqual([20, 19]);
  });

  it('of what makes something are fifty at once, on all transports together, and leave the other calls alone', async () => {
    const maker = unhurried;
    let answer = await call(maker, '/api/v1/sessions', newcomer(), 'POST', { cols: -1 });
    expect([answer.status, codeOf(answer)]).toEqual([422, 'INVALID_ARGUMENT']);
    for (let calls = 1; answer.status === 422 && calls < 60; calls += 1) {
      answer = await call(maker, '/api/v1/sessions', newcomer(), 'POST', { cols: -1 });
    }
    expect([answer.status, codeOf(answer), ...rate(answer).slice(0, 2)]).toEqual([429, 'RATE_LIMIT_EXCEEDED', 50, 0]);
    for (const path of ['agents', 'worktrees', 'api-keys'])
      expect((await call(maker, `/api/v1/${path}`, newcomer(), 'POST', {})).status).toBe(429);
    const grpc = new GrpcClient(gateway, maker);
    const error = await refused(grpc.call('start', {}));
    expect([error.code, reasonOf(error)]).toEqual([8, 'RATE_LIMIT_EXCEEDED']);
    expect(Number(error.metadata.get('retry-after')[0])).toBeGreaterThan(0);
    grpc.close();
    const ws = await WsClient.open(gateway, '/ws', { credential: maker });
    ws.send({ type: 'agent_start', provider: 'x', id: 7 });
    expect(await ws.next('error')).toMatchObject({ code: 'RATE_LIMIT_EXCEEDED', id: 7 });
    ws.send({ type: 'ping' });
    await ws.next('pong');
    ws.close();
    expect((await call(maker, '/api/v1/sessions')).status).toBe(200);
  });

  it('of /auth are twenty a minute for an address, with whatever credential', async () => {
    const address = newcomer();
    const known = token({ sub: 'asker', jti: 'asker' });
    const answers = await Promise.all(Array.from({ length: 30 }, () => call(known, '/api/v1/auth/info', address)));
    expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(20);
    expect(answers.filter(({ status }) => status === 200).length).toBeLessThan(25);
    const later = Math.max(...answers.map((answer) => Number(answer.headers.get('retry-after'))));
    expect(Math.ceil(later / 3)).toBe(1);
    expect((await call(known, '/api/v1/sessions', address)).status).toBe(200);
  });

  it('of probes are their own: strangers do not use them up, and too many probes are refused, over gRPC too', async () => {
    const address = newcomer();
    await exhaust(address);
    const health = await call(null, '/health/live', address);
    expect([health.status, rate(health)[0]]).toEqual([200, 60]);
    const statuses = await Promise.all(
      Array.from({ length: 150 }, async () => (await call(null, '/health/live', address)).status),
    );
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(10);
    const { grpc } = loadPackageDefinition(loadSync(protoPath)) as unknown as {
      grpc: { health: { v1: { Health: Probe } } };
    };
    const client = new grpc.health.v1.Health(gateway.grpcAddress, credentials.createInsecure());
    const metadata = new Metadata();
    metadata.set('x-forwarded-for', address);
    const probes = await Promise.all(
      Array.from(
        { length: 100 },
        () =>
          new Promise<number>((done) => {
            client.check({}, metadata, (error) => {
              done(error?.code ?? 0);
            });
          }),
      ),
    );
    client.close();
    expect(new Set(probes)).toContain(8);
  });

  it('count who comes by another name, and what pages of a listed site ask before they call', async () => {
    const address = newcomer();
    const call = `GET /health HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-For: ${address}\r\n\r\n`;
    const told = await Promise.all(Array.from({ length: 60 }, () => said(gateway, call)));
    expect(new Set(told.map((text) => text.slice(9, 12)))).toEqual(new Set(['421', '429']));
    const asks = {
      origin: 'https://page.example',
      'access-control-request-method': 'POST',
      'x-forwarded-for': address,
    };
    const ask = () => rest(gateway, null, 'OPTIONS', '/api/v1/sessions', undefined, asks);
    const answers = await Promise.all(Array.from({ length: 120 }, ask));
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([204, 429]));
  });

  it('of connections are fifty for a caller, WebSockets and streams together', async () => {
    const credential = unhurried;
    const open: WsClient[] = [];
    while (open.length < 50) open.push(await WsClient.open(gateway, '/ws', { credential }));
    const upgrade = (await refused(WsClient.open(gateway, '/ws', { credential }))) as unknown as Record<string, string>;
    expect([upgrade['status'], upgrade['body']]).toEqual([503, expect.stringContaining('CONNECTION_LIMIT')]);
    const late = await WsClient.open(gateway, '/ws', { headers: { 'x-forwarded-for': newcomer() } });
    late.send({ type: 'authenticate', token: credential });
    expect(await late.closes()).toEqual({ code: 1013, reason: 'CONNECTION_LIMIT' });
    const grpc = new GrpcClient(gateway, credential);
    expect(reasonOf((await endOf(grpc.attach())) as ServiceError)).toBe('CONNECTION_LIMIT');
    grpc.close();
    open[0]?.close();
    await until('a place', async () => {
      const again = await WsClient.open(gateway, '/ws', { credential }).catch(() => null);
      if (again !== null) open.push(again);
      return again !== null;
    });
    for (const ws of open) ws.close();
  });

  it('are counted, and on record a few times a minute, not each time', async () => {
    const figures = await scrape(gateway, admin());
    for (const type of ['ip', 'user']) expect(figures.of('rate_limit_violations_total', { type })).toBeGreaterThan(20);
    const [row] = await gateway.audit({ action: 'rate_limit.exceeded', user_id: 'busy' });
    expect(row).toMatchObject({ reason: 'RATE_LIMIT_EXCEEDED', success: false, metadata: { detail: 'user' } });
    const rows = await gateway.query(`SELECT * FROM audit_trail WHERE action = 'rate_limit.exceeded'`);
    expect(rows.length).toBeLessThan(60);
  });
});

type Probe = new (
  address: string,
  by: unknown,
) => {
  check(request: object, metadata: Metadata, answer: (error: ServiceError | null) => void): void;
  close(): void;
};
