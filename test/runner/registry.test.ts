/** Limits of the registry that would take a process too long to reach; its sessions are real. */
import { randomUUID } from 'node:crypto';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Registry } from '../../src/runner/registry.js';
import type { Session } from '../../src/runner/session.js';

let now = 1_000_000;
let registry: Registry;
afterEach(() => registry.close('test'));

function create(retained: { bytes: number; sessions: number }): Registry {
  const options = { epoch: 'e', ringBytes: 65_536, maxSessions: 10, retentionMs: 60_000, baseEnvironment: process.env };
  registry = new Registry({ ...options, retained, clock: { now: () => now }, onSurvivors: () => undefined });
  return registry;
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
    registry.start({ id, command, cwd: '/', env: {}, cols: 80, rows: 24 });
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
    const living = registry.start({
      id: randomUUID(),
      command: ['sleep', '60'],
      cwd: '/',
      env: {},
      cols: 80,
      rows: 24,
    });
    const first = await run(['seq', '1', '5000']);
    expect(first.ring.allocated).toBe(first.ring.end);
    expect(kept()).toEqual([first.id, living.session.id]);
    const second = await run(['seq', '1', '5001']);
    expect(kept()).toEqual([second.id, living.session.id]);
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
