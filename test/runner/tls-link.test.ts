import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls, type ConnectionOptions, createSecureContext } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { credentials } from '@grpc/grpc-js';
import type { RunnerServiceClient } from '../../src/generated/gatehouse/runner/v1/RunnerService.js';
import { encodeControlFrame } from '../../src/kernel/frame.js';
import { BYTES_PROTOCOL } from '../../src/kernel/link.js';
import { MAX_HANDSHAKES } from '../../src/kernel/handshakes.js';
import { loadRunnerProto } from '../../src/runner/proto.js';
import { freePort } from '../support/gateway.js';
import { Authority, CertificateFolder, type Issued, runnerFlags } from '../support/link-certificates.js';
import { LinkClient } from './link-client.js';
import { RunnerProcess } from './runner-process.js';
import { until } from './until.js';

const ATTACH = encodeControlFrame({ type: 'attach', session: 'none', channel: 0, user: 'ada', may_control: true });
/** How an HTTP/2 client begins. The runner answers with its settings. */
const PREFACE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from('000000040000000000', 'hex'),
]);

interface Ports {
  readonly control: number;
  readonly bytes: number;
}

/** Says something on a connection and waits for what comes of it: the bytes of an answer, or the end. */
async function knock(socket: Socket, words: Buffer): Promise<Buffer> {
  const heard: Buffer[] = [];
  let over = false;
  socket.on('data', (chunk: Buffer) => heard.push(chunk));
  socket.on('error', () => undefined);
  socket.on('close', () => (over = true));
  socket.write(words);
  await until(() => over || heard.length > 0, 'an answer or the end');
  socket.destroy();
  return Buffer.concat(heard);
}

const knockTls = (port: number, words: Buffer, options: ConnectionOptions): Promise<Buffer> =>
  knock(
    connectTls({ host: '127.0.0.1', port, ALPNProtocols: [words === PREFACE ? 'h2' : BYTES_PROTOCOL], ...options }),
    words,
  );

describe('a runner that lets gateways of other machines in', () => {
  const folder = new CertificateFolder();
  let ports: Ports;
  let authority: Authority;
  let gateway: Issued;
  let runner: RunnerProcess;

  beforeAll(async () => {
    authority = await Authority.make();
    gateway = await authority.gateway();
    ports = { control: await freePort(), bytes: await freePort() };
    const files = folder.side('runner', await authority.runner(), authority);
    runner = await RunnerProcess.start([...runnerFlags(files, ports), '--tls-gateways', 'other.test,gateway-1.test']);
  });
  afterAll(async () => {
    await runner.stop();
    folder.remove();
  });

  function controlOf(issued: Issued): RunnerServiceClient {
    const context = createSecureContext({ ...issued, ca: authority.cert, minVersion: 'TLSv1.3' });
    const { RunnerService } = loadRunnerProto();
    return new RunnerService(`localhost:${String(ports.control)}`, credentials.createFromSecureContext(context));
  }

  const linkOf = (issued: Issued): LinkClient =>
    LinkClient.over(
      connectTls({
        host: '127.0.0.1',
        port: ports.bytes,
        ALPNProtocols: [BYTES_PROTOCOL],
        ...issued,
        ca: authority.cert,
      }),
    );

  /** Its watch is open, as a gateway's always is. */
  async function watching(issued: Issued): Promise<RunnerServiceClient> {
    const control = controlOf(issued);
    let connected = false;
    control
      .Watch({})
      .on('data', () => (connected = true))
      .on('error', () => undefined);
    await until(() => connected, 'the watch begins');
    return control;
  }

  it('serves one on both ports, every byte of a flood', async () => {
    const control = await watching(gateway);
    const place = mkdtempSync(join(tmpdir(), 'gatehouse-flood-'));
    const random = randomBytes(5 * 1024 * 1024);
    writeFileSync(join(place, 'random'), random);
    const program = `stty raw -echo; printf ready; head -c 2 >/dev/null; cat ${join(place, 'random')}`;
    const { id } = await runner.startSession(['/bin/sh', '-c', program]);
    const link = linkOf(gateway);
    link.acknowledge = true;
    await link.attach(id, { from: 0, writer_id: 'w' });
    await link.shows('ready');
    link.type('go');
    await link.message('process_exited');
    const wanted = createHash('sha256').update('ready').update(random).digest('hex');
    expect([link.bytes, link.sha256, link.late]).toEqual([5 + random.length, wanted, 0]);
    control.close();
    rmSync(place, { recursive: true });
  });

  /** How strangers come, and the one who is none, to show that the rest would hear something. */
  const visitors: [string, () => Promise<ConnectionOptions>, boolean][] = [
    ['a gateway on the list', () => Promise.resolve({ ...gateway }), true],
    ['nobody with a certificate', () => Promise.resolve({}), false],
    ['a gateway of another authority', async () => (await Authority.make()).gateway(), false],
    ['a gateway that is not on the list', () => authority.gateway('gateway-2.test'), false],
    ['a gateway with a wildcard', () => authority.gateway('*.test'), false],
    ['a runner of the same authority', () => authority.issue(['gateway-1.test'], 'serverAuth'), false],
    ['a certificate that is for no use', () => authority.issue(['gateway-1.test']), false],
    ['a gateway that names no protocol', () => Promise.resolve({ ...gateway, ALPNProtocols: [] }), false],
    ['a gateway with TLS 1.2', () => Promise.resolve({ ...gateway, maxVersion: 'TLSv1.2' }), false],
  ];

  it.each(visitors)('to %s, on either port', async (_who, make, served) => {
    const options = { ca: authority.cert, ...(await make()) };
    const control = await knockTls(ports.control, PREFACE, options);
    const bytes = await knockTls(ports.bytes, ATTACH, options);
    expect([control.length > 0, bytes.toString().includes('refused')]).toEqual([served, served]);
    if (!served) expect(bytes).toHaveLength(0);
  });

  it.each(['control', 'bytes'] as const)('says nothing to who speaks without TLS to %s', async (port) => {
    const words = port === 'control' ? PREFACE : ATTACH;
    const answer = await knock(connect(ports[port], '127.0.0.1'), words);
    // An alert of TLS at most.
    expect(answer.length === 0 || (answer[0] === 21 && answer.length <= 7)).toBe(true);
  });

  it('lets a gateway in past more strangers at the door than there may be', async () => {
    const strangers: Socket[] = [];
    let cut = 0;
    for (let one = 0; one < MAX_HANDSHAKES + 20; one += 1) {
      const stranger = connect(ports.bytes, '127.0.0.1');
      stranger.on('error', () => undefined).on('close', () => (cut += 1));
      strangers.push(stranger);
      await new Promise<void>((done) => stranger.once('connect', done));
    }
    await until(() => cut >= 20, 'the oldest are cut off');
    expect((await knockTls(ports.bytes, ATTACH, { ca: authority.cert, ...gateway })).length).toBeGreaterThan(0);
    for (const stranger of strangers) stranger.destroy();
  });

  it('cuts the connections for bytes of a gateway that has none for control any more, and no other’s', async () => {
    const { id } = await runner.startSession(['/bin/cat']);
    const stays = await watching(gateway);
    const other = await authority.gateway('other.test');
    const goes = await watching(other);
    const [kept, lost] = [linkOf(gateway), linkOf(other)];
    await kept.attach(id);
    await lost.attach(id);
    goes.close();
    await lost.end();
    expect(kept.closed).toBe(false);
    kept.type('still here\n');
    await kept.shows('still here');
    stays.close();
    kept.close();
    await runner.kill(id);
  });

  it('takes new certificates while sessions live, and cuts off those of an authority that went', async () => {
    const { id } = await runner.startSession(['/bin/cat']);
    const control = await watching(gateway);
    const link = linkOf(gateway);
    await link.attach(id);
    const before = authority;
    const next = await Authority.make();
    folder.side('runner', await next.runner(), next);
    await link.end();
    control.close();
    expect((await runner.session(id)).state).toBe('running');
    // An old one does not get in any more, a new one does.
    const old = await knockTls(ports.bytes, ATTACH, { ca: next.cert, ...(await before.gateway()) });
    const fresh = await knockTls(ports.bytes, ATTACH, { ca: next.cert, ...(await next.gateway()) });
    expect([old.length, fresh.toString().includes('refused')]).toEqual([0, true]);
    // What cannot be used changes nothing.
    folder.put('runner.crt', 'nonsense');
    await until(() => runner.output.join('').includes('has no certificate in PEM form'), 'the mistake is told');
    expect((await knockTls(ports.bytes, ATTACH, { ca: next.cert, ...(await next.gateway()) })).length).toBeGreaterThan(
      0,
    );
    await runner.kill(id);
  });
});

