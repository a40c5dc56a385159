/** Headers of every HTTP answer, whoever makes it. */
const ALWAYS = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy':
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'",
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Permissions-Policy': 'geolocation=(), microphone=(), camera=()',
  'Referrer-Policy': 'strict-origin-when-cross-origin',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  // The filter that it turns off has holes of its own.
  'X-XSS-Protection': '0',
} as const;

/**
 * What a browser is told with every answer.
 * @param secure whether the answer goes over TLS: a browser that is told so without it must not believe it
 */
export const securityHeaders = (secure: boolean): Readonly<Record<string, string>> => ({
  ...ALWAYS,
  ...(secure ? { 'Strict-Transport-Security': 'max-age=31536000; includeSubDomains' } : {}),
});
