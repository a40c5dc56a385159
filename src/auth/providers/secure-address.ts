const LOOPBACK = /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])$/;
const MAX_LENGTH = 2048;

/**
 * May keys be fetched from there? HTTPS, or HTTP on loopback where that is allowed; no credentials, no fragment.
 * @param loopbackHttp true outside production
 */
export function isKeyAddress(text: string, loopbackHttp: boolean): boolean {
  if (text.length > MAX_LENGTH || !URL.canParse(text)) return false;
  const { protocol, hostname, username, password, hash } = new URL(text);
  if (username !== '' || password !== '' || hash !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && loopbackHttp && LOOPBACK.test(hostname));
}

/** Where an issuer publishes what it offers (OpenID Connect Discovery 1.0 section 4). */
export const discoveryAddress = (issuer: string): string =>
  `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