describe('a runner for other machines does not start', () => {
  const folder = new CertificateFolder();
  afterAll(() => {
    folder.remove();
  });

  it.each([
    [
      'with a key that others may read',
      (f: Side) => ({ ...f, key: folder.put('open.key', f.text, 0o640) }),
      [],
      /--tls-key: .* may be read by others \(mode 640\), expected 600/,
    ],
    [
      'with the key of another certificate',
      (f: Side) => ({ ...f, key: f.other }),
      [],
      /--tls-key: .* is not the key of the certificate in --tls-cert/,
    ],
    [
      'with no authority in its file',
      (f: Side) => ({ ...f, ca: folder.put('empty.crt', '') }),
      [],
      /--tls-ca: .* has no certificate in PEM form/,
    ],
    [
      'with a file that is not there',
      (f: Side) => ({ ...f, cert: folder.path('none.crt') }),
      [],
      /--tls-cert: .* cannot be read \(ENOENT\)/,
    ],
    [
      'with half of the flags',
      null,
      ['--listen', '127.0.0.1', '--tls-gateways', 'a.test'],
      /--control-port, --bytes-port, --tls-cert, --tls-key, --tls-ca missing/,
    ],
    [
      'with names that are none',
      (f: Side) => f,
      ['--tls-gateways', 'a.test,,b.test'],
      /--tls-gateways must be DNS names/,
    ],
  ] satisfies Case[])('%s', async (_what, files, more, words) => {
    const authority = await Authority.make();
    const issued = await authority.runner();
    const other = folder.put('other.key', (await authority.runner()).key);
    const side = { ...folder.side('runner', issued, authority), text: issued.key, other };
    const ports = { control: await freePort(), bytes: await freePort() };
    const place = mkdtempSync(join(tmpdir(), 'gatehouse-runner-'));
    const flags = files === null ? [] : runnerFlags(files(side), ports);
    const runner = RunnerProcess.spawn(join(place, 'run'), [...flags, ...more]);
    expect(await runner.exited).toBe(1);
    expect(runner.output.join('').replaceAll('\\"', '"')).toMatch(words);
    expect(runner.output.join('')).not.toContain('PRIVATE KEY');
    rmSync(place, { recursive: true, force: true });
  });
});

type Side = Record<'cert' | 'key' | 'ca' | 'text' | 'other', string>;
type Case = [string, ((files: Side) => Record<'cert' | 'key' | 'ca', string>) | null, string[], RegExp];
