import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { findGroups } from '../../src/runner/control-groups.js';
import { untilQuiet } from '../support/terminal-settings.js';
import { alive, uniqueSleep } from './alive.js';
import { RunnerProcess } from './runner-process.js';
import { until } from './until.js';

const runner = await RunnerProcess.start();
/** Whether this machine lets the runner make control groups, without which a process can hide. */
const grouped = runner.output.join('').includes('tracked by control groups');
if (!grouped) console.warn('SKIPPED: what needs control groups, because none can be made here');
const itWithGroups = grouped ? it : it.skip;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-ends-'));
});
afterAll(async () => {
  const { id = '' } = await runner.info();
  await runner.stop();
  expect(findGroups(`gatehouse-${id}`)).toEqual([]);
  rmSync(folder, { recursive: true, force: true });
});

describe('killing a session', () => {
  itWithGroups('ends a process that called setsid, forked twice and wiped its environment', async () => {
    const sleep = uniqueSleep();
    const { id } = await runner.startSession([
      'bash',
      '-c',
      `(setsid env -i /bin/sh -c '(sleep ${sleep} </dev/null >/dev/null 2>&1 &)' &); echo started; sleep 60`,
    ]);
    await until(() => alive(`sleep\0${sleep}`).length === 1, 'it runs');
    expect(await runner.kill(id)).toMatchObject({ state: 'killed' });
    expect(alive(sleep)).toEqual([]);
  });

  itWithGroups('ends one that hid in the same way, stopped itself and ignores every polite signal', async () => {
    const sleep = uniqueSleep();
    const hidden = `trap '' HUP TERM CONT; (kill -STOP $(exec sh -c 'echo $PPID'); sleep ${sleep}) </dev/null >/dev/null 2>&1 &`;
    const { id } = await runner.startSession(
      ['bash', '-c', `(setsid env -i /bin/bash -c "$HIDDEN" &); echo started; exec sleep 60`],
      { env: { HIDDEN: hidden } },
    );
    await until(() => alive(sleep).length >= 1, 'it runs');
    await runner.kill(id);
    expect(alive(sleep)).toEqual([]);
  });

  it('ends programs that go on forking while they are killed, each gone before it is seen', async () => {
    // Each ends by itself when the test has removed the file: nothing is left on the machine when this fails.
    const file = join(folder, 'relay');
    const ran = `${file}.ran`;
    writeFileSync(file, `trap '' HUP TERM\n[ -e "$0" ] || exit\nprintf x >> "${ran}"\n/bin/sh "$0" &\n`);
    const perl = `perl -e '$SIG{HUP} = $SIG{TERM} = "IGNORE"; while (-e $ARGV[0]) { fork and exit }' ${file}`;
    const script = `for i in 1 2; do sh ${file} & done; command -v perl >/dev/null && ${perl} & sleep 60`;
    const { id } = await runner.startSession(['bash', '-c', script]);
    await until(() => existsSync(ran) && statSync(ran).size > 20, 'they run, one after the other');
    expect(await runner.kill(id)).toMatchObject({ state: 'killed' });
    const left = alive(file);
    // What forks as fast as that is hardly ever seen in the process table; its group would not go while it runs.
    await until(() => findGroups(id).length === 0, 'its group is gone').finally(() => {
      rmSync(file);
    });
    expect(left).toEqual([]);
    expect(runner.output.join('')).not.toContain('could not be ended');
  });

  itWithGroups('ends what hid in a session that ended by itself, too', async () => {
    const sleep = uniqueSleep();
    const hide = `(setsid env -i /bin/sh -c '(sleep ${sleep} </dev/null >/dev/null 2>&1 &)' &)`;
    const { id } = await runner.startSession(['bash', '-c', `${hide}; read line; exit 7`]);
    await until(() => alive(`sleep\0${sleep}`).length === 1, 'it runs');
    await runner.write(id, '\n');
    expect(await runner.ended(id)).toMatchObject({ state: 'exited', exit_code: 7 });
    await until(() => alive(sleep).length === 0, 'it is gone');
  });
});

describe('the end of a session', () => {
  it('is told after all output, by each of 100 programs that print 5 MB at the same time and exit', async () => {
    const bytes = randomBytes(5_000_000);
    const file = join(folder, 'five');
    writeFileSync(file, bytes);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    const runs = Array.from({ length: 100 }, async () => {
      const { id, pid = 0 } = await runner.startSession(['sh', '-c', `stty raw -echo; read go; exec cat ${file}`]);
      const link = await runner.link();
      link.keep = false;
      await link.attach(id);
      await untilQuiet(pid);
      link.type('\n');
      await until(() => link.closed, 'the connection ends', 100_000);
      const [end] = link.messages.filter(({ type }) => type === 'process_exited');
      return { bytes: link.bytes, sha256: link.sha256, late: link.late, end };
    });
    const whole = { bytes: bytes.length, sha256, late: 0, end: expect.objectContaining({ exit_code: 0 }) as unknown };
    for (const run of await Promise.all(runs)) expect(run).toEqual(whole);
  }, 120_000);

  it('has the exit code of the program, whatever it is', async () => {
    const codes = [0, 1, 2, 42, 126, 127, 128, 130, 137, 254, 255];
    const ends = codes.map(async (code) => {
      const { id } = await runner.startSession(['sh', '-c', `exit ${String(code)}`]);
      const { state, exit_code, signal } = await runner.ended(id);
      return { state, exit_code, signal };
    });
    expect(await Promise.all(ends)).toEqual(
      codes.map((exit_code) => ({ state: 'exited', exit_code, signal: undefined })),
    );
  });

  it('has the signal that ended the program, also where it left a core', async () => {
    const names = [
      'HUP',
      'INT',
      'QUIT',
      'ILL',
      'TRAP',
      'ABRT',
      'BUS',
      'FPE',
      'KILL',
      'USR1',
      'SEGV',
      'PIPE',
      'TERM',
      '34',
    ];
    const ends = names.map(async (name) => {
      // The core, where one is written, goes into a folder of the test's.
      const { id } = await runner.startSession(['sh', '-c', `ulimit -c unlimited; kill -${name} $$`], { cwd: folder });
      const { state, exit_code, signal } = await runner.ended(id);
      return { state, exit_code, signal };
    });
    expect(await Promise.all(ends)).toEqual(
      names.map((name) => ({ state: 'exited', exit_code: undefined, signal: `SIG${name}` })),
    );
    for (const name of readdirSync(folder).filter((each) => each.startsWith('core'))) rmSync(join(folder, name));
  });
});
