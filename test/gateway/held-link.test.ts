import '../support/nest-first.js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { pino } from 'pino';
import type { AuthorizationService } from '../../src/authorization/authorization.service.js';
import { encodeControlFrame, encodeDataFrame, type Frame, FrameType, outputLength } from '../../src/kernel/frame.js';
import { type CallerContext, systemContext } from '../../src/kernel/request-context.js';
import { Attachment } from '../../src/pty/attachment.js';
import { deliverTo } from '../../src/pty/attachment-output.js';
import type { ByteLink } from '../../src/runner-link/byte-link.js';
import { WsConnection } from '../../src/transport/ws-connection.js';
import { pause, until } from '../support/gateway.js';
import { ScriptedLinkServer } from '../support/scripted-link.js';
import { wsPair } from '../support/ws-pair.js';

const FRAME_BYTES = 16 * 1024;
const FRAMES = 512;
const MIB = 1024 * 1024;

/** An attachment of somebody who may do everything. */
function attachmentOn(link: ByteLink): Attachment {
  const allow = { require: () => undefined, decide: () => ({ allow: true }) } as unknown as AuthorizationService;
  const context = systemContext() as CallerContext;
  const resource = {} as ConstructorParameters<typeof Attachment>[1];
  return new Attachment(context, resource, link, true, allow, () => undefined);
}

describe('output that came with the answer to an attach', () => {
  let runner: ScriptedLinkServer;

  beforeAll(async () => {
    runner = await ScriptedLinkServer.start();
    const frames = Array.from({ length: FRAMES }, (_, index) =>
      encodeDataFrame(
        { type: FrameType.output, flags: 0, channel: 0, offset: index * FRAME_BYTES },
        Buffer.alloc(FRAME_BYTES, 'x'),
      ),
    );
    runner.rest = Buffer.concat(frames);
  });
  afterAll(() => runner.stop());

  /** Listens; `onFirst` is called with the first frame. @returns how many bytes were delivered so far */
  const listen = (link: ByteLink, onFirst: () => void): (() => number) => {
    let delivered = 0;
    link.listen({
      onData: (frame: Frame) => {
        if (delivered === 0) onFirst();
        delivered += outputLength(frame);
      },
      onControl: () => undefined,
      onClose: () => undefined,
    });
    return () => delivered;
  };

  it('is enough to fill a client, and then nothing more is read until it has room', async () => {
    const held = await runner.attach();
    const heldBytes = listen(held, () => {
      held.pause();
    });
    const atOnce = heldBytes();
    expect(atOnce).toBeGreaterThan(0);
    // Another link is given everything meanwhile: the held one would have been, too.
    const free = await runner.attach();
    const freeBytes = listen(free, () => undefined);
    await until('all of it on the other link', () => freeBytes() === FRAMES * FRAME_BYTES);
    expect(heldBytes()).toBe(atOnce);
    held.resume();
    await until('all of it, late', () => heldBytes() === FRAMES * FRAME_BYTES);
    held.close();
    free.close();
  });
});

describe('an attachment', () => {
  let runner: ScriptedLinkServer;

  beforeAll(async () => {
    runner = await ScriptedLinkServer.start();
  });
  afterAll(() => runner.stop());

  it.each([
    ['acknowledgements', (attachment: Attachment, index: number) => attachment.ack(index)],
    ['sizes', (attachment: Attachment, index: number) => attachment.resize(80 + (index % 2), 24)],
    ['requests for control', (attachment: Attachment) => attachment.takeControl()],
  ])('whose runner takes none of its %s has its client wait, not the memory', async (_what, send) => {
    [runner.deaf, runner.rest] = [true, Buffer.alloc(0)];
    const attachment = attachmentOn(await runner.attach());
    attachment.start({ onData: () => undefined, onControl: () => undefined, onClose: () => undefined });
    // Awaited one after the other, as the requests of one client are.
    let sent = 0;
    const sending = (async () => {
      for (; sent < 200_000; sent += 1) await send(attachment, sent);
    })();
    let last = -1;
    await until('it to wait', async () => {
      const same = sent === last;
      last = sent;
      await pause(300);
      return same;
    });
    expect(last).toBeLessThan(100_000);
    runner.readOn();
    await until('it to go on', () => sent > last);
    attachment.close();
    await sending;
  });

  it('whose client reads nothing is not told all the news that others make', async () => {
    const news = encodeControlFrame({ type: 'participants', participants: 'x'.repeat(8000), total: 1 });
    [runner.deaf, runner.rest] = [false, Buffer.concat(Array<Buffer>(4000).fill(news))];
    const pair = await wsPair();
    const url = new URL('ws://gateway/ws/pty');
    const connection = new WsConnection(pair.client, pair.wire, systemContext(), url, pino({ level: 'silent' }));
    const attachment = attachmentOn(await runner.attach());
    deliverTo(connection, 0, attachment, () => undefined);
    let last = -1;
    await until('no more to come', async () => {
      const same = pair.wire.writableLength > MIB && pair.wire.writableLength === last;
      last = pair.wire.writableLength;
      await pause(300);
      return same;
    });
    expect(last).toBeLessThan(3 * MIB);
    let received = 0;
    pair.peer.on('data', ({ length }: Buffer) => (received += length)).resume();
    await until('all of it, late', () => received > runner.rest.length);
    attachment.close();
    pair.end();
  });
});
