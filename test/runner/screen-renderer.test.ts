/** The thread that makes screens, with output that is made to harm it. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RenderJob, Screen } from '../../src/runner/screen/render.js';
import { ScreenRenderer } from '../../src/runner/screen/renderer.js';
import { settingsIn } from '../../src/runner/screen/settings.js';
import { createEmulator, feed } from '../../src/runner/screen/emulator.js';

const BUILT = pathToFileURL(join(import.meta.dirname, '../../dist/src/runner/screen/worker.js'));
const blank: Screen = { offset: 0, cols: 80, rows: 24, data: new Uint8Array() };
const job = (text: string, from = 0): RenderJob => ({
  ...{ base: { ...blank, offset: from }, from, output: new TextEncoder().encode(text), skipped: null, resizes: [] },
});

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gatehouse-renderer-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
});

/** A thread that does something else. */
function threadOf(name: string, code: string): URL {
  const file = join(folder, `${name}.mjs`);
  writeFileSync(file, `import { parentPort } from 'node:worker_threads';\n${code}`);
  return pathToFileURL(file);
}

describe('screens', () => {
  it('are made one after the other, for who waits before what is made in advance', async () => {
    const renderer = new ScreenRenderer(BUILT);
    const order: string[] = [];
    const made = (name: string, urgent: boolean): Promise<unknown> =>
      renderer.render(() => job(`${name}\r\n`), urgent).then(() => order.push(name));
    await Promise.all([made('first', false), made('advance', false), made('client', true)]);
    expect(order).toEqual(['first', 'client', 'advance']);
  });

  it('of output on which the emulator fails are not to be had, and the next one is', async () => {
    const renderer = new ScreenRenderer(BUILT);
    const failing = renderer.render(() => job('\x1b[24;80H\x1b[1J\r\n'), true);
    const next = renderer.render(() => job('fine\r\n'), true);
    await expect(failing).rejects.toThrow();
    expect((await next).offset).toBe(6);
  });

  it('that take too long are given up, and an answer that comes late is nobody else’s', async () => {
    const late = threadOf(
      'late',
      `parentPort.on('message', ({ number, job }) => {
         const answer = { number, screen: { offset: job.from, cols: 80, rows: 24, data: new Uint8Array(1) } };
         if (job.from === 1) { const end = Date.now() + 2600; while (Date.now() < end); }
         parentPort.postMessage(answer);
         if (job.from === 1) parentPort.postMessage(answer);
       });`,
    );
    const renderer = new ScreenRenderer(late);
    const slow = renderer.render(() => job('x', 1), true);
    const other = renderer.render(() => job('x', 2), true);
    const [first, second] = await Promise.allSettled([slow, other]);
    expect(first.status).toBe('rejected');
    expect(second).toMatchObject({ status: 'fulfilled', value: { offset: 2 } });
  });

  it('answered twice go to who asked, once', async () => {
    const twice = threadOf(
      'twice',
      `parentPort.on('message', ({ number, job }) => {
         for (const each of [number, number - 1, number]) {
           parentPort.postMessage({ number: each, screen: { offset: job.from, cols: 80, rows: 24, data: new Uint8Array(1) } });
         }
       });`,
    );
    const renderer = new ScreenRenderer(twice);
    const asked = [1, 2, 3, 4].map((from) => renderer.render(() => job('x', from), true));
    expect((await Promise.all(asked)).map(({ offset }) => offset)).toEqual([1, 2, 3, 4]);
  });

  it('are refused, never waited for, when there is no thread or no output to be had', async () => {
    const none = new ScreenRenderer(new URL('file:///nowhere/at/all.mjs'));
    none.warmUp();
    await expect(none.render(() => job('x'), true)).rejects.toThrow();
    await expect(none.render(() => job('x'), true)).rejects.toThrow();
    const renderer = new ScreenRenderer(BUILT);
    const gone = renderer.render(() => {
      throw new RangeError('offset outside the ring');
    }, true);
    await expect(gone).rejects.toThrow('outside the ring');
    expect((await renderer.render(() => job('fine\r\n'), true)).offset).toBe(6);
  });

  it('take neither for ever nor gigabytes, whatever a program asks for', async () => {
    const marks = `A${'\u0301'.repeat(10_000)}`;
    const before = process.memoryUsage.rss();
    for (const [text, expected] of [
      ['\x1b[2147483647S\x1b[2147483647T\x1b[2147483647L\x1b[2147483647M\x1b[2147483647Ix\r\n', 'x'],
      [`${marks}\x1b[100000b\r\n`, 'A'],
      [`${marks}\x1b[900b\r\n`, 'A'],
      ['ab\x1b[3b\r\n', 'abbbb'],
    ] as const) {
      const terminal = createEmulator(80, 24);
      await feed(terminal, new TextEncoder().encode(text.repeat(text.length < 20 ? 1 : 3)));
      const shown = Array.from({ length: 24 }, (_, row) =>
        terminal.buffer.active.getLine(row)?.translateToString(true),
      );
      expect(
        shown
          .join('\n')
          .normalize()
          .replaceAll(/[\u0301\u00c1]/g, 'A'),
      ).toContain(expected);
    }
    expect(process.memoryUsage.rss() - before).toBeLessThan(400 * 1024 * 1024);
  });
});

describe('the settings in what is skipped', () => {
  const of = (text: string): string => Buffer.from(settingsIn(Buffer.from(text))).toString();

  it('are the last of each kind, however often others change', () => {
    const busy = '\x1b[?25l\x1b[?25h'.repeat(8000);
    expect(of(`a\x1b[?1049h\x1b[?2004hb${busy}c`)).toBe('\x1b[?1049h\x1b[?2004h\x1b[?25h');
    expect(of('\x1b[?1000;1006h\x1b[?1000l\x1b]0;one\x07\x1b]0;two\x07')).toBe('\x1b[?1006h\x1b[?1000l\x1b]0;two\x07');
    expect(of('\x1b[?1h\x1b[2;5r\x1bc\x1b(0\x1b=')).toBe('\x1bc\x1b(0\x1b=');
  });

  it('are bounded', () => {
    const many = Array.from({ length: 100_000 }, (_, mode) => `\x1b[?${String(mode)}h`).join('');
    expect(of(many).length).toBeLessThan(10_000);
  });
});
