/** The parts of the runner that need no process, against naive models. */
import { describe, expect, it } from '@jest/globals';
import { isRefusedEnvironmentName } from '../../src/kernel/environment.js';
import { sessionEnvironment } from '../../src/runner/environment.js';
import { FlowControl } from '../../src/runner/flow.js';
import { parseLinkRequest } from '../../src/runner/link-messages.js';
import { parseOptions } from '../../src/runner/options.js';
import { membersOf } from '../../src/runner/process-tree.js';
import { type MarkedProcess, ownKernelSession } from '../../src/runner/processes.js';
import { Ring } from '../../src/runner/ring.js';
import { MAX_WRITERS, Writers } from '../../src/runner/writers.js';
import { seededRandom } from './random.js';

describe('the retained output', () => {
  it.each([1, 2, 3, 4, 5, 6])('always equals the end of all output (seed %i)', (seed) => {
    const random = seededRandom(seed);
    const capacity = [1, 7, 100, 16 * 1024, 50_000, 100_000][seed - 1] ?? 1;
    const ring = new Ring(capacity);
    let all = Buffer.alloc(0);
    for (let round = 0; round < (capacity > 1000 ? 40 : 200); round++) {
      const chunk = Buffer.from(Array.from({ length: random(random(4) === 0 ? capacity * 2 : 50) }, () => random(256)));
      all = Buffer.concat([all, chunk]);
      ring.append(chunk);
      expect([ring.start, ring.end]).toEqual([Math.max(0, all.length - capacity), all.length]);
      expect(ring.free).toBe(Math.max(0, capacity - all.length));
      const from = ring.start + random(ring.end - ring.start + 1);
      const length = random(capacity + 10);
      expect(ring.read(from, length).equals(all.subarray(from, from + length))).toBe(true);
      expect(ring.allocated).toBeLessThanOrEqual(capacity);
    }
    ring.trim();
    expect(ring.read(ring.start, capacity).equals(all.subarray(ring.start))).toBe(true);
  });

  it('is not read outside what is held', () => {
    const ring = new Ring(10);
    ring.append(Buffer.alloc(25));
    expect(() => ring.read(14, 1)).toThrow(RangeError);
    expect(() => ring.read(26, 1)).toThrow(RangeError);
    expect(ring.read(25, 1)).toHaveLength(0);
  });

  it('of an idle session takes no memory, and of a quiet one little', () => {
    const ring = new Ring(4 * 1024 * 1024);
    expect(ring.allocated).toBe(0);
    ring.append(Buffer.from('$ '));
    expect(ring.allocated).toBe(16 * 1024);
    ring.trim();
    expect(ring.allocated).toBe(2);
  });
});

describe('input positions', () => {
  it('apply every byte once, whatever is sent again', () => {
    const random = seededRandom(7);
    const writers = new Writers();
    const text = Buffer.from(Array.from({ length: 2000 }, () => random(256)));
    const applied: Buffer[] = [];
    while (writers.next('a') < text.length) {
      const offset = random(writers.next('a') + 1);
      const data = text.subarray(offset, offset + random(60));
      applied.push(writers.fresh('a', offset, data));
      if (offset + data.length > writers.next('a')) writers.advance('a', offset + data.length);
    }
    expect(Buffer.concat(applied).equals(text)).toBe(true);
  });

  it('refuse a gap, and are kept for a bounded number of writers', () => {
    const writers = new Writers();
    expect(() => writers.fresh('a', 1, Buffer.from('x'))).toThrow(expect.objectContaining({ code: 'INPUT_GAP' }));
    for (let index = 0; index < MAX_WRITERS; index++) writers.advance(`w${String(index)}`, 5);
    writers.advance('w0', 6); // used again: the least recent is now w1
    writers.advance('new', 1);
    expect([writers.next('w0'), writers.next('w1'), writers.next('w2')]).toEqual([6, 0, 5]);
  });
});

