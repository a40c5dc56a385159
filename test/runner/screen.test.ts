/** A snapshot shows what the output would have shown. */
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { lastCut } from '../../src/runner/screen/cut.js';
import { createEmulator } from '../../src/runner/screen/emulator.js';
import { render, type Screen, type SizeChange } from '../../src/runner/screen/render.js';
import { look, shown } from '../support/screens.js';

const SIZE = { cols: 40, rows: 10 };
/** The same outputs every time, others on demand. */
const SEED = Number(process.env['PROPERTY_SEED'] ?? 1);
const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 150);
const blank: Screen = { offset: 0, ...SIZE, data: new Uint8Array() };
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

const letters = (text: string): fc.Arbitrary<string> => fc.constantFrom(...Array.from(text));
const csi = (finals: string): fc.Arbitrary<string> =>
  fc.tuple(fc.integer({ min: 0, max: 12 }), letters(finals)).map(([n, final]) => `\x1b[${n}${final}`);
const oneOf = (...texts: string[]): fc.Arbitrary<string> => fc.constantFrom(...texts);

/** What programs write, each kind as often as the others. */
const piece = fc.oneof(
  fc.string({ minLength: 1, maxLength: 30, unit: letters('abc def') }),
  fc.integer({ min: 1, max: 90 }).map((length) => 'x'.repeat(length)),
  oneOf('漢字', 'テスト', '😀', 'e\u0301', 'a\u0308o', 'é', '\u00a0'),
  oneOf('\r\n', '\n', '\r', '\t', '\b', '\x0e', '\x0f'),
  oneOf('0', '1', '1;2', '22', '3', '4', '4:3', '7', '9', '53', '31', '92', '42', '38;5;123', '48;2;1;2;3', '49').map(
    (codes) => `\x1b[${codes}m`,
  ),
  oneOf('58:2::1:2:3', '58:5:9', '39', '24', '27').map((codes) => `\x1b[${codes}m`),
  fc.tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 44 })).map(([row, col]) => `\x1b[${row};${col}H`),
  csi('ABCDGdEFXPLMST@b'),
  oneOf('\x1b[J', '\x1b[2J', '\x1b[3J', '\x1b[K', '\x1b[1K', '\x1b[2K'),
  oneOf('\x1b[3;7r', '\x1b[2;9r', '\x1b[r', '\x1bM', '\x1bD', '\x1bE'),
  oneOf('\x1b7', '\x1b8', '\x1b[s', '\x1b[u'),
  oneOf('\x1b(0', '\x1b(B', '\x1b)0', '\x1b)B'),
  oneOf('\x1b[?1049h', '\x1b[?1049l', '\x1b[?47h', '\x1b[?47l', '\x1b[?1047h', '\x1b[?1047l'),
  fc
    .tuple(oneOf('1', '6', '7', '25', '45', '66', '1000', '1002', '1003', '1004', '1006', '2004'), oneOf('h', 'l'))
    .map(([mode, set]) => `\x1b[?${mode}${set}`),
  oneOf('\x1b[4h', '\x1b[4l', '\x1b=', '\x1b>', '\x1b[!p', '\x1bc'),
  oneOf('\x1bH', '\x1b[g', '\x1b[3g', '\x1b[3 q', '\x1b[6 q', '\x1b[0 q'),
  oneOf(
    '\x1b]0;a title\x07',
    '\x1b]2;another\x1b\\',
    '\x1bPabc\x1b\\',
    '\x1b]8;;http://x\x1b\\',
    '\x1b]8;id=1;http://y\x1b\\',
    '\x1b]8;;\x1b\\',
    '\x1b_apc\x1b\\',
  ),
);
const program = fc.array(piece, { minLength: 1, maxLength: 60 }).map((pieces) => bytesOf(pieces.join('')));

/** The emulator itself fails on some sequences: such output has no screen, here or elsewhere. */
function survives(output: Uint8Array): boolean {
  const terminal = createEmulator(SIZE.cols, SIZE.rows) as unknown as { _core: { writeSync(data: Uint8Array): void } };
  try {
    terminal._core.writeSync(output);
    return true;
  } catch {
    return false;
  }
}

const from = (base: Screen, output: Uint8Array, resizes: SizeChange[] = []): Promise<Screen> =>
  render({ base, from: base.offset, output: output.subarray(base.offset), skipped: null, resizes });

