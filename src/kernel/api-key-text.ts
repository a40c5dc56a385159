import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

/**
 * An API key as text: `gh_live_<key id>_<secret><checksum>` (`gh_test_` outside production). Key id: 16 base62
 * characters, public. Secret: 32 random bytes, base62, left-padded to 43. Checksum: CRC-32 over all that precedes, six
 * base62 characters, so that a mistyped key is refused without a look at the database.
 */
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const ID_LENGTH = 16;
const SECRET_BYTES = 32;
const SECRET_LENGTH = 43;
const CHECKSUM_LENGTH = 6;
const SHAPE = new RegExp(
  `^(gh_(?:live|test))_([0-9A-Za-z]{${ID_LENGTH}})_([0-9A-Za-z]{${SECRET_LENGTH}})([0-9A-Za-z]{${CHECKSUM_LENGTH}})$`,
);
const ID_SHAPE = new RegExp(`^[0-9A-Za-z]{${ID_LENGTH}}$`);

export type KeyPrefix = 'gh_live' | 'gh_test';

export interface ParsedKey {
  readonly prefix: KeyPrefix;
  readonly id: string;
  /** What is hashed: bcrypt reads 72 bytes at most, and the secret alone is well under. */
  readonly secret: string;
}

/** A new key and its text, which exists only here and in the answer that shows it. */
export function generateKey(prefix: KeyPrefix): ParsedKey & { readonly text: string } {
  const id = randomText(ID_LENGTH);
  const secret = base62(BigInt(`0x${randomBytes(SECRET_BYTES).toString('hex')}`), SECRET_LENGTH);
  const body = `${prefix}_${id}_${secret}`;
  return { prefix, id, secret, text: body + checksum(body) };
}

/** The parts of a key, or null when the text is none: wrong shape or wrong checksum. */
export function parseKey(text: string): ParsedKey | null {
  const read = readKey(text);
  return read?.intact === true ? read.key : null;
}

/** The parts of a text that has the shape of a key, and whether its checksum is right; null when it has not. */
export function readKey(text: string): { readonly key: ParsedKey; readonly intact: boolean } | null {
  const [, prefix, id, secret, sum] = SHAPE.exec(text) ?? [];
  if (prefix === undefined || id === undefined || secret === undefined || sum === undefined) return null;
  const key: ParsedKey = { prefix: prefix === 'gh_live' ? 'gh_live' : 'gh_test', id, secret };
  return { key, intact: checksum(`${prefix}_${id}_${secret}`) === sum };
}

/** Has the text the shape of a key id? */
export function isKeyId(text: string): boolean {
  return ID_SHAPE.test(text);
}

/** Does the text look like a key of ours, right or wrong? Decides which verifier a bearer credential goes to. */
export function looksLikeKey(text: string): boolean {
  return text.startsWith('gh_live_') || text.startsWith('gh_test_');
}

const checksum = (body: string): string => base62(BigInt(crc32(body)), CHECKSUM_LENGTH);

function base62(value: bigint, length: number): string {
  let text = '';
  for (let rest = value; rest > 0n; rest /= 62n) text = BASE62.charAt(Number(rest % 62n)) + text;
  return text.padStart(length, '0');
}

/** Uniform random base62 characters: bytes past the last multiple of 62 are thrown away. */
function randomText(length: number): string {
  let text = '';
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < 248 && text.length < length) text += BASE62.charAt(byte % 62);
    }
  }
  return text;
}
