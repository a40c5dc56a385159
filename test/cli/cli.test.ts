import { type ChildProcess, execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type IPty, spawn as spawnPty } from 'node-pty';
import { TestGateway, token, until } from '../support/gateway.js';
import { rest, startSession } from '../support/rest.js';

const BIN = resolve('bin/gatehouse.js');

interface Outcome {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

describe('npx gatehouse', () => {
  let gateway: TestGateway;
  let home: string;
  const terminals: IPty[] = [];
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start({ SESSIONS_PER_USER: '100' });
    home = mkdtempSync(join(tmpdir(), 'gatehouse-home-'));
  });
  afterAll(async () => {
    for (const terminal of terminals) terminal.kill('SIGKILL');
    await gateway.remove();
    rmSync(home, { recursive: true, force: true });
  });

  const environment = (more: Record<string, string> = {}): Record<string, string> => ({
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    GATEHOUSE_URL: gateway.url,
    GATEHOUSE_TOKEN: alice,
    ...more,
  });

  function gatehouse(args: string[], more: Record<string, string> = {}, input = ''): Promise<Outcome> {
    return new Promise((done) => {
      const child: ChildProcess = execFile(
        process.execPath,
        [BIN, ...args],
        { env: environment(more), timeout: 40_000 },
        (error, stdout, stderr) => {
          done({ status: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr });
        },
      );
      child.stdin?.end(input);
    });
  }

  /** The command in a terminal of its own. @param by what runs it */
  function inTerminal(
    args: string[],
    by: [string, ...string[]] = [process.execPath],
  ): { pty: IPty; shown: () => string; ended: Promise<number> } {
    const [program, ...before] = by;
    const options = { cols: 91, rows: 31, env: environment({ TERM: 'xterm' }) };
    const pty = spawnPty(program, [...before, BIN, ...args], options);
    terminals.push(pty);
    let shown = '';
    pty.onData((data) => {
      shown += data;
    });
    const ended = new Promise<number>((done) =>
      pty.onExit(({ exitCode }) => {
        done(exitCode);
      }),
    );
    return { pty, shown: () => shown, ended };
  }

  it('run shows a program’s output and ends with its exit code', async () => {
    const ran = await gatehouse(['run', '--', '/bin/sh', '-c', 'echo out; exit 5']);
    expect(ran).toMatchObject({ status: 5, stdout: 'out\r\n', stderr: '' });
    expect((await gatehouse(['run', '/bin/sh', '-c', 'kill -KILL $$'])).status).toBe(137);
  });

  it('run reads piped input to its end', async () => {
    const ran = await gatehouse(['run', '/bin/cat'], {}, 'piped line\n');
    expect([ran.status, ran.stdout]).toEqual([0, 'piped line\r\npiped line\r\n']);
    // Without a newline at the end the line is handed over all the same.
    expect((await gatehouse(['run', '/bin/cat'], {}, 'unfinished')).stdout).toBe('unfinishedunfinished');
  });

  it('run passes on how long the session may go on, and is repeated by its request id', async () => {
    const options = ['--idle-timeout', '2h', '--max-duration', '12h', '--request-id', 'nightly-1'];
    const [first, again] = [
      await gatehouse(['run', ...options, '--detach', '/bin/cat']),
      await gatehouse(['run', ...options, '--detach', '/bin/cat']),
    ];
    expect([first.status, again.stdout]).toEqual([0, first.stdout]);
    // A window has a size, which is not part of the request.
    const window = inTerminal(['run', ...options, '--detach', '/bin/cat']);
    expect(await window.ended).toBe(0);
    expect(window.shown().trim()).toBe(first.stdout.trim());
    const { items } = JSON.parse((await gatehouse(['list', '--json'])).stdout) as { items: { id: string }[] };
    expect(items.find(({ id }) => id === first.stdout.trim())).toMatchObject({
      ...{ idle_timeout_seconds: 7200, max_duration_seconds: 43_200 },
    });
    await gatehouse(['kill', first.stdout.trim()]);
    const refused = await gatehouse(['run', '--idle-timeout', 'soon', '/bin/cat']);
    expect([refused.status, refused.stderr]).toEqual([2, expect.stringContaining('--idle-timeout takes a time span')]);
    const tooLong = await gatehouse(['run', '--max-duration', '25h', '/bin/cat']);
    expect([tooLong.status, tooLong.stderr]).toEqual([1, expect.stringContaining('max_duration_seconds')]);
  });

