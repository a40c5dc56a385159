const BYTES = 16;

/** A name under which no other program counts its input. */
export function newWriterId(): string {
  // randomUUID would do, but a browser has it only on pages that came over TLS.
  const random = crypto.getRandomValues(new Uint8Array(BYTES));
  return Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
