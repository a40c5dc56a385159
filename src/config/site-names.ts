import { isIP } from 'node:net';

const NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

/** Is it the name or address of a host, in lower case, without a port? Addresses of IPv6 with or without brackets. */
export const isHostName = (text: string): boolean =>
  isIP(text) !== 0 || isIP(/^\[(.*)\]$/.exec(text)?.[1] ?? '') === 6 || NAME.test(text);

/** Is it an origin as a browser sends it: scheme, host, port unless it is the usual one, and nothing behind? */
export function isOrigin(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && /^https?:$/.test(url.protocol) && isHostName(url.hostname) && url.origin === text;
}
