import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { look, shown } from '../support/screens.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { GrpcClient } from '../support/grpc-client.js';
import { startSession } from '../support/rest.js';
import { type Message, WsClient } from '../support/ws-client.js';

const SIZE = { cols: 80, rows: 24 };
const PROGRAM = 'seq 1 50000; printf "\\033[?2004h\\033[1;33mready 漢字\\033[m"; read x; echo "got $x"; exec cat';

describe('a client that comes late', () => {
  let gateway: TestGateway;
  const alice = token({ sub: 'alice' });
  let id: string;
  let all: WsClient;
  let whole: string[];

  beforeAll(async () => {
    gateway = await TestGateway.start();
    id = await startSession(gateway, alice, { command: ['/bin/sh', '-c', PROGRAM], ...SIZE });
    all = await WsClient.open(gateway, `/ws/pty?id=${id}&from=0`, { credential: alice, binary: true });
    await all.sees('ready');
    whole = look(await shown(SIZE, all.bytes()));
  }, 120_000);
  afterAll(() => gateway.remove());

  it('is given the screen in binary frames, the last one marked, and then what follows', async () => {
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice, binary: true });
    const attached = await ws.next('attached');
    expect(attached).toMatchObject({ snapshot: true, mode: 'viewer', ...SIZE });
    expect(typeof attached['attachment']).toBe('number');
    const seen = async (): Promise<string[]> => look(await shown(SIZE, ...ws.screens, ws.bytes()));
    await until('the same screen', async () => JSON.stringify(await seen()) === JSON.stringify(whole));
    expect(ws.firstOffset.get(0) ?? attached['from']).toBe(attached['from']);
    expect(attached['from']).toBeGreaterThan(200_000);
    ws.close();
  });

  it('is given the screen as one message in JSON, and the output from its offset on', async () => {
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice });
    const attached = await ws.next('attached');
    const { offset, next, data, channel } = await ws.next('snapshot');
    expect({ offset, next, channel }).toEqual({ offset: attached['from'], next: attached['from'], channel: 0 });
    const seen = async (): Promise<string[]> => look(await shown(SIZE, Buffer.from(String(data)), ws.bytes()));
    await until('the same screen', async () => JSON.stringify(await seen()) === JSON.stringify(whole));
    ws.close();
  });

  it('is given the screen over gRPC, and told who is attached', async () => {
    const client = new GrpcClient(gateway, alice);
    const stream = client.attach();
    const screen: Buffer[] = [];
    const output: Buffer[] = [];
    const frames: Record<string, unknown>[] = [];
    stream.on('data', (frame: Record<string, unknown>) => {
      const { snapshot, output: piece } = frame as Record<string, { data: Buffer; last?: boolean } | undefined>;
      if (snapshot) screen.push(snapshot.data);
      else if (piece) output.push(piece.data);
      else frames.push(frame);
    });
    stream.on('error', () => undefined);
    stream.write({ attach: { session: id } });
    const seen = async (): Promise<string[]> => look(await shown(SIZE, ...screen, ...output));
    await until('the same screen', async () => JSON.stringify(await seen()) === JSON.stringify(whole));
    expect(frames[0]).toMatchObject({ attached: { snapshot: true, ...SIZE } });
    await until('participants', () => frames.some((frame) => 'participants' in frame));
    const told = frames.find((frame) => 'participants' in frame) as { participants: { participants: Message[] } };
    expect(told.participants.participants[0]).toMatchObject({ user_id: 'alice', mode: 'ATTACH_MODE_CONTROLLER' });
    stream.cancel();
    await once(stream, 'close').catch(() => undefined);
    client.close();
  });

  it('is told over WebSocket who is attached, itself included', async () => {
    const ws = await WsClient.open(gateway, '/ws', { credential: alice });
    ws.send({ type: 'attach', session: id, mode: 'viewer', cols: 33, rows: 11 });
    const { channel, attachment } = await ws.next('attached');
    const told = await ws.next('participants');
    expect(told).toMatchObject({ channel });
    expect(told['participants']).toContainEqual({ attachment, user_id: 'alice', mode: 'viewer', cols: 33, rows: 11 });
    ws.close();
  });

  it('sees the final screen of a session that has ended', async () => {
    all.send({ type: 'input', channel: 0, data: 'the end\r' });
    await all.sees('got the end');
    all.send({ type: 'input', channel: 0, data: '\x04' });
    await all.next('process_exited');
    const late = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice, binary: true });
    expect(await late.next('attached')).toMatchObject({ snapshot: true, mode: 'viewer' });
    await late.next('process_exited');
    expect(look(await shown(SIZE, ...late.screens, late.bytes()))).toEqual(look(await shown(SIZE, all.bytes())));
  });
});
