/** What a server is to browsers: its names, the sites whose pages may call, and what every answer tells them. */
import { createHash, X509Certificate } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Chromium, hasChromium } from '../support/chromium.js';
import { expectEveryHeader } from '../support/every-header.js';
import { TestGateway, token } from '../support/gateway.js';
import { GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { Authority, CertificateFolder } from '../support/link-certificates.js';
import { codeOf, rest } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

/** Sends bytes as they are; the whole answer. */
function raw(gateway: TestGateway, bytes: string): Promise<string> {
  return new Promise((done) => {
    let answer = '';
    const socket = connect(gateway.httpPort, '127.0.0.1', () => socket.write(bytes));
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      done(answer);
    });
    socket.setTimeout(15_000, () => socket.destroy());
  });
}

describe('a server and the sites of others', () => {
  let gateway: TestGateway;
  let pages: Server;
  let friend = '';
  const alice = token();

  beforeAll(async () => {
    pages = createServer((_request, response) => {
      response.setHeader('content-type', 'text/html; charset=utf-8');
      response.end('<!doctype html><title>a page</title>');
    });
    await new Promise<void>((done) => pages.listen(0, '127.0.0.1', done));
    friend = `http://friend.test:${String((pages.address() as AddressInfo).port)}`;
    gateway = await TestGateway.start({ CORS_ALLOWED_ORIGINS: `https://app.example.com, ${friend}` });
  });
  afterAll(async () => {
    pages.closeAllConnections();
    await new Promise((done) => pages.close(done));
    await gateway.remove();
  });

  const known = `Host: localhost\r\nAuthorization: Bearer ${alice}\r\n`;
  const closing = 'Connection: close\r\n';
  const upgrade =
    'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
  const body = (text: string): string =>
    `Content-Type: application/json\r\nContent-Length: ${String(text.length)}\r\n\r\n${text}`;

  it.each([
    [200, 'an answer', `GET /api/v1/sessions HTTP/1.1\r\n${known}${closing}\r\n`],
    [200, 'health', `GET /health/live HTTP/1.1\r\nHost: localhost\r\n${closing}\r\n`],
    [200, 'health’s headers alone', `HEAD /health/live HTTP/1.1\r\nHost: localhost\r\n${closing}\r\n`],
    [
      204,
      'what a browser asks before',
      `OPTIONS /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example.com\r\nAccess-Control-Request-Method: GET\r\n${closing}\r\n`,
    ],
    [400, 'a body that is no JSON', `POST /api/v1/sessions HTTP/1.1\r\n${known}${closing}${body('{')}`],
    [400, 'two credentials', `GET /api/v1/sessions HTTP/1.1\r\n${known}X-API-Key: x\r\n${closing}\r\n`],
    [400, 'no HTTP', 'hello\r\n\r\n'],
    [400, 'an address that cannot be read', `GET /%ff HTTP/1.1\r\n${known}${closing}\r\n`],
    [400, 'a request without a Host', `GET / HTTP/1.1\r\n${closing}\r\n`],
    [400, 'a request with two', `GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n${closing}\r\n`],
    [401, 'no credential', `GET /api/v1/sessions HTTP/1.1\r\nHost: localhost\r\n${closing}\r\n`],
    [403, 'no permission', `GET /metrics HTTP/1.1\r\n${known}${closing}\r\n`],
    [
      403,
      'what a browser asks for another site',
      `OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\nAccess-Control-Request-Method: GET\r\n${closing}\r\n`,
    ],
    [404, 'no such page', `GET /nothing HTTP/1.1\r\n${known}${closing}\r\n`],
    [
      413,
      'too large a body',
      `POST /api/v1/sessions HTTP/1.1\r\n${known}${closing}Content-Type: application/json\r\nContent-Length: 99999999\r\n\r\n`,
    ],
    [
      415,
      'another media type',
      `POST /api/v1/sessions HTTP/1.1\r\n${known}${closing}Content-Type: application/xml\r\nContent-Length: 1\r\n\r\nx`,
    ],
    [417, 'something else expected', `GET / HTTP/1.1\r\n${known}Expect: everything\r\n${closing}\r\n`],
    [421, 'another name', `GET /health/live HTTP/1.1\r\nHost: evil.example\r\n${closing}\r\n`],
    [422, 'a wrong field', `GET /api/v1/sessions?limit=0 HTTP/1.1\r\n${known}${closing}\r\n`],
    [429, 'too many at once', `GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(40)],
    [431, 'large headers', `GET / HTTP/1.1\r\nHost: localhost\r\nX-Big: ${'x'.repeat(20_000)}\r\n\r\n`],
    [
      400,
      'an upgrade without its key',
      `GET /ws HTTP/1.1\r\n${known}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
    ],
    [
      401,
      'an upgrade with a bad credential',
      `GET /ws HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer x\r\n${upgrade}\r\n`,
    ],
    [403, 'an upgrade from another site', `GET /ws HTTP/1.1\r\n${known}Origin: https://evil.example\r\n${upgrade}\r\n`],
    [404, 'an upgrade of another page', `GET /nothing HTTP/1.1\r\n${known}${upgrade}\r\n`],
    [421, 'an upgrade by another name', `GET /ws HTTP/1.1\r\nHost: evil.example\r\n${upgrade}\r\n`],
  ])('%i, %s: has every header that a browser needs', async (status, _what, bytes) => {
    const answers = (await raw(gateway, bytes)).split(/(?=HTTP\/1\.1 \d)/);
    const answer = answers.find((each) => each.startsWith(`HTTP/1.1 ${String(status)} `));
    expect([status, answer ?? answers]).toEqual([status, expect.any(String)]);
    expectEveryHeader(answer ?? '', false);
  });

  it('nobody is served by a name that is not the server’s: a name server may lead any name here', async () => {
    for (const path of ['/health/live', '/api/v1/sessions', '/nothing']) {
      const answer = await raw(
        gateway,
        `GET ${path} HTTP/1.1\r\nHost: evil.example:8080\r\nAuthorization: Bearer ${alice}\r\n${closing}\r\n`,
      );
      expect(answer).toMatch(/^HTTP\/1\.1 421 [\s\S]*"code":"HOST_NOT_ALLOWED"/);
    }
    const socket = WsClient.open(gateway, '/ws', { credential: alice, headers: { host: 'evil.example' } });
    await expect(socket).rejects.toMatchObject({
      status: 421,
      body: expect.stringContaining('HOST_NOT_ALLOWED'),
    });
    for (const credential of [alice, null]) {
      const grpc = new GrpcClient(gateway, credential, { 'grpc.default_authority': 'evil.example:50051' });
      const error = await refused(grpc.call('list', {}));
      expect([error.code, reasonOf(error)]).toEqual([7, 'HOST_NOT_ALLOWED']);
      grpc.close();
    }
    const local = new GrpcClient(gateway, alice, { 'grpc.default_authority': 'localhost' });
    expect(await local.call('list', {})).toEqual({});
    local.close();
    for (const [action, transport] of [
      ['auth.failed', 'rest'],
      ['auth.failed', 'grpc'],
      ['websocket.rejected', 'websocket'],
    ])
      expect(await gateway.audit({ action, transport, reason: 'HOST_NOT_ALLOWED' })).toHaveLength(1);
  });

  it.each([
    ['a listed site', 'https://app.example.com', null],
    ['another', 'https://evil.example', 403],
    ['nobody’s', 'null', 403],
    ['another port of this machine', 'http://127.0.0.1:3000', 403],
  ])('a WebSocket of a page of %s', async (_what, origin, status) => {
    const opening = WsClient.open(gateway, '/ws', { credential: alice, headers: { origin } });
    if (status === null) (await opening).close();
    else
      await expect(opening).rejects.toMatchObject({
        status,
        body: expect.stringContaining('ORIGIN_NOT_ALLOWED'),
      });
  });

  it('a WebSocket of a page of its own opens, and so does one of a program, which has no page', async () => {
    (await WsClient.open(gateway, '/ws', { credential: alice, headers: { origin: gateway.url } })).close();
    (await WsClient.open(gateway, '/ws', { credential: alice })).close();
  });

  it('a listed site may read answers, refusals too; another may not, and is not told whether there is anything', async () => {
    for (const [credential, status] of [
      [alice, 200],
      [null, 401],
    ] as const) {
      const mine = await rest(gateway, credential, 'GET', '/api/v1/sessions', undefined, { origin: friend });
      expect([mine.status, mine.headers.get('access-control-allow-origin'), mine.headers.get('vary')]).toEqual([
        status,
        friend,
        'Origin',
      ]);
      expect(mine.headers.get('access-control-expose-headers')).toMatch(/X-Request-Id.*X-RateLimit-Remaining/);
      expect(mine.headers.get('access-control-allow-credentials')).toBeNull();
      const other = await rest(gateway, credential, 'GET', '/api/v1/sessions', undefined, {
        origin: 'https://evil.example',
      });
      expect([other.status, other.headers.get('vary')]).toEqual([status, 'Origin']);
      expect([...other.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
    }
    const ask = (origin: string) =>
      rest(gateway, null, 'OPTIONS', '/api/v1/sessions', undefined, {
        ...{ origin, 'access-control-request-method': 'DELETE', 'access-control-request-headers': 'authorization' },
      });
    const granted = await ask(friend);
    expect([granted.status, granted.text, granted.headers.get('access-control-allow-origin')]).toEqual([
      204,
      '',
      friend,
    ]);
    const denied = await ask('https://evil.example');
    expect([denied.status, codeOf(denied), denied.headers.get('access-control-allow-origin')]).toEqual([
      403,
      'ORIGIN_NOT_ALLOWED',
      null,
    ]);
    expect((await rest(gateway, null, 'OPTIONS', '/api/v1/sessions')).status).toBe(401);
  });

  describe.each([hasChromium()].filter(Boolean))('in a real browser', () => {
    let browser: Chromium;
    beforeAll(async () => {
      // Every name leads to this machine, as one of a site whose name server lies does.
      const pair = await (await Authority.make()).issue(['localhost', 'evil.test'], 'serverAuth', ['127.0.0.1']);
      const spki = new X509Certificate(pair.cert).publicKey.export({ type: 'spki', format: 'der' });
      const hash = createHash('sha256').update(spki).digest('base64');
      browser = await Chromium.open([
        ...['--host-resolver-rules=MAP * 127.0.0.1', `--ignore-certificate-errors-spki-list=${hash}`],
      ]);
      const files = { TLS_CERT_FILE: folder.put('s.crt', pair.cert), TLS_KEY_FILE: folder.put('s.key', pair.key) };
      secure = await gateway.sibling({ TLS_ENABLED: 'true', ...files });
    }, 120_000);
    afterAll(async () => {
      await browser.close();
      await secure.end();
      folder.remove();
    });
    let secure: TestGateway;
    const folder = new CertificateFolder();

    /** What a page of that origin gets to see, with a credential that is good. */
    async function tries(origin: string, server: string): Promise<unknown> {
      await browser.goTo(`${origin}/`);
      return browser.evaluate(`(async () => {
        const headers = { authorization: 'Bearer ${alice}' };
        const ask = (url, request) => fetch(url, request).then((answer) => answer.status, () => 'kept away');
        const socket = new WebSocket('${server.replace('http', 'ws')}/ws');
        const opened = new Promise((done) => {
          socket.onopen = () => done('open');
          socket.onclose = ({ code }) => done(code);
          setTimeout(done, 10_000, 'neither');
        });
        return [
          await ask('${server}/api/v1/sessions', { headers }),
          await ask('${server}/api/v1/sessions', { headers, method: 'POST', body: '{}' }),
          await ask('${server}/health/live'),
          await opened,
        ];
      })()`);
    }

    it('a page of a listed site calls and opens a terminal’s socket; one of another site can do neither', async () => {
      const server = `http://localhost:${String(gateway.httpPort)}`;
      // 415: it was let in, and says that its body is no JSON.
      expect(await tries(friend, server)).toEqual([200, 415, 200, 'open']);
      const evil = friend.replace('friend', 'evil');
      expect(await tries(evil, server)).toEqual(['kept away', 'kept away', 'kept away', 1006]);
      // Another program of this machine is another site.
      expect(await tries(friend.replace('friend.test', 'localhost'), server)).toEqual([
        'kept away',
        'kept away',
        'kept away',
        1006,
      ]);
    }, 120_000);

    it('the same over TLS, with a certificate that the browser trusts', async () => {
      const server = `https://localhost:${String(secure.httpPort)}`;
      // A page of the server itself, though it has nothing to show but an answer.
      expect(await tries(server, server)).toEqual([200, 415, 200, 'open']);
      expect(await tries(friend, server)).toEqual([200, 415, 200, 'open']);
      const other = friend.replace('friend', 'other');
      expect(await tries(other, server)).toEqual(['kept away', 'kept away', 'kept away', 1006]);
      const evil = `https://evil.test:${String(secure.httpPort)}`;
      expect(await tries(evil, evil)).toEqual([421, 421, 421, 1006]);
    }, 120_000);

    it('a site whose name was made to lead here reads nothing and opens nothing', async () => {
      const here = `http://rebound.test:${String(gateway.httpPort)}`;
      // The page is of the same origin as the server, as far as the browser knows: it asks nobody before it calls.
      expect(await tries(here, here)).toEqual([421, 421, 421, 1006]);
      const { text } = (await browser.evaluate(`({ text: document.body.innerText })`)) as { text: string };
      expect(text).toContain('HOST_NOT_ALLOWED');
    }, 120_000);
  });
});
