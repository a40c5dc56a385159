const SCHEMES: Readonly<Record<string, string>> = { 'http:': 'ws:', 'https:': 'wss:', 'ws:': 'ws:', 'wss:': 'wss:' };

/**
 * The address under which one session is attached to.
 * @param server where the server is, over HTTP or WebSocket, with a path when a proxy serves it under one
 * @throws TypeError when that is no such address
 */
export function attachAddress(server: string, query: Readonly<Record<string, string>>): string {
  const url = URL.parse(server);
  const scheme = url === null ? undefined : SCHEMES[url.protocol];
  if (url === null || scheme === undefined) throw new TypeError('The address of the server is no http or https one.');
  const path = url.pathname.replace(/\/+$/, '');
  return `${scheme}//${url.host}${path}/ws/pty?${new URLSearchParams(query).toString()}`;
}
