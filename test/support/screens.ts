/** What a person sees in a terminal, as lines of text that can be compared. */
import type { IBuffer, IBufferCell, Terminal } from '@xterm/headless';
import { linkOf, linkSequence, penOf, sgrOf } from '../../src/runner/screen/attributes.js';
import {
  type Attributes,
  type BufferState,
  createEmulator,
  type EmulatorState,
  feed,
  stateOf,
} from '../../src/runner/screen/emulator.js';

/** A terminal that has shown these bytes. */
export async function shown(size: { cols: number; rows: number }, ...pieces: Uint8Array[]): Promise<Terminal> {
  const terminal = createEmulator(size.cols, size.rows);
  for (const piece of pieces) await feed(terminal, piece);
  return terminal;
}

/** Cells, colours, wraps, both buffers, cursor, saved cursor, margins, tab stops, character sets, modes, title. */
export function look(terminal: Terminal): string[] {
  const { normal, alternate, active } = terminal.buffer;
  const state = stateOf(terminal);
  const alternated = active.type === 'alternate';
  return [
    ...lines(terminal, normal),
    ...(alternated ? lines(terminal, alternate) : []),
    `cursor ${active.cursorX},${active.cursorY} ${active.type} hidden ${String(state.coreService.isCursorHidden)}`,
    `normal ${place(state.buffers.normal)}`,
    alternated ? `alternate ${place(state.buffers.alt)}` : '',
    `modes ${JSON.stringify(terminal.modes)} mouse ${state.coreMouseService.activeEncoding}`,
    `style ${JSON.stringify(state.coreService.decPrivateModes)}`,
    `title ${state._inputHandler._windowTitle} pen ${penOf(state._inputHandler._curAttrData)}`,
    `charsets ${charsets(state)}`,
    `tabs ${tabs(alternated ? state.buffers.alt : state.buffers.normal, terminal.cols)}`,
  ];
}

function lines(terminal: Terminal, buffer: IBuffer): string[] {
  return Array.from({ length: buffer.length }, (_, row) => {
    const line = buffer.getLine(row);
    // Whether the very first line goes on a line that is gone can be seen by nobody.
    const mark = line?.isWrapped === true && row > 0 ? '>' : ' ';
    return (
      mark +
      Array.from({ length: terminal.cols }, (__, col) => cellText(line?.getCell(col), stateOf(terminal)))
        .join('')
        .trimEnd()
    );
  });
}

function cellText(cell: IBufferCell | undefined, state: EmulatorState): string {
  if (cell === undefined || cell.getWidth() === 0) return '';
  const text = cell.getChars();
  if (text === '') return cell.isBgDefault() ? ' ' : `{${cell.getBgColorMode()}:${cell.getBgColor()}}`;
  const attributes = cell as IBufferCell & Attributes;
  const sgr = sgrOf(attributes);
  const link = linkOf(attributes, state);
  return text + (sgr === '\x1b[0m' ? '' : `{${sgr.slice(2)}}`) + (link === 0 ? '' : linkSequence(link, state));
}

const place = (buffer: BufferState): string =>
  [
    ...[buffer.x, buffer.y, buffer.ybase, buffer.scrollTop, buffer.scrollBottom, buffer.savedX],
    ...[Math.max(0, buffer.savedY - buffer.ybase), penOf(buffer.savedCurAttrData)],
  ].join();

/** A restored cursor brings its character set along without designating it: what is in force counts. */
function charsets({ _charsetService: { glevel, _charsets, charset } }: EmulatorState): string {
  const sets = [0, 1, 2, 3].map((slot) => (slot === glevel ? charset : _charsets[slot]));
  return `${glevel} ${sets.map((set) => String(set?.['q'] === '─')).join()}`;
}

const tabs = ({ tabs: set }: BufferState, cols: number): string =>
  Object.keys(set)
    .filter((col) => Number(col) < cols)
    .join();
