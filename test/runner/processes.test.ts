import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { alive, uniqueSleep } from './alive.js';
import { codeOf, RunnerProcess } from './runner-process.js';
import { until } from './until.js';

let runner: RunnerProcess;
beforeAll(async () => {
  runner = await RunnerProcess.start([], { ...process.env, SECRET_TOKEN: 'leak', DATABASE_URL: 'leak', LC_ALL: 'C' });
});
afterAll(() => runner.stop());

describe('killing a session', () => {
  it('leaves no process: children, background jobs, nohup, setsid and double forks', async () => {
    const sleep = uniqueSleep();
    const script = [
      `sleep ${sleep} &`,
      `nohup sleep ${sleep} >/dev/null 2>&1 &`,
      `setsid sleep ${sleep} >/dev/null 2>&1 &`,
      `(setsid sh -c '(sleep ${sleep} >/dev/null 2>&1 &)' &)`,
      `setsid env -i sleep ${sleep} </dev/null >/dev/null 2>&1 &`,
      `(sh -c 'kill -STOP $$; exec sleep ${sleep}' &)`,
      `echo started; sleep ${sleep}`,
    ];
    const { id } = await runner.startSession(['bash', '-c', script.join('\n')]);
    await runner.shows(id, 'started');
    await until(() => alive(sleep).length >= 7, 'all of them run');
    expect(await runner.kill(id)).toMatchObject({ state: 'killed', reason: 'test' });
    expect(alive(sleep)).toEqual([]);
  });

  it('ends what ignores every polite signal by force', async () => {
    const sleep = uniqueSleep();
    const { id } = await runner.startSession([
      'bash',
      '-c',
      `trap '' HUP TERM INT; echo started; while :; do sleep ${sleep}; done`,
    ]);
    await runner.shows(id, 'started');
    expect(await runner.kill(id)).toMatchObject({ state: 'killed', signal: 'SIGKILL' });
    expect(alive(sleep)).toEqual([]);
  });

  it('runs in parallel for many, answers when they are gone, and leaves the others alone', async () => {
    const [sleep, other] = [uniqueSleep(), uniqueSleep()];
    const bystander = await runner.startSession(['sleep', other]);
    const ids = await Promise.all(
      Array.from(
        { length: 20 },
        async () => (await runner.startSession(['sh', '-c', `sleep ${sleep} & sleep ${sleep}`])).id,
      ),
    );
    await until(() => alive(sleep).length >= 60, 'all of them run');
    const ends = await Promise.all(ids.map((id) => runner.kill(id)));
    expect(alive(sleep)).toEqual([]);
    expect(ends.every((end) => end?.state === 'killed')).toBe(true);
    expect(alive(other)).toHaveLength(1);
    await runner.kill(bystander.id);
  });

  it('that has ended, or that never was, is refused', async () => {
    const { id } = await runner.startSession(['true']);
    await runner.ended(id);
    expect(codeOf(await runner.kill(id).catch((error: unknown) => error))).toBe('SESSION_ENDED');
    const unknown = '0190f3b2-0000-7000-8000-000000000000';
    expect(codeOf(await runner.kill(unknown).catch((error: unknown) => error))).toBe('NOT_FOUND');
  });

  it('right after its start works as well', async () => {
    const sleep = uniqueSleep();
    const { id } = await runner.startSession(['sh', '-c', `sleep ${sleep} & sleep ${sleep}`]);
    expect(await runner.kill(id)).toMatchObject({ state: 'killed' });
    expect(alive(sleep)).toEqual([]);
    expect((await runner.info()).pid).toBe(runner.pid);
  });
});

describe('a session that ends by itself', () => {
  it('ends though a background process holds its terminal, and takes it along', async () => {
    const sleep = uniqueSleep();
    const { id } = await runner.startSession(['bash', '-c', `nohup sleep ${sleep} & sleep 0.3; echo done; exit 5`]);
    expect(await runner.ended(id)).toMatchObject({ state: 'exited', exit_code: 5, reason: 'exited' });
    expect(await runner.text(id)).toContain('done');
    await until(() => alive(sleep).length === 0, 'the background process is gone');
  });

  it('that closed its terminal earlier still has its exit code', async () => {
    const { id } = await runner.startSession([
      'sh',
      '-c',
      'echo before; exec 0<&- 1>&- 2>&-; sleep 0.3; echo after >/dev/tty; exit 6',
    ]);
    expect(await runner.ended(id)).toMatchObject({ state: 'exited', exit_code: 6 });
    expect(await runner.text(id)).toBe('before\r\nafter\r\n');
  });

  it('tells its exit code or its signal', async () => {
    const exits = [
      ['sh', '-c', 'exit 0'],
      ['sh', '-c', 'exit 255'],
      ['sh', '-c', 'kill -SEGV $$'],
      ['sh', '-c', 'kill -9 $$'],
    ];
    const ends = await Promise.all(exits.map(async (command) => runner.ended((await runner.startSession(command)).id)));
    expect(ends.map((end) => end.exit_code ?? end.signal)).toEqual([0, 255, 'SIGSEGV', 'SIGKILL']);
    expect(ends.every((end) => end.state === 'exited' && (end.ended_at_ms ?? 0) >= (end.created_at_ms ?? 1))).toBe(
      true,
    );
  });
});

