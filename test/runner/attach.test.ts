import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { LinkAttach } from '../../src/kernel/link.js';
import { MAX_ATTACHMENTS } from '../../src/runner/attachment.js';
import type { LinkClient } from './link-client.js';
import { RunnerProcess } from './runner-process.js';
import { until } from './until.js';

let runner: RunnerProcess;
beforeAll(async () => {
  runner = await RunnerProcess.start();
});
afterAll(() => runner.stop());

/** A program that shows what it reads, with nothing added by the terminal. */
async function startEcho(): Promise<string> {
  const { id } = await runner.startSession(['sh', '-c', 'stty raw -echo; printf ready:; exec cat']);
  await runner.shows(id, 'ready:');
  return id;
}

/** Attaches as soon as the runner has noticed that the controller before is gone. */
async function attachAsController(id: string, rest: Partial<LinkAttach> = {}): Promise<LinkClient> {
  for (;;) {
    const link = await runner.link();
    if ((await link.attach(id, rest)).mode === 'controller') return link;
    link.close();
    await setTimeout(50);
  }
}

const errors = (link: LinkClient): string[] =>
  link.messages.flatMap((message) => (message.type === 'error' ? [message.code] : []));

describe('typing', () => {
  it('reaches the program, and what is sent again after a reconnect is typed once', async () => {
    const id = await startEcho();
    const first = await runner.link();
    expect(await first.attach(id, { writer_id: 'me' })).toMatchObject({ input_next: 0 });
    first.type('hello');
    await first.shows('ready:hello');
    first.close();
    const second = await attachAsController(id, { writer_id: 'me' });
    expect(await second.message('attached')).toMatchObject({ input_next: 5 });
    second.typeAt(0, Buffer.from('hello'));
    second.typeAt(3, Buffer.from('lo, world'));
    await second.shows('world');
    expect(second.text).toBe('ready:hello, world');
    await runner.kill(id);
  });

  it('with a gap is refused, and goes on where it should', async () => {
    const id = await startEcho();
    const link = await runner.link();
    await link.attach(id, { writer_id: 'w' });
    link.typeAt(0, Buffer.from('ab'));
    link.typeAt(3, Buffer.from('d'));
    expect(await link.message('error')).toMatchObject({ code: 'INPUT_GAP', input_next: 2 });
    link.typeAt(2, Buffer.from('cd'));
    await link.shows('abcd');
    expect(link.text).toBe('ready:abcd');
    expect(errors(link)).toEqual(['INPUT_GAP']);
    await runner.kill(id);
  });

  it('more than a program reads is refused once 2 MiB wait; sent again from where it says, it arrives whole', async () => {
    const reads =
      'stty raw -echo; printf ready:; while [ ! -e "$GO" ]; do sleep 0.05; done; head -c 5242880 | sha256sum';
    const go = join(runner.directory, 'go');
    const { id } = await runner.startSession(['sh', '-c', reads], { env: { GO: go } });
    await runner.shows(id, 'ready:');
    const link = await runner.link();
    await link.attach(id, { writer_id: 'w' });
    const all = randomBytes(5 * 1024 * 1024);
    const send = (from: number): void => {
      for (let at = from; at < all.length; at += 65_536) link.typeAt(at, all.subarray(at, at + 65_536));
    };
    send(0);
    const refusal = await link.message('error');
    expect(refusal).toMatchObject({ code: 'INPUT_FULL' });
    expect(refusal.input_next).toBeGreaterThan(1_900_000);
    writeFileSync(go, '');
    const digest = createHash('sha256').update(all).digest('hex');
    await until(() => {
      if (link.text.includes(digest)) return true;
      const told = link.messages.splice(0);
      const next = Math.max(...told.map((message) => ('input_next' in message ? (message.input_next ?? 0) : 0)), 0);
      if (told.some(({ type }) => type === 'error')) send(next);
      return false;
    }, 'all of it was read');
    await link.end();
  });

  it('in a great many tiny pieces, to a program that reads nothing, holds up nobody', async () => {
    const { id } = await runner.startSession(['sh', '-c', 'stty raw -echo; printf ready:; sleep 600']);
    await runner.shows(id, 'ready:');
    const link = await runner.link();
    await link.attach(id);
    const key = Buffer.from('x');
    for (let index = 0; index < 500_000; index++) link.typeAt(0, key);
    await until(() => link.socket.writableLength === 0, 'all of it was taken', 60_000);
    await runner.kill(id);
    expect((await runner.info()).pid).toBe(runner.pid);
  }, 120_000);

  it('is acknowledged to a writer who counts, one message for many keystrokes, and to nobody else', async () => {
    const id = await startEcho();
    const link = await runner.link();
    await link.attach(id, { writer_id: 'w' });
    link.socket.cork(); // as one, also where this process is held up in between
    for (const key of 'hello') link.type(key);
    link.socket.uncork();
    expect(await link.message('input_ack')).toEqual({ type: 'input_ack', input_next: 5 });
    expect(link.messages.filter(({ type }) => type === 'input_ack')).toHaveLength(1);
    link.close();
    const uncounted = await runner.link();
    await uncounted.attach(id);
    uncounted.type(' world');
    await uncounted.shows('world');
    await setTimeout(300);
    expect(uncounted.messages.map(({ type }) => type)).not.toContain('input_ack');
    await runner.kill(id);
  });

  it('a megabyte at once arrives whole', async () => {
    const { id } = await runner.startSession([
      'sh',
      '-c',
      'stty raw -echo; printf ready:; head -c 1000000 | sha256sum',
    ]);
    await runner.shows(id, 'ready:');
    const link = await runner.link();
    await link.attach(id);
    link.type('0123456789'.repeat(100_000));
    await link.end();
    expect(link.text).toContain(createHash('sha256').update('0123456789'.repeat(100_000)).digest('hex'));
  });
});

