import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { protoPath as healthProto } from 'grpc-health-check';
import { TestGateway, token } from '../support/gateway.js';
import { GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { reflect } from '../support/reflection.js';
import { codeOf, rest } from '../support/rest.js';

/** Sends bytes as they are; the whole answer. */
function raw(gateway: TestGateway, bytes: string, quietMs = 5000): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(gateway.httpPort, '127.0.0.1', () => {
      socket.write(bytes);
    });
    let answer = '';
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString();
    });
    socket.on('close', () => {
      resolve(answer);
    });
    socket.on('error', reject);
    socket.setTimeout(quietMs, () => socket.destroy());
  });
}

describe('the edges', () => {
  let gateway: TestGateway;
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start();
  });
  afterAll(() => gateway.remove());

  it('every answer has a request id and may not be stored, errors too', async () => {
    for (const [credential, path] of [
      [alice, '/api/v1/sessions'],
      [alice, '/nothing'],
      [null, '/api/v1/sessions'],
      [null, '/health/live'],
    ] as const) {
      const { headers } = await rest(gateway, credential, 'GET', path);
      expect([
        headers.get('x-request-id')?.length,
        headers.get('cache-control'),
        headers.get('x-content-type-options'),
      ]).toEqual([36, 'no-store', 'nosniff']);
      expect(headers.get('x-powered-by') ?? headers.get('server')).toBeNull();
    }
    const forged = await rest(gateway, alice, 'GET', '/api/v1/sessions', undefined, { 'x-request-id': 'a b<script>' });
    expect(forged.headers.get('x-request-id')).toHaveLength(36);
  });

  it('health needs no credential and says what is there', async () => {
    expect(await rest(gateway, null, 'GET', '/health/live')).toMatchObject({ status: 200, body: { status: 'ok' } });
    for (const path of ['/health', '/health/ready']) {
      expect(await rest(gateway, null, 'GET', path)).toMatchObject({
        status: 200,
        body: { status: 'ok', checks: { database: 'ok', runner: 'ok', audit: 'ok' } },
      });
    }
  });

  it('a probe may ask for the headers alone, wherever it may ask for the answer', async () => {
    for (const path of ['/health/live', '/health/ready', '/health'])
      expect(await rest(gateway, null, 'HEAD', path)).toMatchObject({ status: 200, text: '' });
    expect((await rest(gateway, null, 'HEAD', '/api/v1/sessions')).status).toBe(401);
    expect((await rest(gateway, null, 'HEAD', '/no/such/page')).status).toBe(401);
  });

  it('a body is not read before the caller is known', async () => {
    const head =
      'POST /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 999999999\r\n\r\n';
    expect(await raw(gateway, head)).toMatch(/^HTTP\/1.1 401 /);
  });

  it.each([
    [
      'too large a body',
      'POST',
      '/api/v1/sessions',
      JSON.stringify({ name: 'x'.repeat(1_100_000) }),
      'application/json',
      413,
      'PAYLOAD_TOO_LARGE',
    ],
    ['another media type', 'POST', '/api/v1/sessions', '<xml/>', 'application/xml', 415, 'UNSUPPORTED_MEDIA_TYPE'],
    ['an empty body', 'POST', '/api/v1/sessions', '', 'application/json', 400, 'MALFORMED_REQUEST'],
    [
      'a prototype member',
      'POST',
      '/api/v1/sessions',
      '{"__proto__":{"x":1}}',
      'application/json',
      400,
      'MALFORMED_REQUEST',
    ],
    ['an unknown query member', 'GET', '/api/v1/sessions?all=1', undefined, undefined, 422, 'INVALID_ARGUMENT'],
    ['a page too long', 'GET', '/api/v1/sessions?limit=101', undefined, undefined, 422, 'INVALID_ARGUMENT'],
    ['an unknown state', 'GET', '/api/v1/sessions?state=dead', undefined, undefined, 422, 'INVALID_ARGUMENT'],
    ['a member given twice', 'GET', '/api/v1/sessions?limit=1&limit=2', undefined, undefined, 422, 'INVALID_ARGUMENT'],
  ])('REST answers %s clearly', async (_what, method, path, body, type, status, code) => {
    const answer = await rest(gateway, alice, method, path, body, type === undefined ? {} : { 'content-type': type });
    expect([answer.status, codeOf(answer)]).toEqual([status, code]);
    expect(answer.text).not.toMatch(/at .*\.js|node_modules/);
  });

  it.each([
    ['what is no HTTP', 'hello\r\n\r\n', /^HTTP\/1.1 400 [\s\S]*MALFORMED_REQUEST/],
    [
      'headers over 16 KiB',
      `GET / HTTP/1.1\r\nHost: localhost\r\nX-Big: ${'x'.repeat(20_000)}\r\n\r\n`,
      /^HTTP\/1.1 431 [\s\S]*HEADERS_TOO_LARGE/,
    ],
  ])('HTTP answers %s clearly', async (_what, bytes, expected) => {
    expect(await raw(gateway, bytes)).toMatch(expected);
  });

  it('an upgrade that is admitted has the headers of every answer', async () => {
    const upgrade =
      `GET /ws HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${alice}\r\nConnection: Upgrade\r\n` +
      'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n';
    const answer = await raw(gateway, upgrade, 2000);
    expect(answer).toMatch(/^HTTP\/1.1 101 /);
    for (const header of ['X-Content-Type-Options: nosniff', 'X-RateLimit-Limit: ', 'Content-Security-Policy: '])
      expect(answer.toLowerCase()).toContain(header.toLowerCase());
  });

  it('gRPC answers headers over 16 KiB clearly', async () => {
    const client = new GrpcClient(gateway, alice);
    const { metadata } = client;
    metadata.set('x-big', 'x'.repeat(20_000));
    const error = await refused(client.call('list', {}, metadata));
    expect([error.code, reasonOf(error)]).toEqual([8, 'HEADERS_TOO_LARGE']);
    client.close();
  });

  it('HTTP answers a request that never ends, and lets go of it', async () => {
    expect(await raw(gateway, 'GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: 1', 50_000)).toMatch(
      /^HTTP\/1.1 408 [\s\S]*REQUEST_TIMEOUT/,
    );
  });

  it.each(['h2c', 'TLS/1.0, HTTP/1.1'])('a client that also offers %s is served over HTTP/1.1', async (offer) => {
    const head = (line: string): string =>
      `${line}\r\nHost: localhost\r\nAuthorization: Bearer ${alice}\r\n` +
      `Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: ${offer}\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n`;
    expect(await raw(gateway, `${head('GET /api/v1/sessions HTTP/1.1')}\r\n`)).toMatch(/^HTTP\/1.1 200 /);
    const body = JSON.stringify({ command: ['/bin/true'] });
    const post = `${head('POST /api/v1/sessions HTTP/1.1')}Content-Type: application/json\r\n`;
    expect(await raw(gateway, `${post}Content-Length: ${String(body.length)}\r\n\r\n${body}`)).toMatch(
      /^HTTP\/1.1 201 [\s\S]*"state":"(running|exited)"/,
    );
  });

  it.each(['//', '//ws', '/\\', '/%', '/api/v1/sessions/%ff', `/${'x'.repeat(300)}`, 'http://', '*'])(
    'the address %s is answered clearly on REST and as an upgrade',
    async (address) => {
      const upgrade =
        'Connection: Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
      for (const headers of ['Connection: close\r\n', upgrade]) {
        const answer = await raw(
          gateway,
          `GET ${address} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${alice}\r\n${headers}\r\n`,
        );
        expect(answer).toMatch(/^HTTP\/1.1 (400|404) [\s\S]*"code":"(MALFORMED_REQUEST|NOT_FOUND)"[\s\S]*"request_id"/);
        expect(answer.toLowerCase()).toContain('cache-control: no-store');
      }
      expect(gateway.log.filter(({ msg }) => msg === 'websocket upgrade failed' || msg === 'request failed')).toEqual(
        [],
      );
    },
  );

  it('two Authorization headers are two credentials', async () => {
    const answer = await raw(
      gateway,
      `GET /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer a\r\nAuthorization: Bearer ${alice}\r\n\r\n`,
    );
    expect(answer).toMatch(/^HTTP\/1.1 400 [\s\S]*AMBIGUOUS_CREDENTIALS/);
  });

  it('gRPC health needs no credential, reflection does', async () => {
    const health = loadPackageDefinition(loadSync(healthProto)) as unknown as {
      grpc: {
        health: {
          v1: {
            Health: new (
              address: string,
              by: unknown,
            ) => {
              check: (request: object, callback: (error: unknown, answer: { status: string | number }) => void) => void;
              close: () => void;
            };
          };
        };
      };
    };
    const client = new health.grpc.health.v1.Health(gateway.grpcAddress, credentials.createInsecure());
    const status = await new Promise((resolve) => {
      client.check({ service: 'gatehouse.pty.v1.PtyService' }, (_error, answer) => {
        resolve(answer.status);
      });
    });
    expect(status).toBe(1);
    client.close();
    expect(await reflect(gateway, null)).toBe('16');
    expect(await reflect(gateway, alice)).toContain('gatehouse.pty.v1.PtyService');
  });

  it('gRPC errors carry google.rpc details and the request id', async () => {
    const grpc = new GrpcClient(gateway, alice);
    const metadata = grpc.metadata;
    metadata.set('x-request-id', 'grpc-request-7');
    const error = await refused(
      grpc.call('resize', { id: '01a1fc84-6cb5-7e33-bf1e-bc189c38028f', cols: 0, rows: 0 }, metadata),
    );
    expect([error.code, reasonOf(error)]).toEqual([5, 'NOT_FOUND']);
    expect(String(error.metadata.get('grpc-status-details-bin')[0])).toContain('grpc-request-7');
    const large = await refused(grpc.call('write', { id: 'x', data: Buffer.alloc(5 * 1024 * 1024) }));
    expect(large.code).toBe(8);
    grpc.close();
  });
});
