import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { WatchResponse__Output } from '../../src/generated/gatehouse/runner/v1/WatchResponse.js';
import { codeOf, RunnerProcess } from './runner-process.js';
import { until } from './until.js';

const runners: RunnerProcess[] = [];
async function start(...flags: string[]): Promise<RunnerProcess> {
  const runner = await RunnerProcess.start(flags);
  runners.push(runner);
  return runner;
}
afterEach(() => Promise.all(runners.splice(0).map((runner) => runner.stop())));

const codeFrom = async (promise: Promise<unknown>): Promise<string> =>
  codeOf(
    await promise.then(
      () => 'no error',
      (error: unknown) => error,
    ),
  );

describe('the runner', () => {
  it('lets nobody else near its sockets, and says who it is', async () => {
    const runner = await start();
    for (const name of ['control.sock', 'bytes.sock', 'runner.pid']) {
      expect(statSync(join(runner.directory, name)).mode & 0o777).toBe(0o600);
    }
    expect(readFileSync(join(runner.directory, 'runner.pid'), 'utf8')).toBe(`${String(runner.pid)}\n`);
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(await runner.info()).toMatchObject({ pid: runner.pid, version, epoch: expect.any(String) });
  });

  it('shuts out again the group that an earlier start let in, once it is not asked to any more', async () => {
    const group = execFileSync('id', ['-gn']).toString().trim();
    const first = await start('--sockets-for-group', group);
    const modes = (): number[] =>
      ['.', 'control.sock', 'bytes.sock'].map((name) => statSync(join(first.directory, name)).mode & 0o777);
    expect(modes()).toEqual([0o750, 0o660, 0o660]);
    first.child.kill('SIGKILL');
    await first.exited;
    const second = RunnerProcess.spawn(first.directory);
    runners.push(second);
    await until(() => second.output.join('').includes('"listening"'), 'the runner listens');
    expect(modes()).toEqual([0o700, 0o600, 0o600]);
  });

  it('is one for a directory: a second one exits and disturbs nothing', async () => {
    const runner = await start();
    const { id } = await runner.startSession(['sleep', '60']);
    const second = RunnerProcess.spawn(runner.directory);
    expect(await second.exited).toBe(0);
    expect(second.output.join('')).toContain('already running');
    expect(await runner.session(id)).toMatchObject({ state: 'running' });
  });

  it('is one for a directory even when several start at the same moment over a dead one’s sockets', async () => {
    const first = await start();
    first.child.kill('SIGKILL');
    await first.exited;
    expect(existsSync(join(first.directory, 'control.sock'))).toBe(true);
    const several = Array.from({ length: 4 }, () => RunnerProcess.spawn(first.directory));
    runners.push(...several);
    const said = (runner: RunnerProcess, text: string): boolean => runner.output.join('').includes(text);
    await until(
      () => several.every((runner) => said(runner, '"listening"') || said(runner, 'already running')),
      'all have decided',
    );
    const winner = several.filter((runner) => said(runner, '"listening"'));
    expect(winner).toHaveLength(1);
    expect((await several[0]?.info())?.pid).toBe(winner[0]?.pid);
  });

  it('ignores Ctrl-C and the end of the gateway’s terminal', async () => {
    const runner = await start();
    const { id } = await runner.startSession(['sleep', '60']);
    runner.child.kill('SIGINT');
    runner.child.kill('SIGHUP');
    expect(await runner.session(id)).toMatchObject({ state: 'running' });
  });

  it.each(['SIGTERM', 'Shutdown'])('ends everything in order on %s', async (how) => {
    const runner = await start();
    const { id, pid = 0 } = await runner.startSession(['sh', '-c', 'echo ready; sleep 60']);
    const link = await runner.link();
    await link.attach(id);
    await link.shows('ready');
    if (how === 'SIGTERM') runner.child.kill('SIGTERM');
    else await runner.shutdown();
    expect(await runner.exited).toBe(0);
    expect(await link.message('process_exited')).toMatchObject({ reason: 'shutdown' });
    expect(existsSync(`/proc/${String(pid)}`)).toBe(false);
    for (const name of ['control.sock', 'bytes.sock', 'runner.pid']) {
      expect(existsSync(join(runner.directory, name))).toBe(false);
    }
  });

  it('refuses a command line it does not understand', async () => {
    const runner = RunnerProcess.spawn('/nonexistent', ['--ring-bytes', 'many']);
    expect(await runner.exited).toBe(1);
    expect(runner.output.join('')).toContain('--ring-bytes');
  });
});