  it('run pipes more than fits anywhere on the way, byte for byte', async () => {
    const input = Array.from({ length: 400_000 }, (_, line) => `${String(line)}\n`).join('');
    const program = ['run', '--', '/bin/sh', '-c', 'stty -echo; sleep 1; sha256sum'];
    const { status, stdout } = await gatehouse(program, {}, input);
    expect(stdout).toContain(createHash('sha256').update(input).digest('hex'));
    expect(status).toBe(0);
  });

  it('attach --take takes over, and what is typed at once is not lost', async () => {
    const first = inTerminal(['run', '--name', 'shared', '/bin/cat']);
    await until('greeting', () => first.shown().includes('as controller'));
    const second = inTerminal(['attach', '--take', 'shared']);
    await until('the other greeting', () => second.shown().includes('attached to shared'));
    second.pty.write('mine\r');
    await until('it is typed', () => /mine\r+\nmine/.test(first.shown()));
    await until('the first is told', () => first.shown().includes('somebody else took control'));
    first.pty.write('not any more');
    await until('a bell', () => first.shown().includes('\u0007'));
    second.pty.write('\u0003');
    await Promise.all([first.ended, second.ended]);
    expect(second.shown()).not.toContain('not any more');
  });

  it('leaves the terminal as it was when a program is killed on its own screen', async () => {
    const terminal = inTerminal([
      'run',
      '--',
      '/bin/sh',
      '-c',
      "printf '\\033[?1049h\\033[?25l\\033[?2004h'; kill -9 $$",
    ]);
    expect(await terminal.ended).toBe(137);
    const shown = terminal.shown();
    for (const undone of ['\u001b[?1049l', '\u001b[?2004l', '\u001b[?25h']) expect(shown).toContain(undone);
  });

  it('in a terminal a bare line feed stays one, and the terminal is afterwards as it was', async () => {
    const { shown, ended } = inTerminal(
      ['run', '--', 'sh', '-c', 'stty -onlcr; printf "one\ntwo\n"'],
      ['/bin/sh', '-c', 'stty -g; "$@"; stty -g', 'sh', process.execPath],
    );
    expect(await ended).toBe(0);
    expect(shown()).toContain('one\ntwo\n');
    const settings = shown().match(/^[0-9a-f:]{30,}/gm) ?? [];
    expect([settings.length, new Set(settings).size]).toEqual([2, 1]);
  });

  it('in a terminal: size, raw keys, detach with Ctrl-], come back where it was, end', async () => {
    const first = inTerminal(['run', '--name', 'mine', '/bin/sh']);
    await until('greeting', () => first.shown().includes('attached to mine as controller; detach with Ctrl-]'));
    first.pty.write('stty size\r');
    await until('the terminal’s size', () => first.shown().includes('31 91'));
    first.pty.resize(70, 20);
    await until('the new size', () => {
      first.pty.write('stty size\r');
      return first.shown().includes('20 70');
    });
    first.pty.write('\x1d');
    expect(await first.ended).toBe(0);
    expect(first.shown()).toContain('detached; reattach with: npx gatehouse attach');
    const again = inTerminal(['attach', 'mine']);
    await until('what was there', () => again.shown().includes('31 91'));
    again.pty.write('exit 9\r');
    expect(await again.ended).toBe(9);
  });

  it('a killed gateway interrupts nothing: the terminal comes back by itself, each byte once', async () => {
    const terminal = inTerminal(['run', '/bin/sh']);
    await until('greeting', () => terminal.shown().includes('attached to'));
    terminal.pty.write('PS1=; stty -echo\r');
    terminal.pty.write('i=0; while [ $i -lt 60 ]; do echo "line-$i."; i=$((i+1)); sleep 0.1; done; echo all-done\r');
    await until('some lines', () => terminal.shown().includes('line-5.'));
    await gateway.end('SIGKILL');
    terminal.pty.write('echo typed-while-away\r');
    await gateway.launch();
    await until('all lines', () => terminal.shown().includes('all-done'), 25_000);
    await until('what was typed', () => terminal.shown().includes('\ntyped-while-away'));
    const lines = [...terminal.shown().matchAll(/line-(\d+)\./g)]
      .map(([, number]) => Number(number))
      .filter((number, index, all) => index === 0 || number !== 0 || all[index - 1] !== 0);
    expect(lines.filter((number) => number > 0)).toEqual(Array.from({ length: 59 }, (_, index) => index + 1));
    expect(terminal.shown().match(/\ntyped-while-away/g)).toHaveLength(1);
    terminal.pty.write('exit\r');
    await terminal.ended;
  });

