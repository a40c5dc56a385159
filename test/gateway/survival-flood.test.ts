import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { ResumingClient } from '../support/resuming-client.js';
import { rest, startSession } from '../support/rest.js';
import { runnerSessions } from '../support/runner-sessions.js';
import { untilQuiet } from '../support/terminal-settings.js';
import { onceEach, rowsPerSession } from '../support/trail.js';

const SESSIONS = 100;
const BYTES = 2 * 1024 * 1024;
/** Each session prints another part of the same random bytes, so that none can pass for another. */
const SHIFT = 1009;

describe('killing the gateway while a hundred sessions print', () => {
  let gateway: TestGateway;
  const alice = token();
  const random = randomBytes(BYTES + SESSIONS * SHIFT);

  beforeEach(async () => {
    gateway = await TestGateway.prepare({ SESSIONS_PER_USER: '200', SESSIONS_PER_TENANT: '200' });
    mkdirSync(dirname(gateway.dataDir), { recursive: true });
    writeFileSync(join(dirname(gateway.dataDir), 'random'), random);
    await gateway.launch();
  });
  afterEach(() => gateway.remove());

  /** Prints when it is told to, then waits to be told to end: that it ends so is how it shows that it was never ended. */
  const program = (index: number): string[] => {
    const file = join(dirname(gateway.dataDir), 'random');
    const print = `tail -c +${String(index * SHIFT + 1)} ${file} | head -c ${String(BYTES)}`;
    return ['/bin/sh', '-c', `stty raw -echo; read go; ${print}; read end; exit 7`];
  };

  it('ends none of them, and every client gets every byte exactly once', async () => {
    const ids: string[] = [];
    for (let index = 0; index < SESSIONS; index += 10) {
      const some = Array.from({ length: 10 }, (_, one) => program(index + one));
      ids.push(...(await Promise.all(some.map((command) => startSession(gateway, alice, { command })))));
    }
    const clients = ids.map(
      (id, index) => new ResumingClient([gateway], id, alice, index % 10 === 0 ? 'grpc' : 'websocket'),
    );
    await until('all attached', () => clients.every(({ mode }) => mode === 'controller'), 40_000);
    for (const { pid = 0 } of (await runnerSessions(gateway)).values()) await untilQuiet(pid);
    const received = (): number => clients.reduce((sum, { next }) => sum + next, 0);
    for (const client of clients) client.type('\n');
    for (const part of [0.2, 0.5]) {
      await until('output', () => received() > part * SESSIONS * BYTES, 60_000);
      await gateway.end('SIGKILL');
      await gateway.launch();
    }
    await until('all output', () => clients.every(({ next }) => next >= BYTES), 60_000);

    const wanted = ids.map((_, index) => {
      const part = random.subarray(index * SHIFT, index * SHIFT + BYTES);
      return { problem: undefined, next: BYTES, sha256: createHash('sha256').update(part).digest('hex') };
    });
    expect(clients.map(({ problem, next, sha256 }) => ({ problem, next, sha256 }))).toEqual(wanted);
    const held = await runnerSessions(gateway);
    expect(ids.filter((id) => held.get(id)?.state !== 'running')).toEqual([]);
    const running = await gateway.query("SELECT id FROM sessions WHERE state = 'running'");
    expect(new Set(running.map(({ id }) => id))).toEqual(new Set(ids));

    await until('all are controllers', () => clients.every(({ mode }) => mode === 'controller'));
    for (const client of clients) client.type('\n');
    await until('all ends are told', () => clients.every(({ exitCode }) => exitCode === 7), 40_000);
    const exited = async (): Promise<number> =>
      (await gateway.query("SELECT 1 FROM sessions WHERE state = 'exited' AND exit_code = 7")).length;
    await until('all ends are on record', async () => (await exited()) === SESSIONS, 40_000);
    await until('in the trail too', async () => (await gateway.audit({ action: 'pty.exit' })).length >= SESSIONS);
    for (const action of ['pty.start', 'pty.exit']) {
      expect(await rowsPerSession(gateway, action, ids)).toEqual(onceEach(ids));
    }
    // What a killed gateway had not written yet of who came and went is gone with it: the latest, so no detach stands alone.
    const attached = await rowsPerSession(gateway, ['pty.attach', 'pty.resume'], ids);
    const detached = await rowsPerSession(gateway, 'pty.detach', ids);
    expect(ids.filter((_, index) => (attached[index] ?? 0) < Math.max(1, detached[index] ?? 0))).toEqual([]);
    expect((await rest(gateway, alice, 'GET', '/health')).status).toBe(200);
    for (const client of clients) client.close();
  }, 300_000);
});