describe('watching', () => {
  it('begins with an empty message, then tells every end', async () => {
    const runner = await start();
    const told: WatchResponse__Output[] = [];
    const watch = runner.client.Watch({});
    watch.on('data', (message: WatchResponse__Output) => told.push(message)).on('error', () => undefined);
    await until(() => told.length === 1, 'the watch begins');
    expect(told[0]?.changed).toBeUndefined();
    const first = await runner.startSession(['sh', '-c', 'exit 7']);
    await until(() => told.length === 2, 'the first end is told');
    const second = await runner.startSession(['sleep', '60']);
    await runner.kill(second.id, 'idle');
    await until(() => told.length === 3, 'the second end is told');
    expect(told.slice(1).map(({ changed }) => changed)).toMatchObject([
      { id: first.id, state: 'exited', exit_code: 7, reason: 'exited' },
      { id: second.id, state: 'killed', reason: 'idle' },
    ]);
    watch.cancel();
  });
});

describe('starting', () => {
  it('fails with the reason', async () => {
    const runner = await start();
    const file = join(runner.directory, 'not-executable');
    writeFileSync(file, 'text');
    const cases: [string[], object, string][] = [
      [['no-such-command'], {}, 'START_FAILED'],
      [[file], {}, 'START_FAILED'],
      [['/usr'], {}, 'START_FAILED'],
      [['ls'], { env: { PATH: '/nonexistent' } }, 'START_FAILED'],
      [['ls'], { cwd: '/nonexistent' }, 'START_FAILED'],
      [['ls'], { cwd: file }, 'START_FAILED'],
      [['ls', 'x'.repeat(200_000)], {}, 'START_FAILED'],
      [['ls'], { cwd: 'relative' }, 'INVALID_ARGUMENT'],
      [['ls', 'a\0b'], {}, 'INVALID_ARGUMENT'],
      [['ls'], { env: { LD_PRELOAD: 'x' } }, 'INVALID_ARGUMENT'],
      [['ls'], { cols: 0 }, 'INVALID_ARGUMENT'],
      [['ls'], { rows: 501 }, 'INVALID_ARGUMENT'],
      [['ls'], { id: '../x' }, 'INVALID_ARGUMENT'],
    ];
    for (const [command, rest, code] of cases) expect(await codeFrom(runner.startSession(command, rest))).toBe(code);
    const { id } = await runner.startSession(['true']);
    expect(await codeFrom(runner.startSession(['true'], { id }))).toBe('INVALID_ARGUMENT');
  });

  it('says what went wrong in words a user understands', async () => {
    const runner = await start();
    await expect(runner.startSession(['no-such-command'])).rejects.toThrow('The command was not found.');
    await expect(runner.startSession(['ls'], { cwd: '/nonexistent' })).rejects.toThrow(
      'The working directory does not exist.',
    );
  });

  it('without a command gives a login shell in the home directory', async () => {
    const runner = await start();
    const { command, cwd, session } = await runner.startDefault(randomUUID());
    expect(command?.[1]).toBe('-l');
    expect(existsSync(cwd ?? '')).toBe(true);
    await runner.write(session?.id ?? '', 'echo "in $PWD"\n');
    await runner.shows(session?.id ?? '', `in ${cwd ?? ''}`);
  });

  it('is refused when there are as many sessions as there may be', async () => {
    const runner = await start('--max-sessions', '2');
    const { id } = await runner.startSession(['sleep', '60']);
    await runner.startSession(['sleep', '60']);
    expect(await codeFrom(runner.startSession(['sleep', '60']))).toBe('SESSION_LIMIT');
    await runner.kill(id);
    await runner.startSession(['sleep', '60']);
  });
});

describe('an ended session', () => {
  it('is forgotten after its time', async () => {
    const runner = await start('--retention-seconds', '5');
    const { id } = await runner.startSession(['true']);
    expect(await runner.ended(id)).toMatchObject({ state: 'exited' });
    await until(async () => (await codeFrom(runner.session(id))).includes('not listed'), 'it is forgotten');
    expect(await codeFrom(runner.read({ id }))).toBe('NOT_FOUND');
  });

  it('keeps the configured amount of output', async () => {
    const runner = await start('--ring-bytes', '65536');
    const { id } = await runner.startSession(['seq', '1', '100000']);
    const link = await runner.link(); // the program waits for its first client
    link.keep = false;
    await link.attach(id);
    const { output_next: end = 0, dropped_before: begin = 0 } = await runner.ended(id);
    expect(end - begin).toBe(65_536);
    expect((await runner.text(id)).endsWith('99999\r\n100000\r\n')).toBe(true);
    expect(await codeFrom(runner.read({ id, from: end + 1 }))).toBe('OFFSET_OUT_OF_RANGE');
  });
});