describe('viewers and the controller', () => {
  it('a viewer sees everything and changes nothing', async () => {
    const id = await startEcho();
    const [controller, viewer] = [await runner.link(), await runner.link()];
    await controller.attach(id, { cols: 100, rows: 30 });
    expect(await viewer.attach(id, { mode: 'controller', cols: 50, rows: 10 })).toMatchObject({
      mode: 'viewer',
      cols: 100,
      rows: 30,
    });
    viewer.type('evil');
    viewer.send({ type: 'resize', cols: 10, rows: 10 });
    await until(() => errors(viewer).length === 2, 'both are refused');
    expect(errors(viewer)).toEqual(['NOT_CONTROLLER', 'NOT_CONTROLLER']);
    controller.type('good');
    await viewer.shows('good');
    expect(viewer.text).toBe('ready:good');
    expect(await runner.session(id)).toMatchObject({ cols: 100, rows: 30 });
    await runner.kill(id);
  });

  it('who may only view never becomes controller, even when nobody is', async () => {
    const id = await startEcho();
    const viewer = await runner.link();
    expect(await viewer.attach(id, { may_control: false, mode: 'controller' })).toMatchObject({ mode: 'viewer' });
    viewer.send({ type: 'take_control' });
    expect(await viewer.message('error')).toMatchObject({ code: 'PERMISSION_DENIED' });
    await runner.kill(id);
  });

  it('control is taken over, and both are told', async () => {
    const id = await startEcho();
    const [first, second] = [await runner.link(), await runner.link()];
    await first.attach(id);
    expect(await second.attach(id, { mode: 'viewer' })).toMatchObject({ mode: 'viewer' });
    second.send({ type: 'take_control' });
    expect(await second.message('mode_changed')).toMatchObject({ mode: 'controller', reason: 'taken' });
    expect(await first.message('mode_changed')).toMatchObject({ mode: 'viewer', reason: 'taken_over' });
    second.type('mine');
    await second.shows('mine');
    first.type('not mine');
    expect(await first.message('error')).toMatchObject({ code: 'NOT_CONTROLLER' });
    await runner.kill(id);
  });

  it('when the controller leaves nobody is promoted, and the next who wants it gets it', async () => {
    const id = await startEcho();
    const [first, viewer] = [await runner.link(), await runner.link()];
    await first.attach(id);
    await viewer.attach(id);
    first.close();
    // Nobody else has it then, or this one would not get it.
    const next = await attachAsController(id);
    viewer.type('x');
    expect(await viewer.message('error')).toMatchObject({ code: 'NOT_CONTROLLER' });
    next.type('typed');
    await next.shows('typed');
    await runner.kill(id);
  });
});

