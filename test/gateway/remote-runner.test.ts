import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createServer } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { RunnerProcess } from '../runner/runner-process.js';
import { freePort, TestGateway, token, until } from '../support/gateway.js';
import { endOf, GrpcClient } from '../support/grpc-client.js';
import { Authority, CertificateFolder, runnerFlags } from '../support/link-certificates.js';
import { codeOf, rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

const BYTES = 5 * 1024 * 1024;
/** It is to take 10 s at most; the machine of a test may be slow. */
const LOST_MS = 30_000;

type Variables = Record<string, string>;

describe('a gateway with a runner on another machine', () => {
  const alice = token();
  const folder = new CertificateFolder();
  const place = join(mkdtempSync(join(tmpdir(), 'gatehouse-runner-')), 'run');
  let authority: Authority;
  let ports: { control: number; bytes: number };
  let flags: string[];
  let variables: Variables;
  let runner: RunnerProcess;
  let gateway: TestGateway;

  beforeAll(async () => {
    authority = await Authority.make();
    ports = { control: await freePort(), bytes: await freePort() };
    flags = runnerFlags(folder.side('runner', await authority.runner(), authority), ports);
    const { cert, key, ca } = folder.side('gateway', await authority.gateway(), authority);
    variables = {
      RUNNER_HOST: '127.0.0.1',
      RUNNER_CONTROL_PORT: String(ports.control),
      RUNNER_BYTES_PORT: String(ports.bytes),
      RUNNER_TLS_CERT: cert,
      RUNNER_TLS_KEY: key,
      RUNNER_TLS_CA: ca,
    };
    runner = await startRunner();
    gateway = await TestGateway.prepare({ ...variables, RUNNER_HOST: 'localhost' });
    await gateway.launch();
  });
  afterAll(async () => {
    await gateway.remove();
    await runner.stop();
    folder.remove();
  });

  async function startRunner(): Promise<RunnerProcess> {
    const started = RunnerProcess.spawn(place, flags);
    await until('the runner listens', () => started.output.join('').includes('"listening"'), 60_000);
    return started;
  }

  const ready = (): Promise<void> =>
    until('it is ready', async () => (await rest(gateway, null, 'GET', '/health/ready')).status === 200, LOST_MS);

  it('serves its sessions over REST, WebSocket and gRPC, every byte of a flood', async () => {
    const random = randomBytes(BYTES);
    const file = join(dirname(gateway.dataDir), 'random');
    writeFileSync(file, random);
    const program = `stty raw -echo; printf ready; head -c 2; cat ${file}; exec cat`;
    const id = await startSession(gateway, alice, { command: ['/bin/sh', '-c', program] });
    const socket = await WsClient.open(gateway, `/ws/pty?id=${id}&from=0`, { credential: alice, binary: true });
    await socket.sees('ready');
    socket.type('go', 0);
    await until('the flood', () => socket.received >= BYTES + 7, 60_000);
    const sha = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
    expect(sha(Buffer.concat(socket.output.get(0) ?? []))).toBe(sha(Buffer.concat([Buffer.from('readygo'), random])));

    const grpc = new GrpcClient(gateway, alice);
    const stream = grpc.attach();
    stream.write({ attach: { session: id, mode: 'ATTACH_MODE_VIEWER', from: BYTES + 7 } });
    await once(stream, 'data');
    const heard: Buffer[] = [];
    stream.on('data', ({ output }: { output?: { data?: Buffer } }) => heard.push(output?.data ?? Buffer.alloc(0)));
    const typed = await rest(gateway, alice, 'POST', `/api/v1/sessions/${id}/input`, { data: 'from afar' });
    expect(typed.status).toBe(204);
    await until('gRPC hears it', () => Buffer.concat(heard).toString().includes('from afar'));
    stream.cancel();
    stream.on('error', () => undefined);

    const ended = await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${id}`);
    expect([ended.status, ended.body['state']]).toEqual([200, 'killed']);
    await socket.next('process_exited');
    grpc.close();
    socket.close();
  });

  it('tells its clients when the runner hangs, and has its sessions again when it goes on', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const socket = await WsClient.open(gateway, `/ws/pty?id=${id}&from=0`, { credential: alice });
    await socket.next('attached');
    process.kill(runner.pid, 'SIGSTOP');
    try {
      expect(await socket.closes(LOST_MS)).toEqual({ code: 1013, reason: 'RUNNER_UNAVAILABLE' });
      expect((await rest(gateway, null, 'GET', '/health/ready')).status).toBe(503);
    } finally {
      process.kill(runner.pid, 'SIGCONT');
    }
    await ready();
    const again = await WsClient.open(gateway, `/ws/pty?id=${id}&from=0`, { credential: alice });
    await again.next('attached');
    again.send({ type: 'input', data: 'still here\n' });
    await again.sees('still here');
    expect((await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${id}`)).status).toBe(200);
    again.close();
  });

  it('takes the sessions of a runner that was killed for lost, once the next one is there', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const socket = await WsClient.open(gateway, `/ws/pty?id=${id}&from=0`, { credential: alice });
    await socket.next('attached');
    const grpc = new GrpcClient(gateway, alice);
    const stream = grpc.attach();
    const end = endOf(stream);
    stream.write({ attach: { session: id, mode: 'ATTACH_MODE_VIEWER' } });
    await once(stream, 'data');
    process.kill(runner.pid, 'SIGKILL');
    await runner.exited;
    expect(await socket.closes()).toEqual({ code: 1013, reason: 'RUNNER_UNAVAILABLE' });
    expect((await end)?.code).toBe(14);
    expect(codeOf(await rest(gateway, alice, 'POST', '/api/v1/sessions', {}))).toBe('RUNNER_UNAVAILABLE');
    // It is not the gateway's to start.
    expect(gateway.runnerPids()).toEqual([]);

    runner = await startRunner();
    const state = async (): Promise<unknown> =>
      (await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).body['state'];
    await until('it is lost', async () => (await state()) === 'lost', LOST_MS);
    await ready();
    const next = await startSession(gateway, alice, { command: ['/bin/sh', '-c', 'exec cat'] });
    expect((await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${next}`)).status).toBe(200);
    grpc.close();
  });

  it('leaves it running when it stops, and has its sessions again when it starts', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    expect(await gateway.end()).toBe(0);
    expect((await runner.session(id)).state).toBe('running');
    await gateway.launch();
    expect((await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).body['state']).toBe('running');
    expect((await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${id}`)).status).toBe(200);
  });

  const foreign = async (): Promise<string> => folder.put('foreign.crt', (await Authority.make()).cert);
  const side = (issued: { cert: string; key: string }): Variables => {
    const files = folder.side('side', issued, authority);
    return { RUNNER_TLS_CERT: files.cert, RUNNER_TLS_KEY: files.key };
  };
  const mistakes: [string, () => Promise<Variables>, number, RegExp][] = [
    [
      'the certificate of the runner is of another authority',
      async () => ({ RUNNER_TLS_CA: await foreign() }),
      1,
      /No runner answers at RUNNER_HOST \(127\.0\.0\.1, ports \d+ and \d+\): on port \d+ its certificate is not of an authority in RUNNER_TLS_CA\./,
    ],
    [
      'the certificate of the runner is for another host',
      // Another name of the same address.
      () => Promise.resolve({ RUNNER_HOST: '127.1' }),
      1,
      /its certificate is for another host/,
    ],
    [
      'the runner does not know the authority of this gateway',
      async () => side(await (await Authority.make()).gateway()),
      1,
      /it does not take the certificate in RUNNER_TLS_CERT for a gateway’s/,
    ],
    [
      'it has the certificate of a runner',
      async () => side(await authority.runner()),
      1,
      /it does not take the certificate in RUNNER_TLS_CERT for a gateway’s/,
    ],
    [
      'the ports are the wrong way round',
      () => Promise.resolve({ RUNNER_CONTROL_PORT: String(ports.bytes), RUNNER_BYTES_PORT: String(ports.control) }),
      1,
      /on port \d+ something else answers, perhaps because the ports are the wrong way round\./,
    ],
    [
      'nobody listens',
      async () => ({ RUNNER_CONTROL_PORT: String(await freePort()) }),
      1,
      /on port \d+ nobody listens there/,
    ],
    [
      'its key may be read by others',
      async () => ({ RUNNER_TLS_KEY: folder.put('open.key', (await authority.gateway()).key, 0o644) }),
      78,
      /RUNNER_TLS_KEY: ".*" may be read by others \(mode 644\), expected 600/,
    ],
    [
      'half of the variables are set',
      () => Promise.resolve({ RUNNER_TLS_KEY: '', RUNNER_BYTES_PORT: '' }),
      78,
      /2 mistakes:\s+RUNNER_BYTES_PORT: not set[\s\S]*RUNNER_TLS_KEY: not set/,
    ],
    [
      'a runner of this machine is named too',
      () => Promise.resolve({ RUNNER_DIR: '/run/gatehouse' }),
      78,
      /RUNNER_DIR: set beside those of a runner on another machine/,
    ],
  ];

  /** A start that must fail: what it said, and its status. */
  async function failing(environment: Variables): Promise<{ status: unknown; said: string }> {
    const other = await TestGateway.prepare({ ...variables, ...environment });
    mkdirSync(dirname(other.dataDir), { recursive: true });
    const [status] = (await once(other.spawn(), 'close')) as unknown[];
    await other.remove();
    return { status, said: other.stdout };
  }

  it.each(mistakes)('does not start, and says why, when %s', async (_what, make, status, words) => {
    const ended = await failing(await make());
    expect(ended.said).toMatch(words);
    expect(ended.said).not.toMatch(/PRIVATE KEY|\n\s+at /);
    expect(ended.status).toBe(status);
  });

  it('does not speak a version of TLS before 1.3', async () => {
    const old = createServer({ ...(await authority.runner()), maxVersion: 'TLSv1.2' });
    const tried = new Promise<string>((done) =>
      old.once('tlsClientError', ({ message }) => {
        done(message);
      }),
    );
    await new Promise<void>((done) => old.listen(0, '127.0.0.1', done));
    const { port } = old.address() as { port: number };
    const { status, said } = await failing({ RUNNER_CONTROL_PORT: String(port) });
    old.close();
    expect([status, await tried]).toEqual([1, expect.stringMatching(/unsupported protocol|alert/)]);
    expect(said).toMatch(/it does not speak TLS 1\.3/);
  });
});