describe('the environment of a session', () => {
  it('is the allowed part of the runner’s, the caller’s on top, and the marks', () => {
    const base = { PATH: '/bin', LC_ALL: 'C', SECRET: 'x', DATABASE_URL: 'x', LANG: 'C', TERM: 'dumb' };
    expect(sessionEnvironment(base, { LANG: 'de', EDITOR: 'vi' }, 'id', 'runner:1:2')).toEqual({
      ...{ PATH: '/bin', LC_ALL: 'C', LANG: 'de', EDITOR: 'vi', TERM: 'xterm-256color' },
      ...{ GATEHOUSE_SESSION_ID: 'id', GATEHOUSE_RUNNER: 'runner:1:2' },
    });
  });

  it.each([
    ...['LD_PRELOAD', 'NODE_OPTIONS', 'GIT_CONFIG_COUNT', 'GATEHOUSE_SESSION_ID', 'GATEHOUSE_RUNNER', 'IFS', 'ZDOTDIR'],
    ...['GIT_ASKPASS', 'GIT_EXEC_PATH', 'PYTHONHOME', 'PERL5DB', 'RUBYLIB', '_JAVA_OPTIONS', 'GCONV_PATH', 'LESSOPEN'],
    ...['LUA_INIT_5_4', 'DOTNET_STARTUP_HOOKS', 'OPENSSL_CONF', 'PHP_INI_SCAN_DIR', 'NODE_PATH'],
  ])('refuses %s', (name) => {
    expect(isRefusedEnvironmentName(name)).toBe(true);
    const start = (): unknown => sessionEnvironment({}, { [name]: 'x' }, 'id', 'r');
    expect(start).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
    expect(start).toThrow(name);
  });

  it('refuses names and values the system cannot hold', () => {
    for (const [name, value] of [
      ['', 'x'],
      ['A=B', 'x'],
      ['A\0', 'x'],
      ['A', 'x\0'],
    ] as const) {
      expect(() => sessionEnvironment({}, { [name]: value }, 'id', 'r')).toThrow('environment variable');
    }
  });
});

describe('flow control', () => {
  function flow(): { calls: string[]; told: boolean[]; control: FlowControl } {
    const calls: string[] = [];
    const told: boolean[] = [];
    const source = { pause: () => calls.push('pause'), resume: () => calls.push('resume') };
    const room = { capacity: 4 * 1024 * 1024, reserve: () => undefined };
    return { calls, told, control: new FlowControl(source, room, (lagging) => told.push(lagging)) };
  }

  it('pauses over 1 MiB behind and goes on under 256 KiB, and says so', () => {
    const { calls, told, control } = flow();
    for (const kib of [1024, 1025, 1500, 257, 256, 1024]) control.update(kib * 1024, 0);
    expect(calls).toEqual(['pause', 'resume']);
    expect(told).toEqual([true, false]);
  });

  it('does not roll a full ring away under a client that is just coming', () => {
    const { calls, control } = flow();
    control.hold(60_000, () => undefined);
    control.update(0, 1024 * 1024);
    expect(calls).toEqual([]);
    control.update(0, 0);
    control.release();
    control.update(0, 0);
    expect(calls).toEqual(['pause', 'resume']);
  });
});

