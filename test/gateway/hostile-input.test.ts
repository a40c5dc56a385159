import { readFileSync } from 'node:fs';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { hostileMessage, sendGrpc } from '../fuzz/grpc-attack.js';
import { Chance } from '../fuzz/random.js';
import { rawAttacks, sendRaw } from '../fuzz/raw-attacks.js';
import { restAttack, sendRest } from '../fuzz/rest-attack.js';
import { type Surface, surface } from '../fuzz/surface.js';
import { sendSocket, socketAttack } from '../fuzz/websocket-attack.js';
import { rest, startSession } from '../support/rest.js';
import { token } from '../support/gateway.js';
import { WorktreeWorld } from '../support/worktrees.js';

/** A longer run has other attacks every time; the short one has the same ones, so that it fails for what was changed. */
const SECONDS = Number(process.env['FUZZ_SECONDS'] ?? 0);
const BATCH = { rest: 500, grpc: 300, sockets: 60 } as const;
const AT_ONCE = 8;
/** A gateway that holds what it was sent grows by more than this at once. */
const MAX_GROWTH_KB = 400 * 1024;
const LIVE_MS = 10_000;

/** What a gateway says of itself, not of the call. */
const FAILURES = [
  status.UNKNOWN,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS,
  status.UNAUTHENTICATED,
  status.DEADLINE_EXCEEDED,
];

/** Attacks until the time is over, once at least; each batch from a seed of its own, by which it can be had again. */
async function batches(attack: (seed: number) => Promise<void>): Promise<void> {
  const until = Date.now() + (SECONDS * 1000) / 3;
  let seed = SECONDS === 0 ? 1 : Date.now() % 2 ** 31;
  do {
    await attack(seed);
    seed += 1;
  } while (Date.now() < until);
}

