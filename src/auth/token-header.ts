/** Media types of access tokens. ID, logout and refresh tokens are for somebody else (RFC 9068, RFC 8725 section 3.11). */
const ACCESS_TOKEN_TYPES = ['jwt', 'at+jwt', 'application/jwt', 'application/at+jwt'];

/** Does the header speak of an access token that this server understands in full? */
export function isAccessTokenHeader(token: string): boolean {
  const header = headerOf(token);
  // Nothing that `crit` could name is understood here, and what is critical must be (RFC 7515).
  if (header === null || 'crit' in header) return false;
  const { typ } = header;
  return typ === undefined || (typeof typ === 'string' && ACCESS_TOKEN_TYPES.includes(typ.toLowerCase()));
}

function headerOf(token: string): Record<string, unknown> | null {
  try {
    const header: unknown = JSON.parse(Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString('utf8'));
    return typeof header === 'object' && header !== null ? (header as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
