/** What outlives the text around it: modes, alternate screen, margins, character sets, keypad, title, reset. */
const SETTINGS =
  // eslint-disable-next-line no-control-regex -- escape sequences begin with ESC
  /\x1b(?:\[\?([\d;]{1,48})([hl])|(\[[\d;]{0,8}r)|(\[!p|c)|([()][0AB])|([=>])|\]([02]);[^\x07\x1b]{0,256}(?:\x07|\x1b\\))/g;
/** Modes that are told apart; a program that sets more than there are is up to something. */
const MAX_SETTINGS = 512;

/** The settings in terminal output that hold at its end, as output that sets them, in the order in which they were. */
export function settingsIn(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  const last = new Map<string, string>();
  const set = (key: string, sequence: string): void => {
    last.delete(key);
    if (last.size < MAX_SETTINGS) last.set(key, sequence);
  };
  for (const [sequence, modes, value = '', margins, reset, charset, keypad, title] of text.matchAll(SETTINGS)) {
    if (reset !== undefined) {
      last.clear();
      set('reset', sequence);
    } else if (modes !== undefined) for (const mode of modes.split(';')) set(`?${mode}`, `\x1b[?${mode}${value}`);
    else if (margins !== undefined) set('margins', sequence);
    else if (charset !== undefined) set(charset.charAt(0), sequence);
    else if (keypad !== undefined) set('keypad', sequence);
    else if (title !== undefined) set('title', sequence);
  }
  return Buffer.from([...last.values()].join(''), 'latin1');
}