/** So many pieces of work, some of them at once. */
async function times(count: number, work: () => Promise<void>): Promise<void> {
  let left = count;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      await work();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

describe('a gateway under hostile input', () => {
  let world: WorktreeWorld;
  let all: Surface;
  let ids: string[];
  let pid: number;
  let before: number;
  const alice = token({ sub: 'alice' });
  /** Two who may differ in everything: what the one may not see, the other may do. */
  const attackers = [alice, token({ sub: 'boss', roles: ['admin'], tenant: 'other' })];
  const memory = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1]);

  beforeAll(async () => {
    world = await WorktreeWorld.start({ SESSIONS_PER_USER: '200', SESSIONS_PER_TENANT: '1000' });
    all = surface();
    const session = await startSession(world.gateway, alice, { command: ['/bin/cat'] });
    const worktree = await world.create(alice, { name: 'target' });
    ids = [session, worktree.id, '00000000-0000-4000-8000-000000000000', 'target', 'alice'];
    pid = world.gateway.pid;
    before = memory();
  });
  afterAll(() => world.remove());

  /** It is the same process, it answers, it has not grown, and it met nothing that it did not expect. */
  const unharmed = async (): Promise<void> => {
    expect(world.gateway.pid).toBe(pid);
    const live = await fetch(`${world.gateway.url}/health/ready`, { signal: AbortSignal.timeout(LIVE_MS) });
    expect(live.status).toBe(200);
    expect((await rest(world.gateway, alice, 'GET', `/api/v1/sessions/${String(ids[0])}`)).status).toBe(200);
    expect(memory() - before).toBeLessThan(MAX_GROWTH_KB);
    expect(world.gateway.log.filter(({ level, audit }) => level === 'error' && audit !== true)).toEqual([]);
  };

  it(
    'over REST answers every request, none with a failure of its own',
    async () => {
      await batches(async (seed) => {
        const chance = new Chance(seed);
        const failures: unknown[] = [];
        const seen = new Set<number>();
        await times(BATCH.rest, async () => {
          const attack = restAttack(chance, all, ids);
          const answer = await sendRest(world.gateway, chance.pick(attackers), attack).catch((error: unknown) =>
            String(error),
          );
          if (typeof answer === 'number') seen.add(answer);
          const closed =
            typeof answer === 'string' && /ECONNRESET|EPIPE/.test(answer) && (attack.body?.length ?? 0) > 60_000;
          if (!closed && !(typeof answer === 'number' && answer < 500 && answer !== 401))
            failures.push({ answer, attack, seed });
        });
        expect(failures).toEqual([]);
        // It got past the door: there were answers of every kind.
        expect([...seen]).toEqual(expect.arrayContaining([200, 400, 403, 404, 422]));
        await unharmed();
      });
    },
    60_000 + SECONDS * 1000,
  );

  it(
    'over gRPC answers every call, none with a failure of its own',
    async () => {
      const client = new Client(world.gateway.grpcAddress, credentials.createInsecure());
      await batches(async (seed) => {
        const chance = new Chance(seed);
        const failures: unknown[] = [];
        const seen = new Set<string>();
        await times(BATCH.grpc, async () => {
          const method = chance.pick(all.methods);
          const messages = Array.from({ length: method.streams ? 1 + chance.below(5) : 1 }, () =>
            hostileMessage(chance, method.request, ids),
          );
          const { code, details } = await sendGrpc(client, chance.pick(attackers), method, messages);
          seen.add(status[code]);
          if (FAILURES.includes(code)) {
            const sent = messages.map((each) => each.toString('base64').slice(0, 400));
            failures.push({ code: status[code], details, method: method.path, seed, sent });
          }
        });
        expect(failures).toEqual([]);
        expect([...seen]).toEqual(expect.arrayContaining(['OK', 'INVALID_ARGUMENT', 'NOT_FOUND']));
        await unharmed();
      });
      client.close();
    },
    60_000 + SECONDS * 1000,
  );

  it(
    'over WebSocket goes on serving the connection, or closes it with the reason',
    async () => {
      await batches(async (seed) => {
        const chance = new Chance(seed);
        const failures: unknown[] = [];
        await times(BATCH.sockets, async () => {
          const attack = socketAttack(chance, all, ids);
          const end = await sendSocket(world.gateway, chance.pick(attackers), attack);
          if (!/^(answered|closed (1003|1007|1008|1009|400[0-9]|401[0-9])|refused 4\d\d)$/.test(end))
            failures.push({ end, attack, seed });
        });
        expect(failures).toEqual([]);
        await unharmed();
      });
    },
    60_000 + SECONDS * 1000,
  );

  it('outlives what breaks the protocols below, and serves others meanwhile', async () => {
    const attacks = rawAttacks(alice);
    for (let at = 0; at < attacks.length; at += AT_ONCE) {
      const heard = await Promise.all(
        attacks
          .slice(at, at + AT_ONCE)
          .map(async (attack) => [attack.name, await sendRaw(world.gateway, attack)] as const),
      );
      for (const [name, text] of heard) expect([name, /^HTTP\/1\.1 5\d\d/m.exec(text)]).toEqual([name, null]);
      await unharmed();
    }
  });

  it('does not unpack a message of gRPC that is larger than it takes', async () => {
    const gzip = 2;
    const client = new Client(world.gateway.grpcAddress, credentials.createInsecure(), {
      'grpc.default_compression_algorithm': gzip,
    });
    const metadata = new Metadata();
    metadata.set('authorization', `Bearer ${alice}`);
    const bomb = Buffer.alloc(50_000_000);
    const same = (bytes: Buffer): Buffer => bytes;
    const ends = await Promise.all(
      Array.from({ length: AT_ONCE }, () => {
        return new Promise<number>((resolve) => {
          const call = client.makeUnaryRequest(
            '/gatehouse.pty.v1.PtyService/Get',
            same,
            same,
            bomb,
            metadata,
            () => undefined,
          );
          call.on('status', ({ code }) => {
            resolve(code);
          });
        });
      }),
    );
    expect(ends).toEqual(ends.map(() => status.RESOURCE_EXHAUSTED));
    client.close();
    await unharmed();
  });
});
