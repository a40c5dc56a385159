/**
 * Frames of the byte stream, the same on the link between gateway and runner and on the wire to a `gatehouse.v1`
 * client: RFC 6455 frames, unmasked and unfragmented, so that the gateway can copy the runner's frames on untouched
 * (docs/adr/0004-link-framing.md).
 *
 * A text frame is one JSON control message. A binary frame is data: a fixed 16-byte header
 * `u8 type, u8 flags, u16 channel, u32 reserved, u64 offset` (big-endian), then the bytes.
 */

import { fitsSlab, giveBackSlab, takeSlab } from './frame-memory.js';

export const DATA_HEADER_BYTES = 16;
/** Longest frame header an unmasked RFC 6455 frame can have. */
export const MAX_FRAME_HEADER_BYTES = 10;
/** Room to leave in front of a payload for {@link writeDataHeader}. */
export const DATA_HEADROOM = MAX_FRAME_HEADER_BYTES + DATA_HEADER_BYTES;

export const FrameType = { output: 1, input: 2, snapshot: 3 } as const;
/** Flag of a snapshot's last frame. */
export const LAST_FRAGMENT = 1;

const FIN_TEXT = 0x81;
const FIN_BINARY = 0x82;

export interface DataHeader {
  readonly type: number;
  readonly flags: number;
  readonly channel: number;
  readonly offset: number;
}

/** Writes the RFC 6455 header for `length` payload bytes so that it ends at `end`; returns where it starts. */
function writeFrameHeader(target: Buffer, end: number, opcode: number, length: number): number {
  if (length < 126) {
    target[end - 1] = length;
    target[end - 2] = opcode;
    return end - 2;
  }
  if (length < 65536) {
    target.writeUInt16BE(length, end - 2);
    target[end - 3] = 126;
    target[end - 4] = opcode;
    return end - 4;
  }
  target.writeUInt32BE(Math.floor(length / 2 ** 32), end - 8);
  target.writeUInt32BE(length >>> 0, end - 4);
  target[end - 9] = 127;
  target[end - 10] = opcode;
  return end - 10;
}

/**
 * Completes a data frame in place.
 * @param target has {@link DATA_HEADROOM} free bytes, then `payloadLength` bytes of payload
 * @returns the finished frame, a view on `target`
 */
export function finishDataFrame(target: Buffer, payloadLength: number, header: DataHeader): Buffer {
  const at = MAX_FRAME_HEADER_BYTES;
  writeDataHeader(target, at, header);
  const start = writeFrameHeader(target, at, FIN_BINARY, DATA_HEADER_BYTES + payloadLength);
  return target.subarray(start, DATA_HEADROOM + payloadLength);
}

/** A data frame with a copy of `payload`. */
export function encodeDataFrame(header: DataHeader, payload: Uint8Array): Buffer {
  const target = Buffer.allocUnsafe(DATA_HEADROOM + payload.length);
  target.set(payload, DATA_HEADROOM);
  return finishDataFrame(target, payload.length, header);
}

/** A text frame with one JSON control message. */
export function encodeControlFrame(message: object): Buffer {
  const json = Buffer.from(JSON.stringify(message));
  const target = Buffer.allocUnsafe(MAX_FRAME_HEADER_BYTES + json.length);
  target.set(json, MAX_FRAME_HEADER_BYTES);
  return target.subarray(writeFrameHeader(target, MAX_FRAME_HEADER_BYTES, FIN_TEXT, json.length));
}

/** Writes the 16-byte data header at `at`. */
export function writeDataHeader(target: Buffer, at: number, header: DataHeader): void {
  target[at] = header.type;
  target[at + 1] = header.flags;
  target.writeUInt16BE(header.channel, at + 2);
  target.writeUInt32BE(0, at + 4);
  target.writeUInt32BE(Math.floor(header.offset / 2 ** 32), at + 8);
  target.writeUInt32BE(header.offset >>> 0, at + 12);
}

/** The channel of a data frame that may not be one; -1 when it is too short to say. */
export const channelOf = (payload: Buffer): number => (payload.length < 4 ? -1 : payload.readUInt16BE(2));

/**
 * Reads the 16-byte data header at the start of `payload`.
 * @throws RangeError when it is too short, a reserved bit is set, or the offset passes 2^53 - 1
 */
export function readDataHeader(payload: Buffer): DataHeader {
  if (payload.length < DATA_HEADER_BYTES) throw new RangeError('data frame shorter than its header');
  if (payload.readUInt32BE(4) !== 0) throw new RangeError('reserved bytes set');
  const offset = payload.readUInt32BE(8) * 2 ** 32 + payload.readUInt32BE(12);
  if (!Number.isSafeInteger(offset)) throw new RangeError('offset past 2^53 - 1');
  return { type: payload.readUInt8(0), flags: payload.readUInt8(1), channel: payload.readUInt16BE(2), offset };
}

