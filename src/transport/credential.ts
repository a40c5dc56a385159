import { looksLikeKey } from '../kernel/api-key-text.js';
import { type Credential, MAX_CREDENTIAL } from '../kernel/authenticator.js';
import { DomainError } from '../kernel/errors.js';

const BEARER = /^bearer +([^\s]+)$/i;
/** Names of parameters that carry credentials, without `-` and `_`. */
const URL_PARAMETERS = new Set(
  'token accesstoken idtoken refreshtoken sessiontoken apikey xapikey key auth authorization bearer jwt ticket credential credentials'.split(
    ' ',
  ),
);
/** One of our keys or tickets, or a JWT, whatever the parameter is called. */
const CREDENTIAL_VALUE = /gh_(live|test)_[0-9A-Za-z]{16}_|gh_ticket_|\beyJ[\w-]+\.[\w-]+\./;

/**
 * The credential in the headers of a call.
 * @param authorization every `authorization` header, in order
 * @param apiKey every `x-api-key` header, in order
 * @returns null when there is none
 * @throws DomainError AMBIGUOUS_CREDENTIALS for more than one, JWT_INVALID for another scheme or an oversized one,
 *   API_KEY_INVALID for an `x-api-key` that is no key, whatever else it is
 */
export function credentialFrom(authorization: readonly string[], apiKey: readonly string[]): Credential | null {
  if (authorization.length + apiKey.length > 1) {
    throw new DomainError('AMBIGUOUS_CREDENTIALS', 'Send one credential, not several.');
  }
  const [header] = authorization;
  if (header !== undefined) return bearer(BEARER.exec(header.trim())?.[1]);
  const [key] = apiKey;
  return key === undefined ? null : { text: keyText(key.trim()) };
}

/** What is in `x-api-key`: a key, right or wrong, and nothing else. @throws DomainError API_KEY_INVALID */
function keyText(text: string): string {
  const key = bounded(text, 'API_KEY_INVALID');
  if (!looksLikeKey(key)) throw unknownForm('API_KEY_INVALID');
  return key;
}

/** A credential that came by itself, as in a first message. @throws DomainError JWT_INVALID when it is none */
export const bearer = (text: string | undefined): Credential => ({ text: bounded(text) });

function bounded(text: string | undefined, code: 'JWT_INVALID' | 'API_KEY_INVALID' = 'JWT_INVALID'): string {
  if (text === undefined) throw unknownForm(code);
  if (text.length > MAX_CREDENTIAL) throw new DomainError(code, 'The credential is too long.', { reason: 'too_long' });
  return text;
}

const unknownForm = (code: 'JWT_INVALID' | 'API_KEY_INVALID'): DomainError =>
  new DomainError(code, 'The credential is not of a known form.', { reason: 'form' });

/** What an HTTP request carries its credential in. */
interface Carrier {
  readonly url?: string | undefined;
  readonly rawHeaders: readonly string[];
}

/**
 * The credential of an HTTP request or upgrade.
 * @returns null when it carries none
 * @throws DomainError TOKEN_IN_URL, and those of {@link credentialFrom}
 */
export function credentialOf(request: Carrier): Credential | null {
  if (hasTokenInUrl(request)) {
    throw new DomainError(
      'TOKEN_IN_URL',
      'A credential never goes in the address, where logs and histories keep it. Send an Authorization header.',
    );
  }
  const { rawHeaders } = request;
  return credentialFrom(rawHeader(rawHeaders, 'authorization'), rawHeader(rawHeaders, 'x-api-key'));
}

/** Does it carry anything in the place of a credential, right or wrong? */
export const carriesCredential = (request: Carrier): boolean =>
  hasTokenInUrl(request) ||
  ['authorization', 'x-api-key'].some((name) => rawHeader(request.rawHeaders, name).length > 0);

/** Is there a credential in the address? It would be in logs, histories and referrers. */
export function hasTokenInUrl({ url = '' }: Carrier): boolean {
  const query = url.indexOf('?');
  if (query < 0) return false;
  return [...new URLSearchParams(url.slice(query + 1))].some(
    ([name, value]) => URL_PARAMETERS.has(name.toLowerCase().replace(/[-_]/g, '')) || CREDENTIAL_VALUE.test(value),
  );
}

/** All values of one header among Node's raw headers (`parsed` headers silently drop repeated ones). */
export function rawHeader(rawHeaders: readonly string[], name: string): string[] {
  const values: string[] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() === name) values.push(rawHeaders[index + 1] ?? '');
  }
  return values;
}
