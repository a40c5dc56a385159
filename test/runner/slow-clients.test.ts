import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { untilQuiet } from '../support/terminal-settings.js';
import type { LinkClient } from './link-client.js';

import { RunnerProcess } from './runner-process.js';
import { until } from './until.js';

const MIB = 1024 * 1024;

let runner: RunnerProcess;
let silent: LinkClient;
beforeAll(async () => {
  runner = await RunnerProcess.start();
  silent = await runner.link();
});
afterAll(() => runner.stop());

function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${String(pid)}/status`, 'utf8'))?.[1]) * 1024;
}

const nextOutput = async (id: string): Promise<number> => (await runner.session(id)).output_next ?? 0;

/** Waits until nothing was written for longer than a busy machine lets a program wait; how much was. */
async function stillAt(id: string): Promise<number> {
  let [last, since] = [-1, 0];
  await until(async () => {
    const now = await nextOutput(id);
    if (now !== last) [last, since] = [now, performance.now()];
    await setTimeout(100);
    return performance.now() - since > 1500;
  }, 'the program waits');
  return last;
}

describe('a client that stops reading', () => {
  it('as controller makes the program wait, memory stays flat, and it loses nothing', async () => {
    const { id } = await runner.startSession(['yes', 'x'.repeat(98)]);
    const link = await runner.link();
    link.keep = false;
    await link.attach(id);
    await until(() => link.bytes > 8 * MIB, 'the flood flows');
    link.socket.pause();
    const before = await stillAt(id);
    const resident = residentBytes(runner.pid);
    await setTimeout(1000);
    expect(await nextOutput(id)).toBe(before);
    expect(residentBytes(runner.pid) - resident).toBeLessThan(16 * MIB);
    link.socket.resume();
    const seen = link.bytes;
    await until(() => link.bytes > seen + 8 * MIB, 'the flood goes on');
    await runner.kill(id);
    await link.end(); // LinkClient fails on any gap
    expect(link.error).toBeUndefined();
  });

  it('and goes on asking costs no memory: nothing more is read of it', async () => {
    const { id } = await runner.startSession(['yes', 'x'.repeat(98)]);
    const link = await runner.link();
    link.keep = false;
    await link.attach(id, { writer_id: 'w' });
    await until(() => link.bytes > MIB, 'the flood flows');
    link.socket.pause();
    const resident = residentBytes(runner.pid);
    const key = Buffer.from('x');
    for (let index = 0; index < 300_000; index++) link.typeAt(1_000_000, key); // each is answered with INPUT_GAP
    await setTimeout(1500);
    expect(residentBytes(runner.pid) - resident).toBeLessThan(24 * MIB);
    link.close();
    await runner.kill(id);
  });

  it('as viewer slows nobody, and is told where it fell behind', async () => {
    const { id } = await runner.startSession(['yes', 'y'.repeat(98)]);
    const [controller, viewer] = [await runner.link(), await runner.link()];
    controller.keep = viewer.keep = false;
    await controller.attach(id);
    await viewer.attach(id);
    viewer.socket.pause();
    const seen = controller.bytes;
    await until(() => controller.bytes > seen + 24 * MIB, 'the controller is served');
    viewer.socket.resume();
    const detached = await viewer.message('detached');
    expect(detached).toMatchObject({ code: 'LAGGING', offset: viewer.next });
    await viewer.end();
    expect(await runner.session(id)).toMatchObject({ state: 'running' });
    await runner.kill(id);
  });

  it('as one viewer after the other slows nobody either', async () => {
    const { id } = await runner.startSession(['yes', 'v'.repeat(98)]);
    await until(async () => (await nextOutput(id)) > 12 * MIB, 'the ring rolls');
    const before = await nextOutput(id);
    for (let attached = 0; attached < 30; attached += 1) {
      const viewer = await runner.link();
      viewer.keep = false;
      await viewer.attach(id, { mode: 'viewer' });
      viewer.socket.pause();
      await setTimeout(50);
    }
    expect((await nextOutput(id)) - before).toBeGreaterThan(8 * MIB);
    await runner.kill(id);
  });

  it('or acknowledging, once it has begun to, makes the program wait too', async () => {
    const { id } = await runner.startSession(['yes', 'z'.repeat(98)]);
    const link = await runner.link();
    link.keep = false;
    link.acknowledge = true;
    await link.attach(id);
    await until(() => link.bytes > 4 * MIB, 'the flood flows');
    link.acknowledge = false;
    const stopped = link.next ?? 0;
    const before = await stillAt(id);
    expect(before - stopped).toBeLessThan(3 * MIB);
    link.send({ type: 'ack', offset: link.next ?? 0 });
    await until(async () => (await nextOutput(id)) > before, 'the program goes on');
    await runner.kill(id);
  });
});

describe('a flood', () => {
  it('without a client rolls on, and one who comes is given what is retained, then the rest without a gap', async () => {
    // The second part comes when the test says so: a viewer holds nobody up, and may rightly fall behind a program that
    // never rests.
    const go = join(runner.directory, 'go-on');
    const line = 'w'.repeat(98);
    const script = `yes ${line} | head -c 12582912; until [ -e ${go} ]; do sleep 0.05; done; yes ${line} | head -c 2097152; sleep 30`;
    const { id } = await runner.startSession(['sh', '-c', script]);
    await until(async () => (await nextOutput(id)) > 12 * MIB, 'the ring has rolled');
    const before = await stillAt(id);
    const viewer = await runner.link();
    viewer.keep = false;
    const attached = await viewer.attach(id, { may_control: false, raw: true });
    expect(attached.from).toBe(attached.dropped_before);
    expect(attached.from).toBeGreaterThan(0);
    await until(() => viewer.next === before, 'what is retained has come');
    writeFileSync(go, '');
    await until(() => (viewer.next ?? 0) >= before + 2 * MIB, 'the rest has come');
    await runner.kill(id);
  });

  it('of a program whose client is still on its way keeps its beginning', async () => {
    const small = await RunnerProcess.start(['--ring-bytes', String(MIB)]);
    try {
      const { id } = await small.startSession(['sh', '-c', 'seq 1 600000; sleep 30']); // 4 MB and more
      await setTimeout(300);
      const link = await small.link();
      expect(await link.attach(id, { from: 0 })).toMatchObject({ from: 0 });
      await link.shows('\r\n600000\r\n');
    } finally {
      await small.stop();
    }
  });

  it('does not delay the echo of another session for long', async () => {
    const flood = await runner.startSession(['yes']);
    const [reader, typist] = [await runner.link(), await runner.link()];
    reader.keep = false;
    await reader.attach(flood.id);
    const { id, pid = 0 } = await runner.startSession(['sh', '-c', 'stty raw -echo; exec cat']);
    await untilQuiet(pid);
    await typist.attach(id);
    // How much of the flood comes meanwhile: on a slow machine everything takes longer.
    const flooded: number[] = [];
    for (let index = 0; index < 100; index++) {
      const begin = reader.bytes;
      typist.type('k');
      await until(() => typist.bytes > index, 'the echo');
      flooded.push(reader.bytes - begin);
    }
    flooded.sort((a, b) => a - b);
    expect(flooded[50]).toBeLessThan(MIB);
    await Promise.all([runner.kill(flood.id), runner.kill(id)]);
  });
});

describe('a connection that says nothing', () => {
  it('is closed after a while', async () => {
    await silent.end();
    expect(silent.messages).toEqual([]);
  });
});