/** One complete frame. It is the receiver's to keep, unless it gives the memory back with {@link recycle}. */
export interface Frame {
  readonly kind: 'control' | 'data';
  /** The whole frame, header included. */
  readonly bytes: Buffer;
  readonly headerBytes: number;
  /** The slab that `bytes` lies in; null when its memory is its own. */
  slab: Buffer | null;
}

/** Bytes of terminal output in a data frame. */
export const outputLength = (frame: Frame): number => frame.bytes.length - frame.headerBytes - DATA_HEADER_BYTES;

/** The type of a data frame. */
export const dataTypeOf = ({ bytes, headerBytes }: Frame): number => bytes[headerBytes] ?? 0;

/** The payload of a frame, a view on it. */
export const payloadOf = (frame: Frame): Buffer => frame.bytes.subarray(frame.headerBytes);

/** Nobody needs this frame's bytes any more: the next frame may lie in their place. */
export function recycle(frame: Frame): void {
  const { slab } = frame;
  frame.slab = null;
  if (slab !== null) giveBackSlab(slab);
}

/** Puts frames together from the chunks of a byte stream. Keeps nothing of a chunk. */
export class FrameReader {
  /** Where the frame is put together, null while its header is incomplete. */
  #bytes: Buffer | null = null;
  #slab: Buffer | null = null;
  readonly #header = new Uint8Array(MAX_FRAME_HEADER_BYTES);
  #headerBytes = 0;
  /** Bytes of the frame so far. */
  #held = 0;

  /** @param maxPayload a longer frame ends the stream with a RangeError */
  constructor(private readonly maxPayload: number) {}

  /**
   * Takes the next chunk and calls `onFrame` for every frame it completes.
   * @throws RangeError on a frame that is masked, fragmented, of an unknown kind or too long: the stream is broken
   */
  push(chunk: Buffer, onFrame: (frame: Frame) => void): void {
    for (let at = 0; at < chunk.length;) {
      at = this.#bytes === null ? this.#readHeader(chunk, at) : this.#readPayload(this.#bytes, chunk, at);
      if (this.#bytes !== null && this.#held === this.#bytes.length) onFrame(this.#take(this.#bytes));
    }
  }

  /** Learns kind and length, once the header is complete; returns where its bytes in `chunk` end. */
  #readHeader(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length;) {
      this.#header[this.#held] = chunk[at] ?? 0;
      this.#held += 1;
      at += 1;
      if (this.#held < 2 || this.#held < headerBytesOf(this.#header)) continue;
      this.#begin();
      return at;
    }
    return chunk.length;
  }

  #begin(): void {
    const opcode = this.#header[0];
    if (opcode !== FIN_TEXT && opcode !== FIN_BINARY) throw new RangeError('unknown frame on the link');
    const payload = payloadLength(this.#header);
    if (payload > this.maxPayload) throw new RangeError('frame too long on the link');
    this.#headerBytes = this.#held;
    const length = this.#headerBytes + payload;
    this.#slab = fitsSlab(length) ? takeSlab() : null;
    this.#bytes = this.#slab === null ? Buffer.allocUnsafe(length) : this.#slab.subarray(0, length);
    this.#bytes.set(this.#header.subarray(0, this.#held));
  }

  #readPayload(bytes: Buffer, chunk: Buffer, from: number): number {
    const copied = chunk.copy(bytes, this.#held, from);
    this.#held += copied;
    return from + copied;
  }

  #take(bytes: Buffer): Frame {
    const kind = this.#header[0] === FIN_TEXT ? 'control' : 'data';
    const frame: Frame = { kind, bytes, headerBytes: this.#headerBytes, slab: this.#slab };
    this.#bytes = null;
    this.#slab = null;
    this.#held = 0;
    return frame;
  }
}

/** @throws RangeError when the frame is masked */
function headerBytesOf(header: Uint8Array): number {
  const length7 = header[1] ?? 0;
  if (length7 > 127) throw new RangeError('masked frame on the link');
  return length7 === 126 ? 4 : length7 === 127 ? 10 : 2;
}

function payloadLength(header: Uint8Array): number {
  const length7 = header[1] ?? 0;
  if (length7 < 126) return length7;
  const end = headerBytesOf(header);
  return header.subarray(2, end).reduce((length, byte) => length * 256 + byte, 0);
}
