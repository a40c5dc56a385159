/**
 * Output bytes as text for the JSON encoding: a character that is split between two pieces is held until the rest
 * arrives; bytes that are no UTF-8 are replaced. The only place where bytes are decoded.
 */
export class Utf8Splitter {
  #held: Buffer = Buffer.alloc(0);
  /** Offset of the first byte not yet told, held ones included. */
  #offset: number;

  constructor(offset: number) {
    this.#offset = offset;
  }

  /** Offset of the first byte that is not told yet. */
  get next(): number {
    return this.#offset;
  }

  /** The text of these bytes with the offsets it stands for; null while there is no whole character. */
  push(bytes: Buffer): { readonly offset: number; readonly next: number; readonly data: string } | null {
    const all = this.#held.length > 0 ? Buffer.concat([this.#held, bytes]) : bytes;
    const whole = all.length - incompleteSuffix(all);
    this.#held = Buffer.from(all.subarray(whole));
    return this.#tell(all.subarray(0, whole));
  }

  /** What is still held, at the end of the output. */
  end(): ReturnType<Utf8Splitter['push']> {
    const rest = this.#held;
    this.#held = Buffer.alloc(0);
    return this.#tell(rest);
  }

  #tell(bytes: Buffer): ReturnType<Utf8Splitter['push']> {
    if (bytes.length === 0) return null;
    const offset = this.#offset;
    this.#offset += bytes.length;
    return { offset, next: this.#offset, data: bytes.toString('utf8') };
  }
}

/** How many bytes at the end begin a character whose rest is missing: 0 to 3. */
function incompleteSuffix(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back] ?? 0;
    if ((byte & 0xc0) === 0x80) continue;
    const needed = byte >= 0xf0 && byte <= 0xf4 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1;
    return byte <= 0xf4 && needed > back ? back : 0;
  }
  return 0;
}
