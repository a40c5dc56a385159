/**
 * What is stored of something sealed, in one run of bytes:
 *
 *   version (1) | key id (8) | nonce (12) | ciphertext | tag (16)
 *
 * The key id tells which master key it was sealed under and is no secret.
 */

export const VERSION = 1;
export const KEY_ID_BYTES = 8;
export const NONCE_BYTES = 12;
export const TAG_BYTES = 16;
const HEADER_BYTES = 1 + KEY_ID_BYTES;
const LEAST_BYTES = HEADER_BYTES + NONCE_BYTES + TAG_BYTES;

/** An envelope's parts. */
export interface Envelope {
  /** Of the master key: 16 hex digits. */
  readonly keyId: string;
  readonly nonce: Buffer;
  readonly ciphertext: Buffer;
  readonly tag: Buffer;
}

/** Something sealed cannot be opened: altered, in another's place, or no envelope. It does not say which. */
export class SealBroken extends Error {
  constructor() {
    super('What is sealed here cannot be opened: it was altered, or belongs elsewhere.');
    this.name = 'SealBroken';
  }
}

/** What stands in front of the ciphertext and is vouched for with it. */
export const headerOf = (keyId: string): Buffer => Buffer.concat([Buffer.of(VERSION), Buffer.from(keyId, 'hex')]);

/** The bytes of an envelope. */
export const packed = ({ keyId, nonce, ciphertext, tag }: Envelope): Buffer =>
  Buffer.concat([headerOf(keyId), nonce, ciphertext, tag]);

/** @throws SealBroken for everything that {@link packed} does not make */
export function unpacked(bytes: Uint8Array): Envelope {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (all.length < LEAST_BYTES || all[0] !== VERSION) throw new SealBroken();
  const [begin, end] = [HEADER_BYTES + NONCE_BYTES, all.length - TAG_BYTES];
  return {
    keyId: all.toString('hex', 1, HEADER_BYTES),
    nonce: all.subarray(HEADER_BYTES, begin),
    ciphertext: all.subarray(begin, end),
    tag: all.subarray(end),
  };
}
