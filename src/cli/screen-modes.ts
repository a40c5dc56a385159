/** Modes that a person's own terminal must not be left in: alternate screen, mouse, focus, bracketed paste. */
const LEAVES_MESS = new Set([47, 1047, 1049, 9, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 2004]);
const CURSOR = 25;
/** Longest sequence that is looked for; one cut by the end of a piece goes on in the next. */
const MAX_SEQUENCE = 64;
// eslint-disable-next-line no-control-regex -- escape sequences begin with ESC
const SET_OR_RESET = /\x1b\[\?([\d;]{1,48})([hl])/g;

/** Follows which modes a program has set in the terminal, to reset just those when we leave it. */
export class ScreenModes {
  readonly #set = new Set<number>();
  #cursorHidden = false;
  #tail = '';

  /** Looks at the program's output. */
  see({ buffer, byteOffset, byteLength }: Uint8Array): void {
    const text = this.#tail + Buffer.from(buffer, byteOffset, byteLength).toString('latin1');
    let end = 0;
    for (const match of text.matchAll(SET_OR_RESET)) {
      end = match.index + match[0].length;
      for (const mode of (match[1] ?? '').split(';')) this.#note(Number(mode), match[2] === 'h');
    }
    const escape = text.lastIndexOf('\x1b');
    this.#tail = escape >= end && text.length - escape < MAX_SEQUENCE ? text.slice(escape) : '';
  }

  /** What puts the terminal back; empty when there is nothing to put back. */
  reset(): string {
    const modes = [...this.#set].map((mode) => `\x1b[?${String(mode)}l`).join('');
    const text = modes + (this.#cursorHidden ? '\x1b[?25h' : '');
    return text === '' ? '' : `${text}\x1b[0m`;
  }

  #note(mode: number, on: boolean): void {
    if (mode === CURSOR) this.#cursorHidden = !on;
    else if (on && LEAVES_MESS.has(mode)) this.#set.add(mode);
    else this.#set.delete(mode);
  }
}

/** Margins, character sets, keypad and colours as they are at first; lines wrap, which a soft reset may turn off. */
const SOFT_RESET = '\x1b[!p\x1b>\x1b[?7h\x1b[0m';

/**
 * What makes an empty screen of one in any state. What was on it goes up into the terminal's own scrollback, where the
 * person finds it again.
 * @param rows of the terminal
 */
export function emptyScreen(modes: ScreenModes, rows: number): string {
  return `${modes.reset()}${SOFT_RESET}\x1b[${rows};1H${'\n'.repeat(rows)}\x1b[H\x1b[J`;
}