describe('the size', () => {
  it('is the controller’s, and a burst of sizes ends with the last', async () => {
    // No shell's trap: a signal that comes while it runs may be forgotten.
    const tell = "const { stdout: o } = process; o.on('resize', () => console.log(o.rows + ' ' + o.columns));";
    const script = `${tell} console.log('ready'); setInterval(() => 0, 1000);`;
    const { id } = await runner.startSession([process.execPath, '-e', script]);
    const link = await runner.link();
    await link.attach(id, { from: 0, cols: 120, rows: 40 });
    await link.shows('ready');
    for (let cols = 1; cols <= 300; cols++) link.send({ type: 'resize', cols, rows: 50 });
    await link.shows('50 300');
    // One at once, and one for every 16 ms that the burst took at most.
    expect((link.text.match(/^50 /gm) ?? []).length).toBeLessThan(100);
    link.send({ type: 'resize', cols: 1001, rows: 50 });
    expect(await link.message('error')).toMatchObject({ code: 'INVALID_ARGUMENT' });
    await runner.resize(id, 90, 20);
    await link.shows('20 90');
    await runner.kill(id);
  });
});

describe('attaching', () => {
  it('is refused to an unknown session, another epoch, or an offset that is not there yet', async () => {
    const id = await startEcho();
    const cases = [
      [{ session: '0190f3b2-0000-7000-8000-000000000000' }, 'NOT_FOUND'],
      [{ epoch: 'other' }, 'EPOCH_CHANGED'],
      [{ from: 1000 }, 'OFFSET_OUT_OF_RANGE'],
      [{ cols: 0, rows: 1 }, 'INVALID_ARGUMENT'],
    ] as const;
    for (const [rest, code] of cases) {
      const link = await runner.link();
      link.send({ type: 'attach', session: id, channel: 0, user: 'ada', may_control: true, ...rest });
      expect(await link.message('refused')).toMatchObject({ code });
      await link.end();
    }
    await runner.kill(id);
  });

  it('is possible for many at once, but not for any number', async () => {
    const id = await startEcho();
    const links = await Promise.all(Array.from({ length: MAX_ATTACHMENTS }, () => runner.link()));
    await Promise.all(links.map((link) => link.attach(id)));
    const tooMany = await runner.link();
    tooMany.send({ type: 'attach', session: id, channel: 0, user: 'ada', may_control: true });
    expect(await tooMany.message('refused')).toMatchObject({ code: 'ATTACHMENT_LIMIT' });
    links[0]?.type('all see it');
    await Promise.all(links.map((link) => link.shows('all see it')));
    await runner.kill(id);
    await Promise.all(links.map((link) => link.message('process_exited')));
  });

  it('stamps the channel asked for into the frames', async () => {
    const id = await startEcho();
    const link = await runner.link();
    const channels: number[] = [];
    link.onHeader = (header) => channels.push(header.channel);
    await link.attach(id, { channel: 513 });
    await link.shows('ready:');
    expect(new Set(channels)).toEqual(new Set([513]));
    await runner.kill(id);
  });

  it('with garbage ends the connection, and nothing else', async () => {
    const id = await startEcho();
    for (const garbage of [
      'GET / HTTP/1.1\r\n\r\n',
      '\x81\x01{',
      '\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff',
      '\x82\x02xx',
    ]) {
      const socket = connect(join(runner.directory, 'bytes.sock'));
      let closed = false;
      socket
        .on('error', () => undefined)
        .on('close', () => (closed = true))
        .resume();
      socket.write(Buffer.from(garbage, 'latin1'));
      await until(() => closed, 'the connection ends');
    }
    const link = await runner.link();
    await link.attach(id);
    link.send({ type: 'attach', session: id, channel: 0, user: 'ada', may_control: true }); // twice is one too many
    await link.end();
    expect(await runner.session(id)).toMatchObject({ state: 'running' });
    await runner.kill(id);
  });
});
