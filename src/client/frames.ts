import { malformed } from './errors.js';

/** The subprotocol whose binary frames these are. */
export const SUBPROTOCOL = 'gatehouse.v1';

const HEADER_BYTES = 16;
const OUTPUT = 1;
const INPUT = 2;
const SNAPSHOT = 3;
/** Flag of the last fragment of a snapshot. */
const LAST = 1;
/** A connection of one session has one channel. */
const CHANNEL = 0;

/** Terminal bytes from the server. Those of a snapshot all have the offset that the snapshot stands for. */
export interface DataFrame {
  readonly kind: 'output' | 'snapshot';
  readonly offset: number;
  /** Of a snapshot: no more of it follows. */
  readonly last: boolean;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Reads a binary frame: 16 bytes of header, then the bytes, of which no copy is made. @throws AttachError malformed */
export function readFrame(message: ArrayBuffer): DataFrame {
  if (message.byteLength < HEADER_BYTES) throw malformed('a frame is shorter than its header');
  const header = new DataView(message, 0, HEADER_BYTES);
  const type = header.getUint8(0);
  const flags = header.getUint8(1);
  if (type !== OUTPUT && type !== SNAPSHOT) throw malformed(`a frame has the type ${type}`);
  if ((flags & ~(type === SNAPSHOT ? LAST : 0)) !== 0) throw malformed('a frame has flags that nobody knows');
  if (header.getUint16(2) !== CHANNEL || header.getUint32(4) !== 0) throw malformed('a frame is on another channel');
  const offset = header.getUint32(8) * 2 ** 32 + header.getUint32(12);
  if (!Number.isSafeInteger(offset)) throw malformed('an offset is past 2^53 - 1');
  return {
    kind: type === OUTPUT ? 'output' : 'snapshot',
    offset,
    last: (flags & LAST) !== 0,
    bytes: new Uint8Array(message, HEADER_BYTES),
  };
}

/** A frame of input. @param position of its first byte in all that this writer types */
export function inputFrame(position: number, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const frame = new Uint8Array(HEADER_BYTES + bytes.length);
  const header = new DataView(frame.buffer);
  header.setUint8(0, INPUT);
  header.setUint16(2, CHANNEL);
  header.setUint32(8, Math.floor(position / 2 ** 32));
  header.setUint32(12, position >>> 0);
  frame.set(bytes, HEADER_BYTES);
  return frame;
}
