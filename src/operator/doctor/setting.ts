import type { Config } from '../../config/load.js';

/** A variable that this version may not have; undefined then, and when it is not set. */
export const setting = (config: Config, name: string): unknown => Reflect.get(config, name);

/** The same for a text. */
export function textSetting(config: Config, name: string): string | null {
  const value = setting(config, name);
  return typeof value === 'string' && value !== '' ? value : null;
}

/** Only on this machine: an address of loopback, or a folder of Unix sockets. */
export const isLoopback = (host: string): boolean =>
  host.startsWith('/') || /^(localhost|127(\.\d{1,3}){3}|\[?::1\]?)$/i.test(host);
