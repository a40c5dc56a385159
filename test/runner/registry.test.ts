/** Limits of the registry that would take a process too long to reach; its sessions are real. */
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { LinkAttach } from '../../src/kernel/link.js';
import type { Lifetime } from '../../src/runner/lifetime.js';
import { Registry } from '../../src/runner/registry.js';
import type { Session } from '../../src/runner/session.js';
import { until } from './until.js';

let now = 1_000_000;
let elapsed = 0;
let registry: Registry;
afterEach(() => registry.close('test'));

function create(retained: { bytes: number; sessions: number }): Registry {
  const limits = { ringBytes: 65_536, ringsTotalBytes: 1e9, maxSessions: 10, retentionMs: 60_000 };
  const options = { id: 'r', epoch: 'e', ...limits, baseEnvironment: process.env, elapsed: () => elapsed };
  registry = new Registry({ ...options, retained, clock: { now: () => now }, onSurvivors: () => undefined });
  return registry;
}

const FOREVER = { idleSeconds: 0, maxSeconds: 0 };

/** Starts a command. */
function start(command: string[], lifetime: Lifetime = FOREVER, id: string = randomUUID()): Session {
  return registry.start({ id, command, cwd: '/', env: {}, cols: 80, rows: 24, lifetime }).session;
}

/** Runs a command to its end. */
function run(command: string[]): Promise<Session> {
  const id = randomUUID();
  return new Promise((resolve) => {
    const stop = registry.follow({
      changed: (session) => {
        if (session.id !== id) return;
        stop();
        resolve(session);
      },
      closed: () => undefined,
    });
    start(command, FOREVER, id);
  });
}

const kept = (): string[] => registry.list().map(({ id }) => id);

describe('ended sessions', () => {
  it('are kept up to a number, the latest ones', async () => {
    create({ bytes: 1e9, sessions: 2 });
    const ended = [await run(['true']), await run(['true']), await run(['true'])];
    expect(kept()).toEqual(ended.slice(1).map(({ id }) => id));
  });

  it('are kept up to an amount of output, the latest ones, and one that lives is never forgotten', async () => {
    create({ bytes: 50_000, sessions: 100 });
    const living = start(['sleep', '60']);
    const first = await run(['seq', '1', '5000']);
    expect(first.ring.allocated).toBe(first.ring.end);
    expect(kept()).toEqual([first.id, living.id]);
    const second = await run(['seq', '1', '5001']);
    expect(kept()).toEqual([second.id, living.id]);
  });

  it('are kept for their time', async () => {
    create({ bytes: 1e9, sessions: 100 });
    const { id } = await run(['true']);
    now += 59_000;
    registry.sweep();
    expect(kept()).toEqual([id]);
    now += 1000;
    registry.sweep();
    expect(kept()).toEqual([]);
  });
});

describe('the time of a session', () => {
  /** Lets this much of it pass, without waiting. */
  const pass = (seconds: number): void => {
    elapsed += seconds * 1000;
    registry.endOverdue();
  };
  const how = ({ state, exit }: Session): unknown[] => [state, exit?.reason];
  const ended = (session: Session): Promise<void> =>
    until(() => session.state !== 'running', 'the session ends', 40_000);

  it('is over after its maximum, however busy it is', async () => {
    create({ bytes: 1e9, sessions: 100 });
    const session = start(['cat'], { idleSeconds: 0, maxSeconds: 100 });
    pass(99.9);
    session.write(Buffer.from('x\n'));
    expect(how(session)).toEqual(['running', undefined]);
    pass(0.1);
    await ended(session);
    expect(how(session)).toEqual(['killed', 'max_duration']);
  });

  it('is over without input and output, each of which begins it anew', async () => {
    create({ bytes: 1e9, sessions: 100 });
    const session = start(['cat'], { idleSeconds: 100, maxSeconds: 0 });
    pass(99);
    session.write(Buffer.from('x\n'));
    await until(() => session.ring.end >= 6, 'the answer');
    pass(99.9);
    expect(how(session)).toEqual(['running', undefined]);
    pass(0.1);
    await ended(session);
    expect(how(session)).toEqual(['killed', 'idle_timeout']);
  });

  it('of a silent program goes on while somebody is attached, and from then on', async () => {
    create({ bytes: 1e9, sessions: 100 });
    const session = start(['sleep', '600'], { idleSeconds: 100, maxSeconds: 0 });
    const sockets = await pair();
    const attach: LinkAttach = { type: 'attach', session: session.id, channel: 0, may_control: false, user: 'ada' };
    await session.attachments.attach(attach, sockets.ours);
    pass(1000);
    expect(how(session)).toEqual(['running', undefined]);
    sockets.theirs.destroy();
    await until(() => session.attached === 0, 'the client is gone');
    pass(99.9);
    expect(how(session)).toEqual(['running', undefined]);
    pass(0.1);
    await ended(session);
    expect(how(session)).toEqual(['killed', 'idle_timeout']);
  });

  it('has no end where none was asked for, nor one when the clock is set', async () => {
    create({ bytes: 1e9, sessions: 100 });
    const unlimited = start(['cat']);
    const limited = start(['cat'], { idleSeconds: 60, maxSeconds: 60 });
    now += 1e9;
    registry.endOverdue();
    pass(59);
    expect([how(unlimited), how(limited)]).toEqual(Array(2).fill(['running', undefined]));
    pass(1e6);
    await ended(limited);
    expect(how(unlimited)).toEqual(['running', undefined]);
  });
});

/** Two ends of a real connection. */
async function pair(): Promise<{ ours: Socket; theirs: Socket }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const theirs = connect((server.address() as { port: number }).port, '127.0.0.1');
  const [ours] = (await once(server, 'connection')) as [Socket];
  server.close();
  return { ours: ours.on('error', () => undefined).resume(), theirs };
}
