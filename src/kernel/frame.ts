/**
 * Frames of the byte stream, the same on the link between gateway and runner and on the wire to a `gatehouse.v1`
 * client: RFC 6455 frames, unmasked and unfragmented, so that the gateway can copy the runner's frames on untouched
 * (docs/adr/0004-link-framing.md).
 *
 * A text frame is one JSON control message. A binary frame is data: a fixed 16-byte header
 * `u8 type, u8 flags, u16 channel, u32 reserved, u64 offset` (big-endian), then the bytes.
 */

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

/** One complete frame. `parts` joined are the whole frame, header included; views on the chunks it arrived in. */
export interface Frame {
  readonly kind: 'control' | 'data';
  readonly parts: Buffer[];
  readonly headerBytes: number;
  /** Length of the whole frame, header included. */
  readonly length: number;
}

/** Bytes of terminal output in a data frame. */
export const outputLength = (frame: Frame): number => frame.length - frame.headerBytes - DATA_HEADER_BYTES;

/** The type of a data frame; its header may be split over the chunks it arrived in. */
export function dataTypeOf({ parts, headerBytes }: Frame): number {
  let at = headerBytes;
  for (const part of parts) {
    if (at < part.length) return part[at] ?? 0;
    at -= part.length;
  }
  return 0;
}

/** The payload of a frame as one buffer; copies only when the frame arrived in several chunks. */
export function payloadOf(frame: Frame): Buffer {
  const [only] = frame.parts;
  const whole = frame.parts.length === 1 && only ? only : Buffer.concat(frame.parts, frame.length);
  return whole.subarray(frame.headerBytes);
}

/** Cuts a byte stream into frames without copying it. */
export class FrameReader {
  #parts: Buffer[] = [];
  #held = 0;
  /** Length of the frame being read, 0 while its header is incomplete. */
  #length = 0;
  #headerBytes = 0;
  #kind: Frame['kind'] = 'data';

  /** @param maxPayload a longer frame ends the stream with a RangeError */
  constructor(private readonly maxPayload: number) {}

  /**
   * Takes the next chunk and calls `onFrame` for every frame it completes.
   * @throws RangeError on a frame that is masked, fragmented, of an unknown kind or too long: the stream is broken
   */
  push(chunk: Buffer, onFrame: (frame: Frame) => void): void {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#length === 0) {
        const begun = this.#readHeader(rest);
        if (begun === null) return;
        rest = begun;
      }
      const wanted = this.#length - this.#held;
      const taken = rest.subarray(0, wanted);
      if (taken.length > 0) this.#parts.push(taken);
      this.#held += taken.length;
      rest = rest.subarray(taken.length);
      if (this.#held < this.#length) return;
      const frame = { kind: this.#kind, parts: this.#parts, headerBytes: this.#headerBytes, length: this.#length };
      this.#parts = [];
      this.#held = 0;
      this.#length = 0;
      onFrame(frame);
    }
  }

  /** Learns kind and length; returns the frame's bytes so far, or null while the header is not all here. */
  #readHeader(chunk: Buffer): Buffer | null {
    const bytes = this.#held > 0 ? Buffer.concat([...this.#parts, chunk]) : chunk;
    this.#parts = [];
    this.#held = 0;
    const length7 = bytes[1] ?? 0;
    const headerBytes = length7 === 126 ? 4 : length7 === 127 ? 10 : 2;
    if (bytes.length < 2 || bytes.length < headerBytes) {
      this.#parts = [bytes];
      this.#held = bytes.length;
      return null;
    }
    if (length7 > 127) throw new RangeError('masked frame on the link');
    const opcode = bytes[0];
    if (opcode !== FIN_TEXT && opcode !== FIN_BINARY) throw new RangeError('unknown frame on the link');
    const payload =
      length7 < 126
        ? length7
        : length7 === 126
          ? bytes.readUInt16BE(2)
          : bytes.readUInt32BE(2) * 2 ** 32 + bytes.readUInt32BE(6);
    if (payload > this.maxPayload) throw new RangeError('frame too long on the link');
    this.#kind = opcode === FIN_TEXT ? 'control' : 'data';
    this.#headerBytes = headerBytes;
    this.#length = headerBytes + payload;
    return bytes;
  }
}
