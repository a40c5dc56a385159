import type { Terminal } from '@xterm/headless';
import { lastCut } from './cut.js';
import { createEmulator, feed, SCROLLBACK_LINES } from './emulator.js';
import { settingsIn } from './settings.js';
import { snapshotOf } from './snapshot.js';

/** A session's screen at an offset of its output. */
export interface Screen {
  /** Everything before it is on the screen, nothing after it. */
  readonly offset: number;
  readonly cols: number;
  readonly rows: number;
  /** What puts a reset terminal of this size into this state; empty for one that shows nothing yet. */
  readonly data: Uint8Array;
}

/** The terminal got another size when so much had been written. */
export interface SizeChange {
  readonly offset: number;
  readonly cols: number;
  readonly rows: number;
}

/** What a screen is made from. */
export interface RenderJob {
  /** An earlier screen of the session. */
  readonly base: Screen;
  /** The output from `from` on, to the end. */
  readonly output: Uint8Array;
  readonly from: number;
  /**
   * Output was left out between the base and `output`: more than can be gone through in time. Of it, what is retained:
   * its modes are honoured, its text has scrolled away.
   */
  readonly skipped: Uint8Array | null;
  readonly resizes: readonly SizeChange[];
}

/** The base's modes stay, its text goes: it has scrolled away. */
const CLEAR = Buffer.from('\x1b[0m\x1b[r\x1b[H\x1b[2J\x1b[3J');
/** After a gap output begins in the middle of anything: the next line does not. */
const MAX_FIRST_LINE = 64 * 1024;
const MAX_SCREEN_BYTES = 1024 * 1024;
/** A screen full of pictures in colours of 24 bits. */
const MAX_VISIBLE_BYTES = 4 * 1024 * 1024;

/**
 * Goes through the output and makes the screen it leads to, at the last place where the output can be cut.
 * @returns a screen whose offset is at most some hundred bytes before the end, more within a long control string
 * @throws RangeError when the screen cannot be told in some mebibytes
 */
export async function render(job: RenderJob): Promise<Screen> {
  const terminal = createEmulator(job.base.cols, job.base.rows);
  try {
    return await renderOn(terminal, job);
  } finally {
    terminal.dispose();
  }
}

async function renderOn(terminal: Terminal, { base, output, from, skipped, resizes }: RenderJob): Promise<Screen> {
  await feed(terminal, base.data);
  let start = 0;
  if (skipped !== null) {
    await feed(terminal, CLEAR);
    await feed(terminal, settingsIn(skipped));
    start = secondLine(output);
  }
  const end = start + lastCut(output.subarray(start));
  let at = start;
  for (const { offset, cols, rows } of resizes) {
    const until = Math.min(Math.max(offset - from, at), end);
    await feed(terminal, output.subarray(at, until));
    at = until;
    terminal.resize(cols, rows);
  }
  await feed(terminal, output.subarray(at, end));
  return { offset: from + end, cols: terminal.cols, rows: terminal.rows, data: drawn(terminal) };
}

/** Every session keeps its last one, so it is bounded: without the scrollback, when that would be too much. */
function drawn(terminal: Terminal): Uint8Array {
  const whole = new TextEncoder().encode(snapshotOf(terminal, SCROLLBACK_LINES));
  if (whole.length <= MAX_SCREEN_BYTES) return whole;
  const visible = new TextEncoder().encode(snapshotOf(terminal, 0));
  if (visible.length <= MAX_VISIBLE_BYTES) return visible;
  throw new RangeError('The screen is too colourful to be told.');
}

function secondLine(output: Uint8Array): number {
  return output.subarray(0, MAX_FIRST_LINE).indexOf(0x0a) + 1;
}