describe('a signal', () => {
  it('reaches the foreground program, not the shell', async () => {
    const sleep = uniqueSleep();
    const { id } = await runner.startSession(['bash', '--norc', '-i']);
    await runner.write(id, `sleep ${sleep}; echo status=$?\n`);
    await until(() => alive(sleep).length === 1, 'the program runs');
    await runner.signal(id, 'INT');
    await until(() => alive(sleep).length === 0, 'the program is gone');
    await runner.write(id, 'echo still-$((40+2))\n');
    await runner.shows(id, 'still-42');
    await runner.kill(id);
  });

  it('that is unknown, or comes after the end, is refused', async () => {
    const { id } = await runner.startSession(['sleep', '60']);
    expect(codeOf(await runner.signal(id, 'SEGV').catch((error: unknown) => error))).toBe('INVALID_ARGUMENT');
    await runner.signal(id, 'KILL');
    expect(await runner.ended(id)).toMatchObject({ state: 'exited', signal: 'SIGKILL' });
    expect(codeOf(await runner.signal(id, 'TERM').catch((error: unknown) => error))).toBe('SESSION_ENDED');
  });
});

describe('what a session sees', () => {
  it('is an environment with nothing of the runner’s but the list', async () => {
    const { id } = await runner.startSession(['env'], { env: { EDITOR: 'vi' } });
    await runner.ended(id);
    const names = (await runner.text(id))
      .trim()
      .split('\r\n')
      .map((line) => line.slice(0, line.indexOf('=')));
    const marks = ['GATEHOUSE_SESSION_ID', 'GATEHOUSE_RUNNER'];
    const allowed = ['PATH', 'HOME', 'SHELL', 'LANG', 'LC_ALL', 'TZ', 'USER', 'LOGNAME', 'COLORTERM', 'TERM'];
    expect(names).toEqual(expect.arrayContaining(['PATH', 'LC_ALL', 'TERM', 'EDITOR', ...marks]));
    expect(names.filter((name) => ![...allowed, 'EDITOR', ...marks].includes(name) && !name.startsWith('LC_'))).toEqual(
      [],
    );
  });

  it('is no descriptor but its own terminal: not the runner’s sockets, not other sessions’ terminals', async () => {
    const others = await Promise.all(Array.from({ length: 24 }, () => runner.startSession(['sleep', '60'])));
    const links = await Promise.all(others.map(() => runner.link()));
    await Promise.all(links.map((link, index) => link.attach(others[index]?.id ?? '')));
    // Free descriptors below the terminals of sessions that live: the library alone stops looking at the first.
    await Promise.all(others.slice(0, 12).map(({ id }) => runner.kill(id)));
    const own = [0, 1, 2].map((fd) => `${String(fd)} -> /dev/pts/`);
    for (let round = 0; round < 3; round++) {
      const { id } = await runner.startSession(['ls', '-l', '/proc/self/fd']);
      await runner.ended(id);
      const lines = [...(await runner.text(id)).matchAll(/(\d+ -> .*?)(\d+(\/fd)?)?\r/g)].map(([, line]) => line);
      expect(lines).toEqual([...own, '3 -> /proc/']); // 3: the listing itself
    }
    await Promise.all(others.slice(12).map(({ id }) => runner.kill(id)));
  });

  it('is the usual umask and the directory asked for', async () => {
    const { id } = await runner.startSession(['sh', '-c', 'umask; pwd'], { cwd: '/usr' });
    await runner.ended(id);
    const umask = execFileSync('sh', ['-c', 'umask'], { encoding: 'utf8' }).trim();
    expect(await runner.text(id)).toBe(`${umask}\r\n/usr\r\n`);
  });
});
