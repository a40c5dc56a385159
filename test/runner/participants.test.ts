import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { LinkResponse, Participants } from '../../src/kernel/link.js';
import type { LinkClient } from './link-client.js';
import { RunnerProcess } from './runner-process.js';
import { until } from './until.js';

let runner: RunnerProcess;

beforeAll(async () => {
  runner = await RunnerProcess.start();
});
afterAll(() => runner.stop());

/** The last thing a client was told about who is attached. */
const told = ({ messages }: LinkClient): Participants | undefined =>
  messages.filter((message): message is Participants => message.type === 'participants').at(-1);

const flow = ({ messages }: LinkClient): LinkResponse[] => messages.filter(({ type }) => type === 'flow_control');

describe('everybody attached is told', () => {
  it('who else is, in which mode and size, when somebody comes, takes control, changes the size or goes', async () => {
    const { id } = await runner.startSession(['cat']);
    const ada = await runner.link();
    const { attachment: first } = await ada.attach(id, { user: 'ada', cols: 100, rows: 30 });
    await until(() => told(ada)?.total === 1, 'ada is told of herself');
    const bob = await runner.link();
    const { attachment: second } = await bob.attach(id, { user: 'bob', cols: 120, rows: 40 });
    await until(() => told(ada)?.total === 2 && told(bob)?.total === 2, 'both are told of both');
    expect(told(ada)?.participants).toEqual([
      { attachment: first, user_id: 'ada', mode: 'controller', cols: 100, rows: 30 },
      { attachment: second, user_id: 'bob', mode: 'viewer', cols: 120, rows: 40 },
    ]);
    bob.send({ type: 'take_control' });
    await until(() => told(ada)?.participants[1]?.mode === 'controller', 'ada is told who took control');
    expect(told(ada)?.participants[0]?.mode).toBe('viewer');
    bob.send({ type: 'resize', cols: 90, rows: 20 });
    await until(() => told(ada)?.participants[1]?.cols === 90, 'ada is told of the size');
    bob.close();
    await until(() => told(ada)?.total === 1, 'ada is told who left');
    await runner.kill(id);
  });

  it('how many there are, when there are too many to name', async () => {
    const { id } = await runner.startSession(['cat']);
    const links: LinkClient[] = [];
    for (let count = 0; count < 60; count += 1) {
      const link = await runner.link();
      await link.attach(id);
      links.push(link);
    }
    await until(() => links[0] !== undefined && told(links[0])?.total === 60, 'the first is told of all');
    expect(links[0] && told(links[0])?.participants).toHaveLength(50);
    await runner.kill(id);
  });

  it('that the program is held for a controller who does not keep up, and that it goes on', async () => {
    // It begins when the one does not read any more: the other cannot fall behind what little comes then.
    const { id } = await runner.startSession(['/bin/sh', '-c', 'read go; seq 1 100000000']);
    const slow = await runner.link();
    slow.keep = false;
    await slow.attach(id, { from: 0 });
    const viewer = await runner.link();
    viewer.keep = false;
    await viewer.attach(id, { from: 0, mode: 'viewer', user: 'bob' });
    slow.socket.pause();
    slow.type('\n');
    await until(() => flow(viewer).length === 1, 'the viewer is told of the hold');
    expect(flow(viewer)).toEqual([{ type: 'flow_control', action: 'pause', reason: 'controller_lagging' }]);
    await until(async () => viewer.next === (await runner.session(id)).output_next, 'the viewer has all there is');
    const held = viewer.bytes;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(viewer.bytes).toBe(held);
    slow.socket.resume();
    await until(() => flow(viewer).length > 1 && viewer.bytes > held, 'the viewer is told that it goes on');
    expect(flow(viewer)[1]).toMatchObject({ action: 'resume' });
    await runner.kill(id);
  });
});

describe('a client that reads nothing', () => {
  it('is not sent what is news no more: of many changes it hears the last, and they cost no memory', async () => {
    const { id } = await runner.startSession(['cat']);
    const ada = await runner.link();
    const steps = 100;
    await ada.attach(id, { cols: 80, rows: 24 });
    const stalled: LinkClient[] = [];
    for (let count = 0; count < 60; count += 1) {
      const link = await runner.link();
      await link.attach(id, { mode: 'viewer', user: 'b'.repeat(250) });
      link.socket.pause();
      stalled.push(link);
    }
    const before = runner.residentBytes();
    for (let step = 1; step <= steps; step += 1) {
      ada.send({ type: 'resize', cols: 80 + step, rows: 24 });
      await until(() => told(ada)?.participants[0]?.cols === 80 + step, 'ada hears of each');
    }
    // Unbounded it would be 60 clients times 100 messages of 16 KiB: some 90 MiB.
    expect(runner.residentBytes() - before).toBeLessThan(60 * 1024 * 1024);
    const [first] = stalled;
    first?.socket.resume();
    await until(() => first !== undefined && told(first)?.participants[0]?.cols === 80 + steps, 'it hears the last');
    await runner.kill(id);
  }, 180_000);

  it('but acknowledges is sent no more than it can take in, and goes on when it has', async () => {
    const { id } = await runner.startSession(['/bin/sh', '-c', 'stty raw; read go; head -c 3000000 /dev/zero; cat']);
    const ada = await runner.link();
    ada.keep = false;
    await ada.attach(id, { from: 0 });
    const viewer = await runner.link();
    viewer.keep = false;
    await viewer.attach(id, { from: 0, mode: 'viewer' });
    viewer.send({ type: 'ack', offset: 0 });
    ada.type('\n');
    await until(() => ada.bytes >= 3_000_000, 'ada has all');
    await until(() => viewer.bytes >= 1024 * 1024, 'the viewer has its window');
    expect(viewer.bytes).toBe(1024 * 1024);
    viewer.send({ type: 'ack', offset: 1024 * 1024 });
    await until(() => viewer.bytes >= 2 * 1024 * 1024, 'it is sent more');
    viewer.acknowledge = true;
    viewer.send({ type: 'ack', offset: 2 * 1024 * 1024 });
    await until(() => viewer.bytes >= 3_000_000, 'it is sent all');
    await runner.kill(id);
  });
});

describe('the size', () => {
  it('becomes that of who takes control', async () => {
    const { id } = await runner.startSession(['cat']);
    const ada = await runner.link();
    await ada.attach(id, { cols: 100, rows: 30 });
    const bob = await runner.link();
    expect(await bob.attach(id, { cols: 120, rows: 40, user: 'bob' })).toMatchObject({ cols: 100, rows: 30 });
    bob.send({ type: 'take_control' });
    await until(async () => (await runner.session(id)).cols === 120, 'the size is bob’s');
    expect(await runner.session(id)).toMatchObject({ cols: 120, rows: 40 });
    await runner.kill(id);
  });
});
