import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { encodeDataFrame, type Frame, FrameType, outputLength } from '../../src/kernel/frame.js';
import type { ByteLink } from '../../src/runner-link/byte-link.js';
import { until } from '../support/gateway.js';
import { ScriptedLinkServer } from '../support/scripted-link.js';

const FRAME_BYTES = 16 * 1024;
const FRAMES = 512;

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
