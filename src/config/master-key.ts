const KEY_BYTES = 32;
/** 32 random bytes have fewer different values than this less than once in 10^14 keys; what somebody typed often has. */
const MIN_DIFFERENT = 16;

/** What a master key must be, as a mistake tells it. */
export const MASTER_KEY_EXPECTED = '32 random bytes in base64 or hex, as `openssl rand -base64 32` makes them';

/**
 * The 32 bytes of a master key written in base64 or hex; null when the text is anything else, or too regular to be random.
 */
export function parseMasterKey(text: string): Buffer | null {
  const bytes = decoded(text);
  return bytes !== null && new Set(bytes).size >= MIN_DIFFERENT ? bytes : null;
}

function decoded(text: string): Buffer | null {
  if (/^[0-9a-f]{64}$/i.test(text)) return Buffer.from(text, 'hex');
  if (!/^[A-Za-z0-9+/]{43}=?$/.test(text)) return null;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === KEY_BYTES ? bytes : null;
}
