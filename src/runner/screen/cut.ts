/** Where a stream of terminal output can be cut, so that a terminal which begins there understands what follows. */

const ESC = 0x1b;
const BEL = 0x07;
const CAN = 0x18;
const SUB = 0x1a;
/** Text at the end that is left to come again is so long at most. */
const MAX_TEXT = 1024;

/** `escape`: before its final byte; `string`: OSC, DCS, SOS, PM or APC; `high`: after 0xC2, which begins a C1 control. */
const State = { text: 0, escape: 1, csi: 2, string: 3, high: 4 } as const;
type State = (typeof State)[keyof typeof State];

/**
 * The index before which everything is complete: it is right after the last control character or sequence that ended,
 * so that no sequence, character or combining mark that follows belongs to what is before.
 * @param bytes output that begins at such a place itself
 * @returns 0 to `bytes.length`; 0 when nothing is complete
 */
export function lastCut(bytes: Uint8Array): number {
  let state: State = State.text;
  let cut = 0;
  for (let index = 0; index < bytes.length; index += 1) {
    const byte = bytes[index] ?? 0;
    if (state === State.text && byte >= 0x20 && byte !== 0xc2) continue;
    const next = step(state, byte);
    // A sequence has ended, or a control character was obeyed.
    if (next === State.text && (state !== State.text || byte < 0x20) && !(state === State.high && byte >= 0xa0)) {
      cut = index + 1;
    }
    state = next;
  }
  if (state !== State.text || bytes.length - cut <= MAX_TEXT) return cut;
  return bytes.length - incompleteCharacter(bytes);
}

function step(state: State, byte: number): State {
  if (byte === ESC) return State.escape;
  if (byte === CAN || byte === SUB) return State.text;
  switch (state) {
    case State.text:
      return byte === 0xc2 ? State.high : State.text;
    case State.escape:
      return afterEscape(byte);
    case State.csi:
      return byte >= 0x40 && byte <= 0x7e ? State.text : State.csi;
    case State.string:
      return byte === BEL ? State.text : State.string;
    case State.high:
      return byte >= 0x80 && byte < 0xa0 ? afterEscape(byte - 0x40) : State.text;
  }
}

function afterEscape(byte: number): State {
  if (byte === 0x5b) return State.csi;
  // ] P X ^ _
  if (byte === 0x5d || byte === 0x50 || byte === 0x58 || byte === 0x5e || byte === 0x5f) return State.string;
  // Control characters are obeyed within a sequence, and intermediates go on with it.
  return byte < 0x30 ? State.escape : State.text;
}

/** How many bytes at the end begin a UTF-8 character whose rest is missing. */
export function incompleteCharacter(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return needed > back ? back : 0;
  }
  return 0;
}
