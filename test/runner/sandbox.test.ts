import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { StartRequest } from '../../src/generated/gatehouse/runner/v1/StartRequest.js';
import { BWRAP } from '../../src/runner/sandbox/command.js';
import { describeSandboxed } from '../support/sandboxes.js';
import { AgentRunner, PLAIN } from './agents/agent-runner.js';
import { git, GitRunner, type Made, refusal } from './git-runner.js';
import { until } from './until.js';

const MAIN = resolve('dist/src/runner/main.js');
const IDENTITY = {
  ...{ GIT_AUTHOR_NAME: 'Ada', GIT_AUTHOR_EMAIL: 'ada@example.org' },
  ...{ GIT_COMMITTER_NAME: 'Ada', GIT_COMMITTER_EMAIL: 'ada@example.org' },
};
describeSandboxed('a session in a sandbox', () => {
  let runner: GitRunner;
  let own: Made;
  let other: Made;
  const outside = mkdtempSync(join(tmpdir(), 'gatehouse-outside-'));

  beforeAll(async () => {
    runner = await GitRunner.start('--sandbox', 'bwrap');
    const repository = runner.repository('one');
    own = (await runner.create(repository)).worktree;
    other = (await runner.create(repository)).worktree;
    writeFileSync(join(other.path, 'secret.txt'), 'canary');
    for (const folder of [outside, runner.folder, join(runner.folder, 'run')]) {
      writeFileSync(join(folder, 'canary.txt'), 'canary');
    }
    symlinkSync('/', join(runner.projects, 'one', 'everything'));
  });
  afterAll(async () => {
    await runner.stop();
    rmSync(outside, { recursive: true, force: true });
  });

  const start = (command: string[], rest: StartRequest = {}): ReturnType<GitRunner['process']['startSession']> =>
    runner.process.startSession(command, { cwd: own.path, worktree_id: own.id, ...rest });

  /** What a shell says to this in a sandbox. */
  async function said(script: string, rest: StartRequest = {}): Promise<string> {
    const { id } = await start(['sh', '-c', script], rest);
    await runner.process.ended(id);
    return (await runner.process.text(id)).replaceAll('\r', '');
  }

  it('sees its own worktree and processes, and nothing else of the machine’s', async () => {
    const text = await said(
      [
        `cat readme.md; touch mine; touch /tmp/mine "$HOME/mine" && echo writes`,
        `for place in '${other.path}' '${outside}' '${runner.folder}' '${join(runner.folder, 'run')}' /root/.ssh /var/lib /home /boot /etc/shadow; do`,
        `  ls -A "$place" >/dev/null 2>&1 && [ -n "$(ls -A "$place")" ] && echo "SEES $place" $(ls -A "$place")`,
        `done; ls -A /tmp "$HOME"`,
        `grep -rl canary / --include=canary.txt --include=secret.txt --exclude-dir=proc --exclude-dir=sys --exclude-dir=usr 2>/dev/null`,
        `ls /proc | grep -c '^[0-9]'; cat /proc/[0-9]*/comm | grep -c '^node'`,
        `touch /usr/x /etc/x /x 2>/dev/null || echo read-only; kill -0 ${String(process.pid)} 2>/dev/null || echo alone`,
        'cat /proc/sys/kernel/core_pattern > /tmp/p; { cat /tmp/p > /proc/sys/kernel/core_pattern; } 2>/dev/null && echo SETS',
        'head -c 1 /proc/kcore 2>/dev/null | wc -c; mount -t tmpfs x /tmp 2>/dev/null && echo MOUNTS',
        `grep CapEff /proc/self/status; ls -l /proc/self/fd; env`,
      ].join('\n'),
    );
    expect(text).toContain('hello\nwrites\n');
    // The runner's HOME, empty but for what is on the way to the worktree.
    expect(text.match(/^SEES.*$/gm)).toEqual([`SEES ${runner.folder} mine projects worktrees`]);
    expect(text).not.toContain('canary.txt');
    expect(text).not.toContain('secret.txt');
    expect(text).toMatch(/\nread-only\nalone\n0\nCapEff:\s+0{16}\n/);
    expect(text).toMatch(/\n[3-9]\n0\nread-only/);
    expect(existsSync(join(own.path, 'mine'))).toBe(true);
    expect(existsSync('/tmp/mine')).toBe(false);
  });

  it('commits in its worktree, and can change neither what git runs nor where the worktree belongs', async () => {
    const text = await said(
      [
        'git status --short; echo new > new.txt; git add new.txt && git commit --quiet -m second && echo committed',
        'common=$(git rev-parse --git-common-dir); admin=$(git rev-parse --git-dir)',
        'for file in "$common/config" "$common/hooks/post-commit" "$common/HEAD" "$common/info/attributes" "$admin/commondir" "$admin/gitdir" .git; do',
        '  { echo x >> "$file"; } 2>/dev/null && echo "CHANGED $file"; rm "$file" 2>/dev/null && echo "REMOVED $file"',
        'done; git --no-pager log --format=%s -1',
      ].join('\n'),
      { env: IDENTITY },
    );
    expect(text).toContain('committed');
    expect(text).toMatch(/second\n$/);
    expect(text).not.toMatch(/CHANGED|REMOVED/);
    expect(git(join(runner.projects, 'one'), 'log', '--format=%s', own.branch)).toBe('second\nfirst');
    await runner.status(own.id);
  });

  it('can leave nothing that the next sandbox of its worktree would follow', async () => {
    const { id, path, branch } = (await runner.create(join(runner.projects, 'one'))).worktree;
    const there = { cwd: path, worktree_id: id };
    const text = await said(
      [
        `admin=$(git rev-parse --git-dir); objects=$(git rev-parse --git-common-dir)/objects`,
        'for part in info hooks config.worktree commondir gitdir; do for how in "rmdir" "rm -rf" "mv -t /tmp"; do',
        '  $how "$admin/$part" 2>/dev/null && echo "GONE $part"; done',
        `  ln -sT '../../../../../../../../../..${outside}' "$admin/$part" 2>/dev/null && echo "PLANTED $part"; done`,
        'mv "$admin" "$admin.old" 2>/dev/null && echo MOVED; mv "$objects/info" "$objects/x" 2>/dev/null && echo MOVED',
        '{ echo /elsewhere > "$objects/info/alternates"; } 2>/dev/null && echo ALTERNATES; echo tried',
      ].join('\n'),
      there,
    );
    expect(text).toBe('tried\n');
    const admin = git(path, 'rev-parse', '--absolute-git-dir');
    expect(
      await said(`ls -A '${outside}'; git commit --allow-empty -qm two && echo still`, {
        ...there,
        env: IDENTITY,
      }),
    ).toMatch(/still\n$/);
    expect(git(path, 'log', '--format=%s', '-1', branch)).toBe('two');
    for (const part of ['info', 'hooks', 'config.worktree']) {
      rmSync(join(admin, part), { recursive: true });
      symlinkSync(relative(admin, outside), join(admin, part));
      const code = part === 'hooks' ? 'START_FAILED' : 'GIT_FAILED';
      expect([part, await refusal(start(['true'], there))]).toEqual([part, code]);
      rmSync(join(admin, part));
    }
    expect(await refusal(start(['true'], { ...there, env: { HOME: outside } }))).toBe('INVALID_ARGUMENT');
    expect(await refusal(start(['true'], { cwd: '', worktree_id: '', env: { HOME: '/' } }))).toBe('INVALID_ARGUMENT');
  });

  it('has job control, sizes, signals and exit codes', async () => {
    const { id } = await start(['bash', '-i'], { env: { PS1: '> ' } });
    await runner.process.write(id, 'sleep 603 &\r');
    // Before it is that program, it is a shell, which ignores the signal.
    await until(() => hasProcess('sleep\x00603'), 'it runs');
    await runner.process.write(id, "jobs; kill %1; wait; echo 'over'-$?\r");
    await runner.process.shows(id, 'over-');
    await runner.process.resize(id, 101, 33);
    await runner.process.write(id, 'stty size\r');
    await runner.process.shows(id, '33 101');
    await runner.process.write(id, 'sleep 601\r');
    await runner.process.shows(id, 'sleep 601');
    await until(() => hasProcess('sleep\x00601'), 'it runs');
    await runner.process.write(id, '\x03');
    await until(() => !hasProcess('sleep\x00601'), 'the key ends it');
    await runner.process.write(id, 'exit 7\r');
    expect(await runner.process.ended(id)).toMatchObject({ state: 'exited', exit_code: 7 });
    const trap = await start(['sh', '-c', 'trap "echo got; exit 5" INT; echo up; while :; do sleep 0.1; done']);
    await runner.process.shows(trap.id, 'up');
    await runner.process.signal(trap.id, 'INT');
    expect(await runner.process.ended(trap.id)).toMatchObject({ exit_code: 5 });
  });

  it('leaves nothing behind when it is killed, and has time to end by itself', async () => {
    const script =
      'trap "echo polite; exit 0" HUP TERM; setsid sleep 602 & setsid nohup sleep 602 & echo up; wait; wait';
    const { id, pid = 0 } = await start(['sh', '-c', script]);
    await runner.process.shows(id, 'up');
    await until(() => hasProcess('sleep\x00602'), 'they run');
    await runner.process.kill(id);
    expect(await runner.process.text(id)).toContain('polite');
    expect(existsSync(`/proc/${String(pid)}`)).toBe(false);
    expect(hasProcess('sleep\x00602')).toBe(false);
  });

  it('without a folder has a home that is gone at the end', async () => {
    const home = { cwd: '', worktree_id: '' };
    expect(await said('touch here && ls -A; pwd', home)).toMatch(/^here\n\//);
    expect(await said('ls -A; pwd', home)).toMatch(/^\//);
  });

  it('in a repository has all of that, and nothing of its neighbours', async () => {
    const folder = join(runner.repository('two', { 'a/b.txt': 'b\n' }), 'a');
    const text = await said(`cat b.txt; ls ../..; echo x >> ../.git/config || echo kept; touch c && echo writes`, {
      ...{ cwd: folder, worktree_id: '' },
    });
    expect(text).toContain('b\ntwo\n');
    expect(text).toMatch(/kept\nwrites\n$/);
    expect(text).not.toContain('one');
  });

  it('in a repository cannot put another .git, or another part of it, in its place', async () => {
    const cwd = runner.repository('three');
    const text = await said(
      [
        'mv .git g 2>/dev/null && echo "MOVED .git"',
        'for part in config config.worktree hooks info worktrees objects objects/info objects/info/alternates refs logs; do',
        '  mv ".git/$part" moved 2>/dev/null && echo "MOVED $part"; done',
        'for part in config config.worktree hooks/post-commit info/attributes worktrees/x objects/info/alternates; do',
        '  { echo x >> ".git/$part"; } 2>/dev/null && echo "CHANGED $part"; done',
        'git commit --allow-empty -qm two && git --no-pager log --format=%s',
      ].join('\n'),
      { cwd, worktree_id: '', env: IDENTITY },
    );
    expect(text).toBe('two\nfirst\n');
    rmSync(join(cwd, '.git', 'hooks'), { recursive: true });
    symlinkSync(relative(join(cwd, '.git'), outside), join(cwd, '.git', 'hooks'));
    expect(await refusal(start(['true'], { cwd, worktree_id: '' }))).toBe('START_FAILED');
  });

  it('is refused every other folder, program and worktree', async () => {
    mkdirSync(join(runner.projects, 'plain'));
    const { id: worktree_id, path } = other;
    for (const cwd of ['/', '/root', '/tmp', '/etc', runner.folder, runner.projects, join(runner.projects, 'plain')]) {
      expect([cwd, await refusal(start(['true'], { cwd, worktree_id: '' }))]).toEqual([cwd, 'INVALID_ARGUMENT']);
    }
    for (const cwd of [
      path,
      join(runner.projects, 'one', 'everything'),
      join(runner.projects, 'one', 'everything', 'etc'),
    ]) {
      expect([cwd, await refusal(start(['true'], { cwd, worktree_id: '' }))]).toEqual([cwd, 'INVALID_ARGUMENT']);
    }
    expect(await refusal(start(['true'], { cwd: join(path, 'none'), worktree_id: '' }))).toBe('START_FAILED');
    expect(await refusal(start([MAIN], { cwd: path, worktree_id }))).toBe('START_FAILED');
    expect(await refusal(start(['LD_PRELOAD=/x.so', 'true']))).toBe('START_FAILED');
    expect(await refusal(start(['true'], { worktree_id: '01a1fc84-6cb5-7e33-bf1e-bc189c38028f' }))).toBe('NOT_FOUND');
  });
});

describeSandboxed('an agent in a sandbox', () => {
  let agents: AgentRunner;
  beforeAll(async () => {
    agents = await AgentRunner.start(['hook-agent', 'acp-agent', 'plain-agent'], ['--sandbox', 'bwrap']);
  });
  afterAll(() => agents.stop());

  it('tells by its hooks and by its protocol what it does, and takes its prompt from its input', async () => {
    const home = { cwd: '' };
    const spec = { binary: 'hook-agent', delivery: 'typed', hooks: 'claude', ready: ['hook agent'], quiet_ms: 300 };
    const hooked = await agents.start(spec, home);
    await agents.shows(hooked.id, 'HOOK SessionStart 0 ""');
    await agents.runner.write(hooked.id, 'UserPromptSubmit {}\r');
    await until(async () => (await agents.agent(hooked.id)).source === 'hook', 'a hook is heard');
    const acp = await agents.start({ binary: 'acp-agent', acp: true, delivery: 'acp', prompt: 'hello' }, home);
    await agents.shows(acp.id, 'HEARD "hello"');
    expect(await agents.reaches(acp.id, 'waiting_for_input', 'input')).toMatchObject({ source: 'acp' });
    const read = await agents.start({ ...PLAIN, binary: 'plain-agent', delivery: 'stdin', prompt: 'told to it' }, home);
    await agents.shows(read.id, 'GOT "told to it"');
  });
});

describeSandboxed('a runner that is asked for a sandbox', () => {
  it.each([
    [69, 'of the package bubblewrap', ['--tmpfs', '/usr/bin']],
    [71, 'can make no namespaces', ['--unshare-user', '--disable-userns']],
  ])('and cannot make one ends with %i and says why', async (code, reason, without) => {
    const directory = mkdtempSync(join(tmpdir(), 'gatehouse-runner-'));
    const command = ['--', process.execPath, MAIN, '--dir', join(directory, 'run'), '--sandbox', 'bwrap'];
    const child = spawn(BWRAP, ['--dev-bind', '/', '/', ...without, ...command], { env: {} });
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()));
    expect(await new Promise((done) => child.once('exit', done))).toBe(code);
    expect(output).toContain(reason);
    rmSync(directory, { recursive: true });
  });

  it.each([
    ['', 'as a home'],
    ['run', 'with its sockets'],
    ['run/some/part', 'in there'],
    ['link', 'by another name'],
  ])('that shows a folder (%j) of the runner’s own, %s, ends and says so', (name) => {
    const home = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-runner-')));
    mkdirSync(join(home, 'run/some/part'), { recursive: true });
    symlinkSync('run', join(home, 'link'));
    const options = ['--dir', join(home, 'run'), '--sandbox', 'bwrap', '--sandbox-read-only', join(home, name)];
    const { status, stdout } = spawnSync(process.execPath, [MAIN, ...options], {
      env: { HOME: home },
      encoding: 'utf8',
    });
    expect([status, stdout]).toEqual([78, expect.stringContaining('no sandbox may show that')]);
    rmSync(home, { recursive: true });
  });

  it('and shows what lies around its home and its own folders shows those empty', async () => {
    const around = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-around-')));
    const shows = await GitRunner.start('--sandbox', 'bwrap', '--sandbox-read-only', tmpdir());
    writeFileSync(join(around, 'seen.txt'), 'seen');
    writeFileSync(join(shows.folder, 'canary.txt'), 'canary');
    const { id } = await shows.process.startSession(['sh', '-c', `cat '${around}/seen.txt'; ls -A '${shows.folder}'`], {
      cwd: '',
    });
    await shows.process.ended(id);
    expect(await shows.process.text(id)).toBe('seen');
    await shows.stop();
    rmSync(around, { recursive: true });
  });

  it('and has none starts no session that wants one', async () => {
    const plain = await GitRunner.start();
    expect(await refusal(plain.process.startSession(['true'], { sandbox: 'bwrap' }))).toBe('START_FAILED');
    await plain.stop();
  });
});

/** Is there a process whose command line begins like this? */
function hasProcess(command: string): boolean {
  return readdirSync('/proc').some((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'latin1').startsWith(command);
    } catch {
      return false;
    }
  });
}