describe('the processes of a session', () => {
  const root = { sessionId: 'mine', pid: 100, startTime: 5 };
  const entry = (pid: number, ppid: number, session: number, rest: Partial<MarkedProcess> = {}): MarkedProcess => ({
    ...{ pid, ppid, session, foreground: -1, startTime: 5, zombie: false, marker: undefined, ...rest },
  });
  const pids = (table: MarkedProcess[], known = new Set([100])): number[] =>
    membersOf(root, table, known)
      .map(({ pid }) => pid)
      .sort();

  it('are found by descent, by kernel session and by mark, in any order', () => {
    const table = [
      entry(109, 1, 108), // shares the session of one that is marked
      entry(108, 1, 108, { marker: 'mine' }), // setsid and double fork
      entry(103, 102, 102), // child of a child that called setsid
      entry(102, 101, 102),
      entry(101, 100, 100),
      entry(100, 1, 100),
      entry(104, 1, 100), // lost its parent
      entry(200, 1, 200), // a stranger
      entry(201, 1, 201, { marker: 'other' }),
    ];
    expect(pids(table)).toEqual([100, 101, 102, 103, 104, 108, 109]);
  });

  it('are found by their control group, with what descends from them, whatever else is known of them', () => {
    const table = [entry(400, 1, 400), entry(401, 400, 401), entry(402, 1, 400), entry(200, 1, 200)];
    const found = membersOf(root, table, new Set([100]), new Set([400]));
    expect(found.map(({ pid }) => pid).sort()).toEqual([400, 401, 402]);
  });

  it('in a control group are found though they are not in the table, or seem dead there', () => {
    const found = membersOf(root, [], new Set([100]), new Set([process.pid, 2 ** 22 + 1]));
    // The other has ended since and may have forked: the group is not empty yet.
    expect(found).toMatchObject([
      { pid: process.pid, zombie: false },
      { zombie: true, startTime: NaN },
    ]);
  });

  it('are not those of a stranger that was given the same pid', () => {
    expect(pids([entry(100, 1, 100, { startTime: 9 }), entry(101, 100, 100)])).toEqual([]);
  });

  it('never include the runner’s own session, which a process just forked still shares', () => {
    const own = ownKernelSession ?? 0;
    expect(pids([entry(100, process.pid, own), entry(300, 1, own)])).toEqual([100]);
  });

  it('are still found by a session seen earlier, when what led to it is gone', () => {
    const known = new Set([100]);
    pids([entry(108, 1, 108, { marker: 'mine' })], known);
    expect(pids([entry(109, 1, 108)], known)).toEqual([109]);
  });
});

describe('messages on the link', () => {
  const parse = (message: unknown): unknown => parseLinkRequest(Buffer.from(JSON.stringify(message)));

  it('are read as they are meant', () => {
    const attach = { type: 'attach', session: 's', channel: 3, user: 'u', may_control: true, from: 7, raw: true };
    expect(parse(attach)).toMatchObject(attach);
    expect(parse({ type: 'ack', offset: 3 })).toEqual({ type: 'ack', offset: 3 });
  });

  it('are dropped when they are malformed', () => {
    const attach = { type: 'attach', session: 's', channel: 3, user: 'u', may_control: true };
    const wrong = [
      null,
      1,
      [],
      {},
      { type: 'x' },
      { type: 'ack', offset: -1 },
      { type: 'ack' },
      { type: 'resize', cols: 1 },
    ];
    const wrongAttach = [
      { channel: 70_000 },
      { mode: 'x' },
      { may_control: 1 },
      { from: 1.5 },
      { session: '' },
      { epoch: 1 },
      { user: '' },
      { raw: 'yes' },
    ];
    for (const message of [...wrong, ...wrongAttach.map((part) => ({ ...attach, ...part }))]) {
      expect(() => parse(message)).toThrow(RangeError);
    }
    expect(() => parseLinkRequest(Buffer.from('{'))).toThrow(RangeError);
  });
});

describe('the command line', () => {
  it('has defaults, and refuses nonsense', () => {
    const defaults = { ringBytes: 4194304, ringsTotalBytes: 1073741824, maxSessions: 1000, retentionMs: 86_400_000 };
    const folders = { projectRoots: [], trustedRepositories: [], worktreeRoot: '/x/worktrees' };
    const own = { socketsForGroup: null, sandbox: 'none', sandboxReadOnly: [] };
    const none = { directory: '/x', idFile: '/x/runner.id', tls: null, ...folders, ...own };
    expect(parseOptions(['--dir', '/x'])).toEqual({ ...none, ...defaults });
    expect(() => parseOptions(['--dir', '/x', '--project-root', 'relative'])).toThrow('--project-root');
    expect(() => parseOptions([])).toThrow('--dir');
    expect(() => parseOptions(['--dir', '/x', '--max-sessions', '-1'])).toThrow();
    expect(() => parseOptions(['--dir', '/x', '--ring-bytes', '1e3'])).toThrow('--ring-bytes');
    expect(() => parseOptions(['--dir', '/x', '--unknown'])).toThrow();
  });
});
