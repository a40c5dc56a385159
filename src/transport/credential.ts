import type { Credential } from '../kernel/authenticator.js';
import { DomainError } from '../kernel/errors.js';

/** Longest credential that is looked at, bytes. */
const MAX_CREDENTIAL = 8192;
const BEARER = /^bearer +([^\s]+)$/i;
/** Names of parameters that carry credentials, without `-` and `_`. */
const URL_PARAMETERS = new Set(
  'token accesstoken idtoken refreshtoken sessiontoken apikey xapikey key auth authorization bearer jwt credential credentials'.split(
    ' ',
  ),
);
/** One of our keys, or a JWT, whatever the parameter is called. */
const CREDENTIAL_VALUE = /gh_(live|test)_[0-9A-Za-z]{16}_|\beyJ[\w-]+\.[\w-]+\./;

/**
 * The credential in the headers of a call.
 * @param authorization every `authorization` header, in order
 * @param apiKey every `x-api-key` header, in order
 * @returns null when there is none
 * @throws DomainError AMBIGUOUS_CREDENTIAL for more than one, JWT_INVALID for another scheme or an oversized one
 */
export function credentialFrom(authorization: readonly string[], apiKey: readonly string[]): Credential | null {
  if (authorization.length + apiKey.length > 1) {
    throw new DomainError('AMBIGUOUS_CREDENTIAL', 'Send one credential, not several.');
  }
  const [header] = authorization;
  if (header !== undefined) return { text: bounded(BEARER.exec(header.trim())?.[1]) };
  const [key] = apiKey;
  if (key !== undefined) return { text: bounded(key.trim() || undefined, 'API_KEY_INVALID') };
  return null;
}

function bounded(text: string | undefined, code: 'JWT_INVALID' | 'API_KEY_INVALID' = 'JWT_INVALID'): string {
  if (text === undefined) throw new DomainError(code, 'The credential is not of a known form.');
  if (text.length > MAX_CREDENTIAL) throw new DomainError(code, 'The credential is too long.');
  return text;
}

/** All values of one header among Node's raw headers (`parsed` headers silently drop repeated ones). */
export function rawHeader(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() === name) values.push(rawHeaders[index + 1] ?? '');
  }
  return values;
}

/**
 * Refuses a credential in the address: it would be in logs, histories and referrers.
 * @throws DomainError TOKEN_IN_URL
 */
export function refuseTokenInUrl(url: string): void {
  const query = url.indexOf('?');
  if (query < 0) return;
  for (const [name, value] of new URLSearchParams(url.slice(query + 1))) {
    if (URL_PARAMETERS.has(name.toLowerCase().replace(/[-_]/g, '')) || CREDENTIAL_VALUE.test(value)) {
      throw new DomainError(
        'TOKEN_IN_URL',
        'A credential never goes in the address, where logs and histories keep it. Send an Authorization header.',
      );
    }
  }
}
