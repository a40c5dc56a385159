import { connect, type Socket } from 'node:net';
import { connect as secureConnect } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { MAX_HANDSHAKES } from '../../src/kernel/handshakes.js';
import { Doors } from '../support/doors.js';
import { until } from '../support/gateway.js';
import { Authority, CertificateFolder, type Issued } from '../support/link-certificates.js';
import { hasProgram, run } from '../support/programs.js';

const DAY_MS = 86_400_000;
/** PERMISSION_DENIED or UNAVAILABLE, by how far the client was when it was told to go away. */
const REFUSED = /^(7|14)$/;
const openssl = hasProgram('openssl') ? it : it.skip;

describe('TLS', () => {
  const folder = new CertificateFolder();
  let authority: Authority;
  let clients: Record<'none' | 'ours' | 'foreign' | 'ended' | 'a server’s', Issued | undefined>;
  let files: Record<string, string>;
  let clientCa: string;
  let doors: Doors | undefined;

  beforeAll(async () => {
    const [issuer, stranger] = [await Authority.make(), await Authority.make()];
    authority = issuer;
    const named = { name: 'alice' };
    clients = {
      none: undefined,
      ours: await issuer.issue(['alice.test'], 'clientAuth', [], named),
      foreign: await stranger.issue(['alice.test'], 'clientAuth', [], named),
      ended: await issuer.issue(['alice.test'], 'clientAuth', [], {
        ...{ ...named, from: new Date(Date.now() - 2 * DAY_MS), to: new Date(Date.now() - DAY_MS) },
      }),
      'a server’s': await issuer.issue(['alice.test'], 'serverAuth', [], named),
    };
    const { cert, key } = await issuer.issue(['localhost'], 'serverAuth', ['127.0.0.1']);
    files = { TLS_CERT_FILE: folder.put('server.crt', cert), TLS_KEY_FILE: folder.put('server.key', key) };
    clientCa = folder.put('clients.crt', issuer.cert);
  });
  afterEach(async () => {
    await doors?.close();
    doors = undefined;
  });
  afterAll(() => {
    folder.remove();
  });

  const REQUIRED = 'CLIENT_CERTIFICATE_REQUIRED';
  const INVALID = 'CLIENT_CERTIFICATE_INVALID';
  /** Who a client is taken for, or why it is not served. */
  it.each([
    ['none', false, { none: 'nobody', ours: 'nobody', foreign: 'nobody' }],
    ['request', false, { none: 'nobody', ours: 'nobody', foreign: 'nobody' }],
    ['request', true, { none: 'nobody', ours: 'CN=alice', foreign: 'nobody', ended: 'nobody', 'a server’s': 'nobody' }],
    ['require', false, { none: REQUIRED, ours: 'nobody', foreign: 'nobody' }],
    ['require', true, { none: REQUIRED, ours: 'CN=alice', foreign: 'nobody', ended: 'nobody' }],
    ['verify', true, { none: REQUIRED, ours: 'CN=alice', foreign: INVALID, ended: INVALID, 'a server’s': INVALID }],
  ] as const)(
    'TLS_CLIENT_AUTH=%s, with an authority: %s, takes clients for what they show',
    async (mode, ca, expected) => {
      const opened = await Doors.open({
        ...{ ...files, TLS_CLIENT_AUTH: mode },
        ...(ca ? { TLS_CLIENT_CA_FILE: clientCa } : {}),
      });
      doors = opened;
      for (const [shown, who] of Object.entries(expected)) {
        const own = clients[shown as keyof typeof clients];
        const [http, grpc] = [await opened.overHttp(authority.cert, own), await opened.overGrpc(authority.cert, own)];
        const told = who.startsWith('CLIENT_')
          ? [403, expect.stringContaining(`"code":"${who}"`), expect.stringMatching(REFUSED), expect.anything()]
          : [200, who, '0', who];
        expect([shown, http.status, http.text, String(grpc.status), grpc.text]).toEqual([shown, ...told]);
      }
      const refused = Object.values(expected).filter((who) => who.startsWith('CLIENT_'));
      const failures = opened.failures.map((each) => each.split(' ').slice(0, 2).join(' '));
      for (const code of new Set(refused))
        for (const transport of ['rest', 'grpc']) expect(failures).toContain(`${transport} ${code}`);
      if (refused.length === 0) expect(failures).toEqual([]);
    },
  );

  /** Connects without TLS and writes; what is heard until the end. */
  const plainly = (port: number, bytes: string): Promise<string> =>
    new Promise((done) => {
      let heard = '';
      const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
      socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
      socket.on('error', () => undefined);
      socket.on('close', () => {
        done(heard);
      });
    });

  it('who does not speak it is told so, on both ports, and not to believe what only TLS may say', async () => {
    const { httpPort, grpcPort, failures } = (doors = await Doors.open(files));
    const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
    for (const port of [httpPort, grpcPort])
      for (const bytes of ['GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', preface, 'x', '\n'.repeat(100_000)]) {
        const heard = await plainly(port, bytes);
        expect(heard).toMatch(
          /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*X-Frame-Options: DENY[\s\S]*"code":"TLS_REQUIRED"/,
        );
        expect(heard).not.toContain('Strict-Transport-Security');
      }
    expect(new Set(failures)).toEqual(new Set(['rest TLS_REQUIRED', 'grpc TLS_REQUIRED']));
  });

  it('a connection that breaks off, or says something else after the first byte, ends nothing but itself', async () => {
    const opened = (doors = await Doors.open(files));
    for (const port of [opened.httpPort, opened.grpcPort]) {
      await plainly(port, '\x16hello, this is no handshake, and never was one');
      const socket = connect(port, '127.0.0.1', () => {
        socket.write(Buffer.from([0x16, 3, 1, 2, 0]), () => socket.resetAndDestroy());
      });
      await new Promise((done) => socket.on('error', () => undefined).on('close', done));
    }
    await until('failures', () => opened.failures.length >= 2);
    expect(opened.failures.join()).toMatch(/rest TLS_HANDSHAKE_FAILED ERR_SSL_/);
    expect((await opened.overHttp(authority.cert)).status).toBe(200);
    expect((await opened.overGrpc(authority.cert)).status).toBe(0);
  });

  it('one byte at a time is a handshake too', async () => {
    const opened = (doors = await Doors.open(files));
    const slow = connect(opened.httpPort, '127.0.0.1').setNoDelay(true);
    await new Promise((done) => slow.once('connect', done));
    const write = slow.write.bind(slow);
    slow.write = (bytes: Uint8Array) => {
      for (const byte of bytes) write(Buffer.from([byte]));
      return true;
    };
    const secure = secureConnect({ socket: slow, ca: authority.cert, servername: 'localhost' });
    secure.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    let heard = '';
    secure.on('data', (chunk: Buffer) => (heard += chunk.toString()));
    await new Promise((done) => secure.on('close', done));
    expect(heard).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('those who only wait are bounded, and keep nobody out', async () => {
    const opened = (doors = await Doors.open(files));
    const waiting: Socket[] = [];
    let cut = 0;
    for (let count = 0; count < MAX_HANDSHAKES + 50; count += 1) {
      const socket = connect(opened.httpPort, '127.0.0.1');
      socket.on('error', () => undefined).on('close', () => (cut += 1));
      waiting.push(socket);
      if (count % 50 === 0) await new Promise((done) => socket.once('connect', done));
    }
    await until('the oldest to be cut off', () => cut >= 50);
    expect((await opened.overHttp(authority.cert)).status).toBe(200);
    for (const socket of waiting) socket.destroy();
  });

  const client = (port: number, ...flags: string[]) =>
    run('openssl', ['s_client', '-connect', `127.0.0.1:${String(port)}`, '-CAfile', clientCa, ...flags], 'Q\n');
  /** openssl's own level of safety would keep it from asking. */
  const WEAK = ['-cipher', 'ALL:@SECLEVEL=0'];

  openssl('is 1.2 or 1.3, with ciphers that have no known weakness, and is not resumed', async () => {
    const { httpPort, grpcPort } = (doors = await Doors.open(files));
    for (const port of [httpPort, grpcPort]) {
      const protocol = ['-alpn', port === httpPort ? 'http/1.1' : 'h2'];
      for (const [flags, spoken] of [
        [['-tls1_3'], /New, TLSv1\.3, Cipher is TLS_(AES|CHACHA20)/],
        [['-tls1_2'], /New, TLSv1\.2, Cipher is ECDHE-ECDSA-(AES256-GCM|CHACHA20|AES128-GCM)/],
        [['-tls1_2', '-cipher', 'ECDHE+CHACHA20'], /Cipher is ECDHE-ECDSA-CHACHA20/],
      ] as const) {
        const { text } = await client(port, ...protocol, ...flags);
        expect(text).toMatch(spoken);
        expect(text).toMatch(/Verify return code: 0 \(ok\)/);
        expect(text).toContain(`ALPN protocol: ${String(protocol[1])}`);
      }
      for (const flags of [
        ['-tls1_1', ...WEAK],
        ['-tls1', ...WEAK],
        ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0'],
        ['-tls1_2', '-cipher', 'AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0'],
      ]) {
        const { status, text } = await client(port, ...protocol, ...flags);
        expect([flags, status, /alert|Cipher is \(NONE\)/.test(text)]).toEqual([flags, 1, true]);
      }
      for (const version of ['-tls1_2', '-tls1_3']) {
        const { text } = await client(port, ...protocol, version, '-reconnect');
        expect(text).not.toMatch(/^Reused/m);
      }
    }
  });

  openssl('each port speaks its own protocol inside, and says so to who does not', async () => {
    const { httpPort, grpcPort } = (doors = await Doors.open(files));
    expect((await client(httpPort, '-alpn', 'h2')).text).toMatch(
      /alert no application protocol|no application protocol/,
    );
    expect((await client(grpcPort, '-alpn', 'http/1.1')).text).toMatch(/no application protocol/);
    expect((await client(httpPort)).text).toMatch(/No ALPN negotiated/);
    expect((await client(grpcPort, '-ign_eof')).text).toMatch(
      /HTTP\/1\.1 400 [\s\S]*This port speaks gRPC, over HTTP\/2/,
    );
  });

  openssl('is not negotiated anew on a connection', async () => {
    const { httpPort } = (doors = await Doors.open(files));
    const target = ['-connect', `127.0.0.1:${String(httpPort)}`, '-CAfile', clientCa];
    const { text } = await run('openssl', ['s_client', ...target, '-tls1_2', '-legacy_renegotiation'], 'R\n');
    expect(text).toMatch(/RENEGOTIATING[\s\S]*(no renegotiation|error)/);
  });

  openssl('is 1.3 alone where that is asked for', async () => {
    const { httpPort, grpcPort } = (doors = await Doors.open({ ...files, TLS_MIN_VERSION: '1.3' }));
    for (const port of [httpPort, grpcPort]) {
      expect((await client(port, '-tls1_2')).text).toMatch(/alert protocol version/);
      expect((await client(port, '-tls1_3', '-alpn', port === httpPort ? 'http/1.1' : 'h2')).text).toContain('TLSv1.3');
    }
  });
});
