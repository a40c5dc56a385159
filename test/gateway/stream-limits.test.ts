import { createHash, randomBytes } from 'node:crypto';
import type { ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { AttachResponse__Output } from '../../src/generated/gatehouse/pty/v1/AttachResponse.js';
import { pause, PRODUCT_LIMITS, TestGateway, token, until } from '../support/gateway.js';
import { endOf, GrpcClient, reasonOf } from '../support/grpc-client.js';
import { rest, startSession } from '../support/rest.js';
import { scrape } from '../support/scrape.js';
import { WsClient } from '../support/ws-client.js';

const PIECE = 60_000;
/** 5 MB of text without anything that a terminal would make something of. */
const PASTE = randomBytes(2_500_000).toString('hex');
const DIGEST = createHash('sha256').update(PASTE).digest('hex');
/** Begins to read, stops at once for half a second, reads the rest. */
const READER = `
  const hash = require('node:crypto').createHash('sha256');
  let left = ${PASTE.length};
  process.stdin.setRawMode(true);
  process.stdin.once('data', () => {
    process.stdin.pause();
    setTimeout(() => process.stdin.resume(), 500);
  });
  process.stdin.on('data', (data) => {
    hash.update(data);
    if ((left -= data.length) === 0) console.log(hash.digest('hex'));
  });
  console.log('ready');
`;
const pieces = Array.from({ length: Math.ceil(PASTE.length / PIECE) }, (_, index) =>
  PASTE.slice(index * PIECE, (index + 1) * PIECE),
);

describe('one connection', () => {
  let gateway: TestGateway;
  const caller = (sub: string): string => token({ sub, jti: sub });

  beforeAll(async () => {
    gateway = await TestGateway.start(PRODUCT_LIMITS);
  });
  afterAll(() => gateway.remove());

  /** A session that hesitates in the midst of reading, and says what it was typed once it was all of it. */
  const reader = async (credential: string): Promise<string> => {
    const id = await startSession(gateway, credential, { command: [process.execPath, '-e', READER] });
    await until('the session to read', async () => (await outputOf(id, credential)).includes('ready'));
    return id;
  };
  const outputOf = async (id: string, credential: string): Promise<string> =>
    (await rest(gateway, credential, 'GET', `/api/v1/sessions/${id}/output`)).text;

  const pastes: Readonly<Record<string, (id: string, credential: string) => Promise<() => void>>> = {
    'WebSocket in JSON': async (id, credential) => {
      const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential });
      await ws.next('attached');
      for (const data of pieces) ws.send({ type: 'input', data });
      return () => {
        expect([ws.closed, ws.messages.filter(({ type }) => type === 'error')]).toEqual([null, []]);
        ws.close();
      };
    },
    'WebSocket in frames': async (id, credential) => {
      const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential, binary: true });
      await ws.next('attached');
      pieces.forEach((data, index) => {
        ws.type(data, index * PIECE);
      });
      return () => {
        expect([ws.closed, ws.messages.filter(({ type }) => type === 'error')]).toEqual([null, []]);
        ws.close();
      };
    },
    gRPC: async (id, credential) => {
      const grpc = new GrpcClient(gateway, credential);
      const stream = grpc.attach();
      const frames: AttachResponse__Output[] = [];
      stream.on('data', (frame: AttachResponse__Output) => frames.push(frame));
      stream.on('error', () => undefined);
      stream.write({ attach: { session: id } });
      await until('attached', () => frames.length > 0);
      for (const data of pieces) stream.write({ input: { data: Buffer.from(data) } });
      return () => {
        expect(frames.filter(({ error }) => error)).toEqual([]);
        stream.cancel();
        grpc.close();
      };
    },
    REST: async (id, credential) => {
      for (const data of pieces) {
        for (;;) {
          const answer = await rest(gateway, credential, 'POST', `/api/v1/sessions/${id}/input`, { data });
          if (answer.status === 204) break;
          // Terminals have a queue of their own, and callers a limit: either says to come again.
          expect(answer.status).toBe(429);
          await pause(200);
        }
      }
      return () => undefined;
    },
  };

  it('is no flood by a paste of five megabytes, over WebSocket, gRPC and REST', async () => {
    await Promise.all(
      Object.entries(pastes).map(async ([name, paste]) => {
        const credential = caller(`paster ${name}`);
        const id = await reader(credential);
        const over = await paste(id, credential);
        await until(
          `all of it by ${name}`,
          async () => {
            await pause(200);
            return (await outputOf(id, credential)).includes(DIGEST);
          },
          40_000,
        );
        over();
      }),
    );
  }, 60_000);

  it('is told to slow down when it sends too many messages, and that it is right again when it did', async () => {
    const ws = await WsClient.open(gateway, '/ws', { credential: caller('hasty') });
    await ws.next('authenticated');
    for (let sent = 0; sent < 150; sent += 1) ws.send({ type: 'ping', id: sent });
    expect(await ws.next('flow_control')).toEqual({ type: 'flow_control', action: 'pause', reason: 'rate_limit' });
    expect(await ws.next('flow_control')).toEqual({ type: 'flow_control', action: 'resume', reason: 'rate_limit' });
    const pongs = (): number => ws.messages.filter(({ type }) => type === 'pong').length;
    await until('every answer', () => pongs() === 150);
    expect(ws.closed).toBeNull();
    ws.close();
  });

  it('takes input that leads nowhere for messages, and none from who is not known', async () => {
    const known = await WsClient.open(gateway, '/ws', { credential: caller('nowhere'), binary: true });
    await known.next('authenticated');
    for (let sent = 0; sent < 60; sent += 1) known.send({ type: 'input', data: 'x' });
    for (let sent = 0; sent < 60; sent += 1) known.type('x', 0, 7);
    expect(await known.next('flow_control')).toMatchObject({ action: 'pause', reason: 'rate_limit' });
    expect((await known.next('error'))['code']).toBe('NOT_ATTACHED');
    known.close();
    const stranger = await WsClient.open(gateway, '/ws');
    for (let sent = 0; sent < 60; sent += 1) stranger.send({ type: 'input', data: 'x' });
    expect(await stranger.closes()).toEqual({ code: 4000, reason: 'AUTH_TOKEN_MISSING' });
    expect(stranger.messages.filter(({ type }) => type === 'error')).toHaveLength(1);
  });

  it('is ended by a flood of keys from who only watches, over WebSocket with 4002, over gRPC with RESOURCE_EXHAUSTED', async () => {
    const credential = caller('onlooker');
    const id = await startSession(gateway, credential, { command: ['/bin/cat'] });
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}&mode=viewer`, { credential, binary: true });
    await ws.next('attached');
    const grpc = new GrpcClient(gateway, credential);
    const stream = grpc.attach();
    const end = endOf(stream);
    stream.on('data', () => undefined);
    stream.write({ attach: { session: id, mode: 'ATTACH_MODE_VIEWER' } });
    const over = { grpc: false };
    void end.then(() => (over.grpc = true));
    while (!over.grpc || ws.closed === null) {
      for (let each = 0; each < 20; each += 1) {
        if (ws.closed === null) ws.type('x', 0);
        if (!over.grpc) stream.write({ input: { data: Buffer.from('x') } });
      }
      await pause(20);
    }
    expect(ws.closed).toEqual({ code: 4002, reason: 'RATE_LIMIT' });
    expect((await ws.next('error'))['code']).toBe('NOT_CONTROLLER');
    const error = (await end) as ServiceError;
    expect([error.code, reasonOf(error)]).toEqual([8, 'RATE_LIMIT']);
    grpc.close();
  }, 60_000);

  it('is ended by a flood of sizes, over WebSocket with 4002, over gRPC with RESOURCE_EXHAUSTED, and on record', async () => {
    const credential = caller('flooder');
    const id = await startSession(gateway, credential, { command: ['/bin/cat'] });
    const other = await startSession(gateway, credential, { command: ['/bin/cat'] });
    const before = (await scrape(gateway, gateway.adminKey)).of('rate_limit_violations_total', { type: 'websocket' });
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential });
    await ws.next('attached');
    const grpc = new GrpcClient(gateway, credential);
    const stream = grpc.attach();
    const paces: (string | undefined)[] = [];
    const end = endOf(stream);
    stream.on('data', ({ flow_control: pace }: AttachResponse__Output) => {
      if (pace) paces.push(`${pace.action} ${pace.reason}`);
    });
    stream.write({ attach: { session: other } });
    const over = { grpc: false };
    void end.then(() => (over.grpc = true));
    while (!over.grpc || ws.closed === null) {
      for (let each = 0; each < 20; each += 1) {
        const size = { cols: 80 + (each % 2), rows: 24 };
        if (ws.closed === null) ws.send({ type: 'resize', ...size });
        if (!over.grpc) stream.write({ resize: size });
      }
      await pause(20);
    }
    expect(ws.closed).toEqual({ code: 4002, reason: 'RATE_LIMIT' });
    expect((await ws.next('flow_control'))['action']).toBe('pause');
    expect((await ws.next('error'))['code']).toBe('RATE_LIMIT');
    const error = (await end) as ServiceError;
    expect([error.code, reasonOf(error)]).toEqual([8, 'RATE_LIMIT']);
    expect(paces).toContain('pause rate_limit');
    grpc.close();
    const [row] = await gateway.audit({ action: 'rate_limit.exceeded', user_id: 'flooder' });
    expect(row).toMatchObject({ reason: 'RATE_LIMIT', metadata: { detail: 'websocket' } });
    const figures = await scrape(gateway, gateway.adminKey);
    expect(figures.of('rate_limit_violations_total', { type: 'websocket' })).toBe(before + 2);
    // The session lives on, and so does everybody else.
    expect((await rest(gateway, credential, 'GET', `/api/v1/sessions/${id}`)).body['state']).toBe('running');
  }, 60_000);
});
