/** TLS on both ports, from the pair that `gatehouse cert self-signed` makes, as clients of all kinds find it. */
import { once } from 'node:events';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { X509Certificate } from 'node:crypto';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { gatehouse } from '../support/command-line.js';
import { expectEveryHeader } from '../support/every-header.js';
import { pause, TestGateway, token, until } from '../support/gateway.js';
import { type AttachStream, GrpcClient } from '../support/grpc-client.js';
import { Authority, type Issued } from '../support/link-certificates.js';
import { hasProgram, run, trust, trustedRoots } from '../support/programs.js';
import { rest, startSession } from '../support/rest.js';
import { scrape } from '../support/scrape.js';
import { WsClient } from '../support/ws-client.js';

const curl = hasProgram('curl') ? it : it.skip;
const PAIR = ['server.crt', 'server.key'] as const;

describe('over TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gatehouse-tls-'));
  const path = (name: string): string => join(folder, name);
  let gateway: TestGateway;
  let authority: Authority;
  let session = '';
  const [alice, admin] = [token(), token({ sub: 'root', roles: ['admin'] })];

  /** Makes a pair in a folder of its own. */
  async function make(name: string): Promise<void> {
    const made = await gatehouse([
      'cert',
      'self-signed',
      '--host',
      'localhost',
      '--host',
      '127.0.0.1',
      '--out',
      path(name),
    ]);
    expect(made).toMatchObject({ status: 0, stderr: '' });
    trust(readFileSync(path(`${name}/server.crt`), 'utf8'));
  }

  beforeAll(async () => {
    for (const name of ['first', 'second']) await make(name);
    for (const file of PAIR) copyFileSync(path(`first/${file}`), path(file));
    authority = await Authority.make();
    writeFileSync(path('clients.crt'), authority.cert);
    gateway = await TestGateway.start({
      ...{ TLS_ENABLED: 'true', TLS_CERT_FILE: path('server.crt'), TLS_KEY_FILE: path('server.key') },
      ...{ TLS_CLIENT_AUTH: 'request', TLS_CLIENT_CA_FILE: path('clients.crt'), NODE_ENV: 'production' },
    });
    session = await startSession(gateway, alice, { command: ['/bin/cat'] });
  }, 60_000);
  afterAll(async () => {
    await gateway.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  const trusting = (): Record<string, string> => ({
    ...{ NODE_EXTRA_CA_CERTS: path('first/server.crt'), GATEHOUSE_TOKEN: alice, GATEHOUSE_URL: gateway.url },
  });

  it('the start says how it is called, and what to trust', () => {
    expect(gateway.stdout).toContain(`REST, WebSocket  ${gateway.url}\n`);
    expect(gateway.url).toMatch(/^https:/);
    expect(gateway.stdout).toMatch(/gRPC +127\.0\.0\.1:\d+, over TLS\n/);
    expect(gateway.stdout).toContain(
      `NODE_EXTRA_CA_CERTS=${path('server.crt')} GATEHOUSE_URL=${gateway.url} GATEHOUSE_TOKEN=`,
    );
  });

  it('REST, WebSocket and gRPC serve programs', async () => {
    expect((await rest(gateway, alice, 'GET', `/api/v1/sessions/${session}`)).body).toMatchObject({ state: 'running' });
    const socket = await WsClient.open(gateway, `/ws/pty?id=${session}`, { credential: alice, binary: true });
    await socket.next('attached');
    socket.type('over websocket\n', 0);
    await socket.sees('over websocket\r\nover websocket\r\n');
    socket.close();
    const grpc = new GrpcClient(gateway, alice);
    expect(await grpc.call('get', { id: session })).toMatchObject({ session: { id: session } });
    grpc.close();
  });

  it('an upgrade that is refused is told why, and its connection ends', async () => {
    const opening = WsClient.open(gateway, '/ws', { credential: alice, headers: { origin: 'https://evil.example' } });
    await expect(opening).rejects.toMatchObject({ status: 403, body: expect.stringContaining('ORIGIN_NOT_ALLOWED') });
    const own = { credential: alice, headers: { origin: gateway.url } };
    (await WsClient.open(gateway, '/ws', own)).close();
  });

  it('the command line lists sessions and attaches to one; without trust it does neither', async () => {
    const listed = await gatehouse(['list', '--json'], { env: trusting() });
    expect(listed).toMatchObject({ status: 0, stdout: expect.stringContaining(session) });
    const short = await gatehouse(['run', '--', '/bin/sh', '-c', 'echo over wss; exit 7'], { env: trusting() });
    expect([short.status, short.stdout]).toEqual([7, expect.stringContaining('over wss')]);
    const { status, stderr } = await gatehouse(['list'], { env: { ...trusting(), NODE_EXTRA_CA_CERTS: '' } });
    expect([status, stderr]).toEqual([1, expect.stringMatching(/cannot be reached: self-signed certificate/)]);
    const plain = gateway.url.replace('https', 'http');
    const told = await gatehouse(['list'], { env: { ...trusting(), GATEHOUSE_URL: plain } });
    expect([told.status, told.stderr]).toEqual([
      1,
      expect.stringContaining('This port speaks TLS: call it with https'),
    ]);
  });

  curl('curl is served by name and by address, and told every header', async () => {
    for (const name of ['localhost', '127.0.0.1']) {
      const url = `https://${name}:${String(gateway.httpPort)}`;
      const trusted = ['--cacert', path('first/server.crt')];
      const { status, text } = await run('curl', ['-si', ...trusted, `${url}/health/live`]);
      expect([status, text]).toEqual([0, expect.stringMatching(/^HTTP\/1\.1 200 /)]);
      expectEveryHeader(text, true);
      const refused = await run('curl', ['-si', ...trusted, `${url}/api/v1/sessions`]);
      expect(refused.text).toMatch(/^HTTP\/1\.1 401 /);
      expectEveryHeader(refused.text, true);
      expect((await run('curl', ['-sS', `${url}/health/live`])).text).toMatch(/self.signed certificate/);
    }
    for (const port of [gateway.httpPort, gateway.grpcPort]) {
      const { text } = await run('curl', ['-si', `http://127.0.0.1:${String(port)}/health/live`]);
      expect(text).toMatch(/^HTTP\/1\.1 400 [\s\S]*"code":"TLS_REQUIRED"/);
      expectEveryHeader(text, false);
    }
    expect(await gateway.audit({ action: 'tls.handshake_failed', reason: 'TLS_REQUIRED' }, 2)).toHaveLength(2);
  });

  it('who has a certificate that our authority vouches for is named on record, on every transport; that alone lets nobody in', async () => {
    const own = await authority.issue(['alice.test'], 'clientAuth', [], { name: 'alice of the laptop' });
    const foreign = await (await Authority.make()).issue(['alice.test'], 'clientAuth', [], { name: 'somebody else' });
    const call = (shown: Issued, credential: string | null): Promise<number> =>
      new Promise((done, fail) => {
        const headers = credential === null ? {} : { authorization: `Bearer ${credential}` };
        request(
          `${gateway.url}/api/v1/auth/ws-ticket`,
          { method: 'POST', agent: false, headers, ...shown },
          (answer) => {
            answer.resume().on('end', () => {
              done(answer.statusCode ?? 0);
            });
          },
        )
          .on('error', fail)
          .end();
      });
    expect(await call(own, null)).toBe(401);
    expect(await call(own, alice)).toBe(201);
    expect(await call(foreign, token({ sub: 'mallory' }))).toBe(201);
    const socket = await WsClient.open(gateway, '/ws', { credential: alice, tls: own });
    const grpc = new GrpcClient(
      gateway,
      alice,
      {},
      credentials.createSsl(trustedRoots(), Buffer.from(own.key), Buffer.from(own.cert)),
    );
    await grpc.call('signal', { id: session, signal: 'CONT' });
    grpc.close();
    socket.close();
    for (const [action, transport] of [
      ['auth.token_minted', 'rest'],
      ['websocket.connected', 'websocket'],
      ['pty.signal', 'grpc'],
    ]) {
      const rows = await gateway.audit({ action, transport });
      const names = rows.map(({ metadata }) => (metadata as Record<string, unknown>)['client_certificate']);
      expect([action, names]).toEqual([action, expect.arrayContaining(['CN=alice of the laptop'])]);
    }
    const foreigner = await gateway.audit({ action: 'auth.token_minted', user_id: 'mallory' });
    expect(foreigner.map(({ metadata }) => metadata)).toEqual([
      expect.not.objectContaining({ client_certificate: expect.anything() }),
    ]);
    expect(gateway.stdout).not.toContain('somebody else');
  });

  it('a renewed certificate serves new connections on both ports while those that are open go on; a broken one changes nothing', async () => {
    /** The certificate that a port shows now. */
    const shown = async (port: number): Promise<string> => {
      const socket = connectTls({
        port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        ALPNProtocols: ['h2', 'http/1.1'],
      });
      await once(socket, 'secureConnect');
      const { fingerprint256 } = socket.getPeerCertificate();
      socket.destroy();
      return fingerprint256;
    };
    const ports = [gateway.httpPort, gateway.grpcPort];
    const bothShow = (name: string): Promise<void> => {
      const { fingerprint256 } = new X509Certificate(readFileSync(path(`${name}/server.crt`)));
      return until(`${name} on both ports`, async () =>
        (await Promise.all(ports.map(shown))).every((each) => each === fingerprint256),
      );
    };
    await bothShow('first');
    const socket = await WsClient.open(gateway, `/ws/pty?id=${session}`, { credential: alice, binary: true });
    const { input_next: next } = await socket.next('attached');
    const grpc = new GrpcClient(gateway, alice);
    const stream: AttachStream = grpc.attach();
    let heard = '';
    stream.on('data', (frame: { output?: { data?: Buffer } }) => (heard += frame.output?.data?.toString() ?? ''));
    stream.write({ attach: { session, mode: 'ATTACH_MODE_VIEWER' } });
    const bothHear = async (text: string): Promise<void> => {
      socket.type(`${text}\n`, typed);
      typed += text.length + 1;
      await socket.sees(`${text}\r\n${text}\r\n`);
      await until(`${text} over gRPC`, () => heard.includes(`${text}\r\n${text}\r\n`));
    };
    let typed = Number(next ?? 0);
    await bothHear('before');
    const expiry = (await scrape(gateway, admin)).of('tls_certificate_expiry_seconds');
    expect(Math.abs(expiry - (Date.now() / 1000 + 365 * 86_400))).toBeLessThan(600);

    writeFileSync(path('server.crt'), 'half of it');
    const [rejected] = await gateway.audit({ action: 'config.rejected' });
    expect(rejected).toMatchObject({ resource: `file:${path('server.crt')}`, success: false });
    await bothShow('first');
    for (const file of PAIR) copyFileSync(path(`second/${file}`), path(file));
    await bothShow('second');
    expect(await gateway.audit({ action: 'tls.certificate_reloaded' })).toHaveLength(1);
    await bothHear('after');
    socket.close();
    stream.on('error', () => undefined).cancel();
    grpc.close();

    for (const file of PAIR) copyFileSync(path(`first/${file}`), path(file));
    process.kill(gateway.pid, 'SIGHUP');
    await bothShow('first');
    // A signal without a change changes nothing, and ends nothing.
    process.kill(gateway.pid, 'SIGHUP');
    await pause(100);
    await bothShow('first');
    expect((await scrape(gateway, admin)).of('tls_handshake_failures_total')).toBeGreaterThan(0);
  }, 60_000);

  it('a stop ends connections of both ports in order', async () => {
    const grpc = new GrpcClient(gateway, alice);
    const socket = await WsClient.open(gateway, '/ws', { credential: alice });
    const stream = grpc.attach();
    stream.write({ attach: { session } });
    await once(stream, 'data');
    const ended = new Promise<number>((done) =>
      stream.on('error', ({ code }: { code?: number }) => {
        done(code ?? -1);
      }),
    );
    expect(await gateway.end('SIGTERM')).toBe(0);
    expect([await ended, (await socket.closes()).code]).toEqual([14, 1001]);
    grpc.close();
  });
});
