import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { CallLoop } from '../support/call-loop.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { ResumingClient } from '../support/resuming-client.js';
import { startSession } from '../support/rest.js';
import { runnerSessions } from '../support/runner-sessions.js';
import { onceEach, rowsPerSession } from '../support/trail.js';

const SESSIONS = 24;
/** What a session prints again and again. */
const BLOCK_BYTES = 64 * 1024;
/** A stop is to take 10 s at most; the machine of a test may be slow. */
const STOP_MS = 20_000;

describe('restarting two gateways one after the other', () => {
  let gateway: TestGateway;
  let other: TestGateway | undefined;
  const block = randomBytes(BLOCK_BYTES);
  const alice = token();
  const bob = token({ sub: 'bob' });
  const file = (name: string): string => join(dirname(gateway.dataDir), name);

  beforeEach(async () => {
    // The ring holds what is printed while nobody is there.
    gateway = await TestGateway.prepare({
      ...{ SESSIONS_PER_USER: '2000', SESSIONS_PER_TENANT: '2000' },
      SESSION_RING_BYTES: String(64 * 1024 * 1024),
    });
    mkdirSync(dirname(gateway.dataDir), { recursive: true });
    writeFileSync(file('block'), block);
    writeFileSync(file('go'), '');
    await gateway.launch();
    other = await gateway.sibling();
  });
  afterEach(async () => {
    await other?.end();
    await gateway.remove();
  });

  /** Stops one and starts it again. @returns how it ended, and how long that took in ms */
  async function restart(one: TestGateway): Promise<{ status: number | string; ms: number }> {
    const begin = performance.now();
    const status = await one.end('SIGTERM');
    const ms = Math.round(performance.now() - begin);
    await one.launch();
    return { status, ms };
  }

  it('under load loses and doubles no byte, ends no session and refuses nothing but to come back', async () => {
    const both = [gateway, other ?? gateway];
    const script = `stty raw -echo; while [ -e ${file('go')} ]; do cat ${file('block')}; sleep 0.2; done; exit 9`;
    const ids = await Promise.all(
      Array.from({ length: SESSIONS }, () => startSession(gateway, alice, { command: ['/bin/sh', '-c', script] })),
    );
    const clients = ids.map((id, index) => {
      const order = index % 2 === 0 ? both : [...both].reverse();
      return new ResumingClient(order, id, alice, index % 3 === 0 ? 'grpc' : 'websocket');
    });
    const calls = new CallLoop(both, bob, ['/bin/true']);
    const attached = (): boolean => clients.every(({ mode }) => mode === 'controller');
    const stops = [];
    for (const one of both) {
      await until('all attached', attached, 40_000);
      const before = clients.map(({ next }) => next);
      await until('all go on', () => clients.every(({ next }, index) => next > (before[index] ?? 0)), 40_000);
      stops.push(await restart(one));
    }
    await until('all attached', attached, 40_000);
    await calls.stop();
    console.log(
      `stops: ${stops.map(({ ms }) => `${String(ms)} ms`).join(', ')}; ${String(calls.started.length)} starts`,
    );
    for (const { status, ms } of stops) {
      expect(status).toBe(0);
      expect(ms).toBeLessThan(STOP_MS);
    }
    const held = await runnerSessions(gateway);
    expect(ids.filter((id) => held.get(id)?.state !== 'running')).toEqual([]);

    rmSync(file('go'));
    await until('all ends are told', () => clients.every(({ exitCode }) => exitCode === 9), 60_000);
    for (const { problem, next, sha256, refusals, attachments } of clients) {
      const whole = createHash('sha256');
      for (let offset = 0; offset < next; offset += BLOCK_BYTES) whole.update(block);
      expect({ problem, rest: next % BLOCK_BYTES, sha256 }).toEqual({
        ...{ problem: undefined, rest: 0, sha256: whole.digest('hex') },
      });
      expect(refusals.filter((code) => code !== 'GOING_AWAY')).toEqual([]);
      expect(attachments).toBeGreaterThan(1);
    }

    expect(calls.refusals.filter((code) => code !== 'GOING_AWAY')).toEqual([]);
    // A call whose answer was cut off would show as a session that nobody was told of.
    const rows = await gateway.query("SELECT id FROM sessions WHERE owner_subject = 'bob'");
    expect(rows.map(({ id }) => id).sort()).toEqual([...calls.started].sort());
    const all = [...ids, ...calls.started];
    await until('all ends are on record', async () => {
      const [left] = await gateway.query('SELECT count(*)::int AS live FROM sessions WHERE ended_at IS NULL');
      return left?.['live'] === 0;
    });
    await until('and in the trail', async () =>
      (await rowsPerSession(gateway, 'pty.exit', all)).every((count) => count > 0),
    );
    for (const action of ['pty.start', 'pty.exit']) {
      expect(await rowsPerSession(gateway, action, all)).toEqual(onceEach(all));
    }
    // Nobody was killed, so who came and went is complete.
    await until('every detach is in the trail', async () => {
      const [came, went] = [
        await rowsPerSession(gateway, ['pty.attach', 'pty.resume'], ids),
        await rowsPerSession(gateway, 'pty.detach', ids),
      ];
      return came.join() === went.join();
    });
    for (const client of clients) client.close();
  }, 300_000);
});