describe('a snapshot', () => {
  it('at any place, followed by the rest, shows what all of the output shows', async () => {
    await fc.assert(
      fc.asyncProperty(program, fc.double({ min: 0, max: 1, noNaN: true }), async (output, part) => {
        fc.pre(survives(output));
        const screen = await from(blank, output.subarray(0, Math.round(part * output.length)));
        expect(screen.offset).toBeLessThanOrEqual(Math.round(part * output.length));
        const resumed = await shown(SIZE, screen.data, output.subarray(screen.offset));
        expect(look(resumed)).toEqual(look(await shown(SIZE, output)));
      }),
      { seed: SEED, numRuns: RUNS },
    );
  }, 600_000);

  it('made from an earlier one is the same as one made from the beginning', async () => {
    await fc.assert(
      fc.asyncProperty(program, fc.array(fc.nat(), { minLength: 1, maxLength: 4 }), async (output, places) => {
        fc.pre(survives(output));
        let screen = blank;
        for (const place of places.map((at) => at % (output.length + 1)).toSorted((a, b) => a - b)) {
          if (place > screen.offset) screen = await from(screen, output.subarray(0, place));
        }
        const resumed = await shown(SIZE, screen.data, output.subarray(screen.offset));
        expect(look(resumed)).toEqual(look(await shown(SIZE, output)));
      }),
      { seed: SEED, numRuns: RUNS },
    );
  }, 600_000);

  it('is of the size that the terminal had last, and each size counts from its place on', async () => {
    const output = bytesOf(`${'a'.repeat(60)}\r\n${'b'.repeat(60)}\r\n\x1b[1;1Hc\r\n`);
    const screen = await from(blank, output, [
      { offset: 62, cols: 60, rows: 10 },
      { offset: output.length, cols: 30, rows: 8 },
    ]);
    expect(screen).toMatchObject({ cols: 30, rows: 8 });
    const direct = createEmulator(40, 10);
    for (const [cols, rows, begin, end] of [[60, 10, 0, 62] as const, [30, 8, 62, undefined] as const]) {
      await new Promise<void>((done) => {
        direct.write(output.subarray(begin, end), done);
      });
      direct.resize(cols, rows);
    }
    const resumed = await shown({ cols: 30, rows: 8 }, screen.data);
    expect(look(resumed).filter((line) => line.trim() !== '')).toEqual(
      look(direct).filter((line) => line.trim() !== ''),
    );
  });

  it('after a flood that nobody could follow has its end, and the modes set before and in it', async () => {
    const flood = Array.from({ length: 5000 }, (_, line) => `line ${line}`).join('\r\n');
    const before = await from(blank, bytesOf('\x1b[?2004h\x1b]0;kept\x07old text\r\n'));
    const skipped = bytesOf(`${flood}\x1b[?1h${flood}\x1b[?1002h\x1b[?1006h`);
    const output = bytesOf(`cut off\r\n${flood}\r\n`);
    const screen = await render({ base: before, from: 5_000_000, output, skipped, resizes: [] });
    expect(screen.offset).toBe(5_000_000 + output.length);
    const terminal = await shown(SIZE, screen.data);
    const seen = look(terminal);
    expect(seen.join('\n')).not.toMatch(/old text|cut off/);
    expect(seen.join('\n')).toContain('line 4999');
    expect(terminal.modes).toMatchObject({
      ...{ bracketedPasteMode: true, applicationCursorKeysMode: true, mouseTrackingMode: 'drag' },
    });
    expect(seen.join('\n')).toContain('mouse SGR');
    expect(seen.join('\n')).toContain('title kept');
  });

  it('leaves out the scrollback when a screen is too colourful to be kept, and gives up where that is not enough', async () => {
    const cell = (index: number): string => `\x1b[38;2;${index % 256};${index % 251};${index % 241}mX`;
    const line = Array.from({ length: 500 }, (_, col) => cell(col)).join('');
    const wide = { offset: 0, cols: 500, rows: 50, data: new Uint8Array() };
    const screen = await from(wide, bytesOf(`${line}\r\n`.repeat(200)));
    expect(screen.data.length).toBeLessThan(1024 * 1024);
    expect((await shown(wide, screen.data)).buffer.normal.length).toBe(50);
    const tall = { ...wide, rows: 500 };
    await expect(from(tall, bytesOf(`${line}\r\n`.repeat(500)))).rejects.toThrow('too colourful');
  });
});

describe('output is cut', () => {
  it('only where nothing is unfinished: sequences, strings, characters and the text that a mark could join', () => {
    const cases: [string, number][] = [
      ['', 0],
      ['abc', 0],
      ['abc\r\n', 5],
      ['abc\r\nprompt$ ', 5],
      ['\x1b[1mx', 4],
      ['a\r\n\x1b[1', 3],
      ['a\r\n\x1b', 3],
      ['a\r\n\x1b]0;title', 3],
      ['a\r\n\x1b]0;title\x07', 13],
      ['a\r\n\x1b]0;ti\x1b', 3],
      ['a\r\n\x1b]0;ti\x1b\\', 11],
      ['a\r\n\x1bPq\n\n\n', 3],
      ['a\r\n\x1b[1\x18', 7],
      ['a\r\n\x1b(', 3],
      ['a\r\n\x1b(0', 6],
      ['a\r\n\u009b1', 3],
      ['a\r\n\u009b1m', 7],
    ];
    for (const [text, cut] of cases) expect([text, lastCut(bytesOf(text))]).toEqual([text, cut]);
  });

  it('at a whole character where there is nothing but text for long', () => {
    const text = bytesOf('漢'.repeat(1000));
    expect(lastCut(text)).toBe(3000);
    expect(lastCut(text.subarray(0, 2999))).toBe(2997);
    expect(lastCut(text.subarray(0, 2998))).toBe(2997);
  });
});
