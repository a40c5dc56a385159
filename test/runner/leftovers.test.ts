import { copyFileSync, mkdirSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { findGroups, groupsBelow } from '../../src/runner/control-groups.js';
import { alive, uniqueSleep } from './alive.js';
import { RunnerProcess } from './runner-process.js';
import { until } from './until.js';

const runners: RunnerProcess[] = [];
afterEach(async () => {
  for (const runner of runners.splice(0).reverse()) await runner.stop();
});

const said = (runner: RunnerProcess, text: string): boolean => runner.output.join('').includes(text);

/** Another process for the directory of one that is dead. */
async function next(dead: RunnerProcess): Promise<RunnerProcess> {
  const runner = RunnerProcess.spawn(dead.directory);
  runners.push(runner);
  await until(() => said(runner, '"listening"'), 'the next runner listens');
  return runner;
}

describe('a runner that is killed', () => {
  it('leaves processes that ignore the end of their terminal, which the next one ends', async () => {
    const first = await RunnerProcess.start();
    const [stubborn, child, hidden, other] = [uniqueSleep(), uniqueSleep(), uniqueSleep(), uniqueSleep()];
    const script = [
      `trap '' HUP TERM`,
      `env -i sleep ${child} </dev/null >/dev/null 2>&1 &`,
      `(setsid env -i /bin/sh -c '(sleep ${hidden} </dev/null >/dev/null 2>&1 &)' &)`,
      `exec sleep ${stubborn}`,
    ];
    await first.startSession(['bash', '-c', script.join('\n')]);
    await until(() => [stubborn, child, hidden].every((sleep) => alive(`sleep\0${sleep}`).length === 1), 'they run');
    first.child.kill('SIGKILL');
    await first.exited;
    expect(alive(`sleep\0${stubborn}`)).toHaveLength(1);

    const second = await next(first);
    const { id } = await second.startSession(['sleep', other]);
    const grouped = said(second, 'tracked by control groups');
    if (!grouped) console.warn('SKIPPED: what needs control groups, because none can be made here');
    const gone = (grouped ? [stubborn, child, hidden] : [stubborn, child]).map((sleep) => `sleep\0${sleep}`);
    await until(() => gone.every((sleep) => alive(sleep).length === 0), 'they are gone', 30_000);
    await until(() => said(second, 'left when it died were ended'), 'that is in the log');
    // What the new runner started meanwhile is its own.
    expect(await second.session(id)).toMatchObject({ state: 'running' });
    expect(alive(`sleep\0${other}`)).toHaveLength(1);
    if (!grouped) for (const pid of alive(`sleep\0${hidden}`)) process.kill(pid, 'SIGKILL');
    const groups = findGroups(`gatehouse-${(await second.info()).id ?? ''}`);
    expect(groups.flatMap(groupsBelow)).toHaveLength(grouped ? 1 : 0);
  });

  it('leaves nothing either when the next one is stopped at once', async () => {
    const first = await RunnerProcess.start();
    const sleep = uniqueSleep();
    await first.startSession(['bash', '-c', `trap '' HUP TERM; exec sleep ${sleep}`]);
    await until(() => alive(`sleep\0${sleep}`).length === 1, 'it runs');
    first.child.kill('SIGKILL');
    await first.exited;
    const second = await next(first);
    const { id = '' } = await second.info();
    second.child.kill('SIGTERM');
    expect(await second.exited).toBe(0);
    expect(alive(sleep)).toEqual([]);
    expect(findGroups(`gatehouse-${id}`)).toEqual([]);
  });

  it('is not taken for dead by one with a copy of its id while it lives', async () => {
    const first = await RunnerProcess.start();
    runners.push(first);
    const sleep = uniqueSleep();
    const { id } = await first.startSession(['bash', '-c', `(setsid sleep ${sleep} &); exec sleep ${sleep}`]);
    await until(() => alive(`sleep\0${sleep}`).length === 2, 'they run');
    const directory = join(mkdtempSync(join(tmpdir(), 'gatehouse-runner-')), 'run');
    mkdirSync(directory, { mode: 0o700 });
    copyFileSync(join(first.directory, 'runner.id'), join(directory, 'runner.id'));
    const copy = RunnerProcess.spawn(directory);
    runners.push(copy);
    await until(() => said(copy, 'no leftovers of another runner'), 'it has looked');
    expect(alive(`sleep\0${sleep}`)).toHaveLength(2);
    expect(await first.session(id)).toMatchObject({ state: 'running' });
    expect((await copy.info()).id).toBe((await first.info()).id);
    // There is no second group of its name; its sessions are ended all the same.
    expect(said(copy, 'no control group can be made')).toBe(true);
    const own = uniqueSleep();
    const second = await copy.startSession(['bash', '-c', `(setsid sleep ${own} &); exec sleep ${own}`]);
    await until(() => alive(`sleep\0${own}`).length === 2, 'they run');
    await copy.kill(second.id);
    expect(alive(own)).toEqual([]);
    expect(alive(`sleep\0${sleep}`)).toHaveLength(2);
    await first.kill(id);
    expect(alive(sleep)).toEqual([]);
  });
});
