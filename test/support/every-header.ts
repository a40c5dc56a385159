import { expect } from '@jest/globals';

/** What every HTTP answer tells a browser, in lower case; without TLS. */
export const EVERY_HEADER: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'self'; form-action 'self'",
  'cross-origin-opener-policy': 'same-origin',
  'permissions-policy': 'geolocation=(), microphone=(), camera=()',
  'referrer-policy': 'strict-origin-when-cross-origin',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'x-xss-protection': '0',
};
export const HSTS = { 'strict-transport-security': 'max-age=31536000; includeSubDomains' };

/** The headers of an answer as it came, by name in lower case. @throws Error when one is there twice */
export function headersOf(answer: string): Record<string, string> {
  const [head = ''] = answer.split('\r\n\r\n');
  const headers: Record<string, string> = {};
  for (const line of head.split('\r\n').slice(1)) {
    const [, name = '', value = ''] = /^([^:]+): (.*)$/.exec(line) ?? [];
    if (name.toLowerCase() in headers) throw new Error(`${name} is there twice`);
    headers[name.toLowerCase()] = value;
  }
  return headers;
}

/** Has an answer every header that it must have, and none that says what serves it? */
export function expectEveryHeader(answer: string, secure: boolean): void {
  const headers = headersOf(answer);
  expect(headers).toMatchObject({ ...EVERY_HEADER, ...(secure ? HSTS : {}) });
  for (const name of ['server', 'x-powered-by', ...(secure ? [] : ['strict-transport-security'])])
    expect(headers).not.toHaveProperty(name);
}
