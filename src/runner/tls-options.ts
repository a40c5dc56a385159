import type { LinkTlsFiles } from '../kernel/link-tls.js';

/** Where and how gateways of other machines are let in. */
export interface TlsOptions {
  /** Address to listen on. */
  readonly host: string;
  readonly controlPort: number;
  readonly bytesPort: number;
  readonly files: LinkTlsFiles;
  /** DNS names of the gateways that are let in, of which a certificate must have one; null: all of the authority's. */
  readonly gateways: readonly string[] | null;
}

/** The flags of the command line, as `parseArgs` wants them. */
export const TLS_FLAGS = {
  listen: { type: 'string' },
  'control-port': { type: 'string' },
  'bytes-port': { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'tls-ca': { type: 'string' },
  'tls-gateways': { type: 'string' },
} as const;

type Values = { readonly [flag in keyof typeof TLS_FLAGS]?: string | undefined };

const NEEDED = ['listen', 'control-port', 'bytes-port', 'tls-cert', 'tls-key', 'tls-ca'] as const;
const MAX_GATEWAYS = 1000;
const DNS_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

/**
 * Reads the flags for gateways of other machines.
 * @returns null when there are none: then the sockets in the runner's folder are the only way in
 * @throws TypeError or RangeError saying what is wrong with them
 */
export function parseTlsOptions(values: Values): TlsOptions | null {
  const missing = NEEDED.filter((flag) => values[flag] === undefined || values[flag] === '');
  if (missing.length === NEEDED.length && values['tls-gateways'] === undefined) return null;
  if (missing.length > 0) {
    throw new TypeError(
      `${missing.map((flag) => `--${flag}`).join(', ')} missing: gateways of other machines need all`,
    );
  }
  const file = (flag: (typeof NEEDED)[number]) => ({ name: `--${flag}`, path: values[flag] ?? '' });
  const controlPort = parsePort('--control-port', values['control-port']);
  const bytesPort = parsePort('--bytes-port', values['bytes-port']);
  if (controlPort === bytesPort) throw new RangeError('--bytes-port must be another port than --control-port');
  return {
    host: values.listen ?? '',
    controlPort,
    bytesPort,
    files: { cert: file('tls-cert'), key: file('tls-key'), ca: file('tls-ca') },
    gateways: values['tls-gateways'] === undefined ? null : parseNames(values['tls-gateways']),
  };
}

function parsePort(flag: string, text = ''): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port >= 1 && port <= 65535) return port;
  throw new RangeError(`${flag} must be a whole number from 1 to 65535`);
}

/** An empty list would let nobody in, which nobody means. */
function parseNames(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  if (names.length <= MAX_GATEWAYS && names.every((name) => DNS_NAME.test(name))) return names;
  throw new RangeError(`--tls-gateways must be DNS names, comma-separated, ${String(MAX_GATEWAYS)} at most`);
}
