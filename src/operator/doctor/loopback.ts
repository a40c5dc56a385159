/** Only on this machine: an address of loopback, or a folder of Unix sockets. */
export const isLoopback = (host: string): boolean =>
  host.startsWith('/') || /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i.test(host);
