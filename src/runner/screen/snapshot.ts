import type { IBuffer, IBufferCell, IModes, Terminal } from '@xterm/headless';
import { designation, linkOf, linkSequence, penOf, printable, sgrOf } from './attributes.js';
import { type Attributes, type BufferState, type EmulatorState, stateOf } from './emulator.js';
import { paint } from './paint.js';

const MAX_TITLE = 1024;
const PLAIN = '\x1b[0m';
const TAB_WIDTH = 8;
const CURSOR_STYLES: Readonly<Record<string, number>> = { block: 1, underline: 3, bar: 5 };
const MOUSE_MODES: Readonly<Record<string, number>> = { x10: 9, vt200: 1000, drag: 1002, any: 1003 };
const MOUSE_ENCODINGS: Readonly<Record<string, number>> = { SGR: 1006, SGR_PIXELS: 1016 };

/**
 * The text that puts a reset terminal of the same size into the state of this one: both screens, scrollback, colours,
 * cursor, saved cursor, hyperlinks, margins, tab stops, character sets, modes and title. Changed palettes are not kept.
 * @param scrollback lines above the screen that are kept at most
 */
export function snapshotOf(terminal: Terminal, scrollback: number): string {
  const state = stateOf(terminal);
  const { normal, alternate, active } = terminal.buffer;
  const { cols } = terminal;
  const first = Math.max(0, normal.length - terminal.rows - scrollback);
  let text = `${paint(normal, cols, first, state)}${savedCursor(normal, cols, state.buffers.normal)}`;
  const alternated = active.type === 'alternate';
  if (alternated) {
    text += margins(terminal, state.buffers.normal);
    text += moveTo(normal, cols, state.buffers.normal.x, state.buffers.normal.y, 0);
    text += `\x1b[?47h\x1b[H${paint(alternate, cols, 0, state)}${savedCursor(alternate, cols, state.buffers.alt)}`;
  }
  const buffer = alternated ? state.buffers.alt : state.buffers.normal;
  return text + setUp(terminal, state, buffer) + cursor(terminal, active, buffer, state);
}

/** What holds for both screens, except what would be in the way of placing the cursor. */
function setUp(terminal: Terminal, state: EmulatorState, buffer: BufferState): string {
  const { cursorStyle, cursorBlink } = state.coreService.decPrivateModes;
  const style = cursorStyle === undefined ? undefined : CURSOR_STYLES[cursorStyle];
  return [
    tabStops(terminal, buffer),
    state._inputHandler._windowTitle === '' ? '' : `\x1b]0;${titleOf(state)}\x07`,
    style === undefined ? '' : `\x1b[${cursorBlink === false ? style + 1 : style} q`,
    margins(terminal, buffer),
    modes(terminal.modes, state),
  ].join('');
}

function modes(set: IModes, state: EmulatorState): string {
  const encoding = MOUSE_ENCODINGS[state.coreMouseService.activeEncoding];
  const mouse = MOUSE_MODES[set.mouseTrackingMode];
  const codes = [
    ...(set.applicationCursorKeysMode ? [1] : []),
    ...(set.applicationKeypadMode ? [66] : []),
    ...(set.reverseWraparoundMode ? [45] : []),
    ...(mouse === undefined ? [] : [mouse]),
    ...(set.sendFocusMode ? [1004] : []),
    ...(encoding === undefined ? [] : [encoding]),
    ...(set.bracketedPasteMode ? [2004] : []),
    // It moves the cursor to its home, which is placed afterwards.
    ...(set.originMode ? [6] : []),
  ];
  return codes.map((code) => `\x1b[?${code}h`).join('') + (state.coreService.isCursorHidden ? '\x1b[?25l' : '');
}

/** The cursor's place and what it prints with; last come the modes that would change how that is done. */
function cursor(terminal: Terminal, active: IBuffer, buffer: BufferState, state: EmulatorState): string {
  const { cols, modes: set } = terminal;
  const top = set.originMode ? buffer.scrollTop : 0;
  const late = `${set.insertMode ? '\x1b[4h' : ''}${set.wraparoundMode ? '' : '\x1b[?7l'}`;
  const pen = state._inputHandler._curAttrData;
  const link = linkOf(pen, state);
  const place = moveTo(active, cols, buffer.x, buffer.y, top);
  return place + charsets(state) + penOf(pen) + (link === 0 ? '' : linkSequence(link, state)) + late;
}

function savedCursor(view: IBuffer, cols: number, buffer: BufferState): string {
  const row = Math.max(0, buffer.savedY - buffer.ybase);
  const charset = designation(buffer.savedCharset);
  const [shift, back] = charset === 'B' ? ['', ''] : [`\x1b(${charset}`, '\x1b(B'];
  const place = moveTo(view, cols, buffer.savedX, row, 0);
  return `${place}${penOf(buffer.savedCurAttrData)}${shift}\x1b7${back}${PLAIN}`;
}

/**
 * Moves the cursor. Behind the last column, where it is when the next character will wrap, it gets only by printing the
 * character that is there once more.
 * @param top the row that rows are counted from
 */
function moveTo(view: IBuffer, cols: number, x: number, y: number, top: number): string {
  const at = (col: number): string => `\x1b[${y - top + 1};${col + 1}H`;
  if (x < cols) return at(x);
  const line = view.getLine(view.baseY + y);
  const last = line?.getCell(cols - 1);
  const col = last?.getWidth() === 0 ? cols - 2 : cols - 1;
  const cell = line?.getCell(col) as (IBufferCell & Attributes) | undefined;
  return cell === undefined ? at(cols - 1) : `${at(col)}${sgrOf(cell)}${cell.getChars() || ' '}${PLAIN}`;
}

function margins(terminal: Terminal, { scrollTop, scrollBottom }: BufferState): string {
  if (scrollTop === 0 && scrollBottom === terminal.rows - 1) return '';
  return `\x1b[${scrollTop + 1};${scrollBottom + 1}r`;
}

function tabStops(terminal: Terminal, { tabs }: BufferState): string {
  const columns = Array.from({ length: terminal.cols }, (_, col) => col);
  const isUsual = columns.every((col) => (tabs[col] === true) === (col % TAB_WIDTH === 0));
  if (isUsual) return '';
  return `\x1b[3g${columns.flatMap((col) => (tabs[col] === true ? [`\x1b[${col + 1}G\x1bH`] : [])).join('')}`;
}

function charsets(state: EmulatorState): string {
  const { glevel, _charsets, charset: inForce } = state._charsetService;
  const designated = ['(', ')', '*', '+'].flatMap((slot, index) => {
    const charset = designation(index === glevel ? inForce : _charsets[index]);
    return charset === 'B' ? [] : [`\x1b${slot}${charset}`];
  });
  const shift = ['', '\x0e', '\x1bn', '\x1bo'][glevel] ?? '';
  return designated.join('') + shift;
}

const titleOf = (state: EmulatorState): string => printable(state._inputHandler._windowTitle).slice(0, MAX_TITLE);
