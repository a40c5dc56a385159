import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { rest, startSession } from '../support/rest.js';
import { ResumingClient } from '../support/resuming-client.js';
import { untilSessionQuiet } from '../support/terminal-settings.js';
import { WsClient } from '../support/ws-client.js';

const VIEWERS = 50;
const STALLED = 5;
const MIB = 1024 * 1024;
const LINES = 1_000_000;
/** The whole of it is retained: who is slower than others has all of it all the same. */
const RING_BYTES = 16 * MIB;
/** What sockets may hold of it for fifty readers, and none of it for those who read nothing. */
const GROWTH_MIB = 200;

const residentMib = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1]) / 1024;

describe('fifty viewers of one flood', () => {
  let gateway: TestGateway;
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start({ SESSION_RING_BYTES: String(RING_BYTES) });
  });
  afterAll(() => gateway.remove());

  it('each have every byte of it, though some others read nothing, and the gateway stays small', async () => {
    const command = ['/bin/sh', '-c', `stty raw -echo; read go; seq 1 ${String(LINES)}; read end`];
    const id = await startSession(gateway, alice, { command });
    const clients = Array.from({ length: VIEWERS + 1 }, () => new ResumingClient([gateway], id, alice));
    await until('all to be attached', () => clients.every(({ attachments }) => attachments === 1));
    expect(clients.filter(({ mode }) => mode === 'viewer')).toHaveLength(VIEWERS);
    const stalled = await Promise.all(
      Array.from({ length: STALLED }, () =>
        WsClient.open(gateway, `/ws/pty?id=${id}&mode=viewer`, { credential: alice, binary: true }),
      ),
    );
    for (const { socket } of stalled) socket.pause();
    await untilSessionQuiet(gateway, alice, id);
    const before = residentMib(gateway.pid);
    let most = 0;
    clients.find(({ mode }) => mode === 'controller')?.type('\n');
    const all = Buffer.from(Array.from({ length: LINES }, (_, line) => `${String(line + 1)}\n`).join(''));
    await until(
      'all of it',
      () => {
        most = Math.max(most, residentMib(gateway.pid) - before);
        return clients.every(({ next }) => next >= all.length);
      },
      90_000,
    );
    const sha = createHash('sha256').update(all).digest('hex');
    expect(clients.filter(({ sha256, problem }) => sha256 !== sha || problem !== undefined)).toEqual([]);
    expect(most).toBeLessThan(GROWTH_MIB);
    for (const client of clients) client.close();
    for (const { socket } of stalled) socket.terminate();
    await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${id}`);
  }, 180_000);
});