  it('lists for people and for programs, and kills by the end of an id', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'], name: 'listed' });
    const table = (await gatehouse(['list'])).stdout;
    expect(table).toMatch(/^ID +NAME +STATE +OWNER +SIZE +AGE +COMMAND\n/);
    expect(table).toMatch(new RegExp(`${id} +listed +running +alice +80x24 +\\d+s +/bin/cat\n`));
    const { items } = JSON.parse((await gatehouse(['list', '--json'])).stdout) as { items: { id: string }[] };
    expect(items.map((each) => each.id)).toContain(id);
    expect((await gatehouse(['kill', id.slice(-12)])).stdout).toBe(`killed ${id} (listed)\n`);
    expect((await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}`)).body['state']).toBe('killed');
  });

  it('a program’s name cannot drive the terminal that lists it', async () => {
    await startSession(gateway, alice, { command: ['/bin/sh', '-c', 'sleep 5 # \u001b]0;owned\u0007'] });
    expect((await gatehouse(['list'])).stdout).toContain('/bin/sh -c sleep 5 # \ufffd]0;owned\ufffd\n');
  });

  it.each([
    [['run', '--no-such-flag'], 2, /Unknown option '--no-such-flag'/],
    [['fly'], 2, /no command fly; see `gatehouse help`/],
    [[], 2, /Usage: gatehouse/],
    [['attach'], 2, /attach takes one session/],
    [['attach', 'nothing-like-it'], 1, /no session nothing-like-it/],
    [['run', '/no/such/program'], 1, /^gatehouse: .+ \(START_FAILED, request [0-9a-f-]{36}\)\n$/],
  ])('%j ends with a status and a sentence', async (args, status, words) => {
    const { status: ended, stderr } = await gatehouse(args);
    expect(stderr).toMatch(words);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect(ended).toBe(status);
  });

  it('a refused credential is named by its code, and never shown', async () => {
    const { status, stdout, stderr } = await gatehouse(['list'], { GATEHOUSE_TOKEN: `${alice}x` });
    expect([status, stderr.includes('JWT_')]).toEqual([1, true]);
    expect(stdout + stderr).not.toContain(alice.slice(-20));
    const nobody = await gatehouse(['list'], { GATEHOUSE_URL: 'http://127.0.0.1:9' });
    expect(nobody.stderr).toMatch(/^gatehouse: http:\/\/127\.0\.0\.1:9 cannot be reached/);
  });

  it('a redirect is not followed with the credential', async () => {
    let asked = 0;
    const server = createServer((request, response) => {
      asked += 1;
      response.writeHead(302, { location: `/elsewhere${String(request.url)}` }).end();
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    const { status, stderr } = await gatehouse(['list'], { GATEHOUSE_URL: `http://127.0.0.1:${String(port)}` });
    expect([status, asked, stderr.includes('redirect')]).toEqual([1, 1, true]);
    server.close();
  });

  it('login keeps the credential where only its user can read it, and a file that others can read is refused', async () => {
    const without = { GATEHOUSE_TOKEN: '', GATEHOUSE_URL: '' };
    expect((await gatehouse(['list'], { ...without, GATEHOUSE_URL: gateway.url })).stderr).toMatch(/no credential/);
    expect((await gatehouse(['login', '--url', gateway.url], without, 'wrong\n')).status).toBe(1);
    const login = await gatehouse(['login', '--url', gateway.url], without, `${alice}\n`);
    expect(login.stdout).toContain(`logged in to ${gateway.url}`);
    expect(login.stdout + login.stderr).not.toContain(alice);
    const file = join(home, '.config', 'gatehouse', 'credentials.json');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect((await gatehouse(['list'], without)).stdout).toMatch(/^ID|^no sessions/);
    expect((await gatehouse(['list'], { GATEHOUSE_TOKEN: '', GATEHOUSE_URL: 'http://127.0.0.1:9' })).stderr).toMatch(
      /stored credential is for/,
    );
    chmodSync(file, 0o644);
    expect((await gatehouse(['list'], { GATEHOUSE_TOKEN: '' })).stderr).toMatch(
      /can be read by others; run `chmod 600/,
    );
    await gatehouse(['logout']);
    expect(() => statSync(file)).toThrow();
  });
});
