import { constants, type X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { type Config, ConfigurationError } from '../../config/load.js';
import {
  mistakeIn,
  type NamedFile,
  openToOthers,
  readCertificates,
  readKey,
  requireKeyOf,
} from '../../kernel/pem-files.js';

/** Of TLS 1.2 only what agrees on a fresh key for each connection and authenticates what it encrypts. */
const CIPHERS = [
  ...['TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256', 'TLS_AES_128_GCM_SHA256'],
  ...['ECDHE-ECDSA-AES256-GCM-SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'],
  ...['ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-RSA-CHACHA20-POLY1305'],
  ...['ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'],
].join(':');

/** What of the configuration says which pair, and how it is served. */
export type PairSettings = Pick<
  Config,
  'TLS_CERT_FILE' | 'TLS_KEY_FILE' | 'TLS_CLIENT_CA_FILE' | 'TLS_MIN_VERSION' | 'production'
>;

/** A certificate with its key, read and checked. */
export interface ServerPair {
  /** For every TLS server of this process. */
  readonly options: SecureContextOptions;
  /** The end of the first of the chain's certificates to end. */
  readonly expires: Date;
  /** Nobody else vouches for it. */
  readonly selfSigned: boolean;
  /** What is not as it should be, and does outside production. */
  readonly warnings: readonly string[];
}

/** The files that a pair is made of. */
export const pairFiles = (settings: PairSettings): string[] => [
  ...[settings.TLS_CERT_FILE, settings.TLS_KEY_FILE],
  ...(settings.TLS_CLIENT_CA_FILE === undefined ? [] : [settings.TLS_CLIENT_CA_FILE]),
];

/**
 * Reads the certificate with its chain, the key, and the authority of clients, if there is one.
 * @param now tells whether a certificate has ended
 * @throws ConfigurationError naming the variable, the file and what is wrong with it
 */
export function readServerPair(settings: PairSettings, now: Date): ServerPair {
  try {
    return read(settings, now);
  } catch (error) {
    throw new ConfigurationError([error instanceof Error ? error.message : 'TLS_CERT_FILE: cannot be used']);
  }
}

function read(settings: PairSettings, now: Date): ServerPair {
  const cert = { name: 'TLS_CERT_FILE', path: settings.TLS_CERT_FILE };
  const chain = readCertificates(cert);
  checkChain(cert, chain.parsed, now);
  const keyFile = { name: 'TLS_KEY_FILE', path: settings.TLS_KEY_FILE };
  const key = readKey(keyFile);
  const open = openToOthers(keyFile, key);
  if (open !== null && settings.production) throw new Error(open);
  requireKeyOf(chain.parsed[0], key, keyFile, cert);
  const options: SecureContextOptions = {
    ...{ cert: chain.text.join('\n'), key: key.text, ...authority(settings) },
    ...{ minVersion: `TLSv${settings.TLS_MIN_VERSION}`, ciphers: CIPHERS, honorCipherOrder: true },
    // Who resumes by a ticket would skip the look at the certificate.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_COMPRESSION,
  };
  requireUsable(cert, options);
  const expires = new Date(Math.min(...chain.parsed.map(({ validTo }) => Date.parse(validTo))));
  const [own] = chain.parsed;
  const selfSigned = own !== undefined && own.issuer === own.subject && own.verify(own.publicKey);
  return { options, expires, selfSigned, warnings: open === null ? [] : [open] };
}

/** The first is the server's; each further one vouches for one before it. None has ended, or has not begun. */
function checkChain(file: NamedFile, chain: readonly X509Certificate[], now: Date): void {
  chain.forEach((certificate, index) => {
    const before = chain.slice(0, index);
    if (index > 0 && !before.some((each) => each.verify(certificate.publicKey))) {
      throw mistakeIn(
        file,
        `has a certificate (number ${index + 1}) that vouches for none before it, expected its chain`,
      );
    }
    const which = index === 0 ? 'has' : `has a certificate (number ${index + 1}) that has`;
    if (Date.parse(certificate.validTo) <= now.getTime()) {
      throw mistakeIn(file, `${which} expired on ${iso(certificate.validTo)}, expected one that is valid`);
    }
    if (Date.parse(certificate.validFrom) > now.getTime()) {
      throw mistakeIn(file, `${which} not begun, which it does on ${iso(certificate.validFrom)}`);
    }
  });
}

function authority({ TLS_CLIENT_CA_FILE: path }: PairSettings): { ca?: string[] } {
  if (path === undefined) return {};
  return { ca: [...readCertificates({ name: 'TLS_CLIENT_CA_FILE', path }).text] };
}

/** OpenSSL refuses what is too weak. Its words say nothing of the key. */
function requireUsable(file: NamedFile, options: SecureContextOptions): void {
  try {
    createSecureContext(options);
  } catch (error) {
    const { reason, code = 'unknown' } = Object(error) as { reason?: string; code?: string };
    throw mistakeIn(file, `and its key cannot be used (${reason ?? code})`);
  }
}

const iso = (text: string): string => new Date(text).toISOString();
