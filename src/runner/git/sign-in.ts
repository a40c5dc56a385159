import type { Setting } from './settings.js';

/**
 * Takes out of an https address who signs in, and says it by settings instead, which are in the environment: arguments are
 * in the process table, where everybody on the machine can read them.
 * @param url of a remote; any other than an https one is answered as it is
 */
export function splitSignIn(url: string): { readonly address: string; readonly settings: readonly Setting[] } {
  const parsed = /^https:/i.test(url) && URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || (parsed.username === '' && parsed.password === '')) return { address: url, settings: [] };
  const [user, password] = [parsed.username, parsed.password].map(decoded);
  parsed.username = '';
  parsed.password = '';
  const at = `${parsed.origin}/`;
  if (password === '') return { address: parsed.href, settings: [[`credential.${at}.username`, user ?? '']] };
  const basic = Buffer.from(`${user ?? ''}:${password ?? ''}`).toString('base64');
  return {
    address: parsed.href,
    settings: [
      [`http.${at}.extraHeader`, `Authorization: Basic ${basic}`],
      // Where the server sends us on, the header would go too.
      [`http.${at}.followRedirects`, 'false'],
    ],
  };
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    // A percent sign that stands for itself.
    return part;
  }
}
