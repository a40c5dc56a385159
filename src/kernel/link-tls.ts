import { constants, createPrivateKey, X509Certificate } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';

/** Certificates and keys are some kilobytes: what is larger is another file. */
const MAX_BYTES = 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** A file, and the flag or variable that names it. */
export interface NamedFile {
  readonly name: string;
  readonly path: string;
}

/** What one side of the link between two machines needs, as files in PEM form. */
export interface LinkTlsFiles {
  /** This side's certificate, followed by the intermediate ones if there are any. */
  readonly cert: NamedFile;
  readonly key: NamedFile;
  /** Certificates of the authorities of the other side. */
  readonly ca: NamedFile;
}

/** Options for both sides of TLS: what is older than 1.3 is refused, whatever the process is started with. */
export interface LinkTls {
  readonly cert: string;
  readonly key: string;
  /** Never empty: Node takes an empty one for the authorities that the system trusts. */
  readonly ca: string[];
  readonly minVersion: 'TLSv1.3';
  /** A connection that is resumed by a ticket would skip the look at the certificate. */
  readonly secureOptions: number;
}

/**
 * Reads the files of one side.
 * @throws Error with a plain sentence that names the flag or variable: one cannot be read, is not what it should be, the
 * key is not the certificate's, or others may read it
 */
export function readLinkTls(files: LinkTlsFiles): LinkTls {
  const cert = certificates(files.cert);
  const ca = certificates(files.ca);
  const key = read(files.key, true);
  const [own] = cert.parsed;
  if (own?.checkPrivateKey(parseKey(files.key, key)) !== true) {
    throw mistake(files.key, `is not the key of the certificate in ${files.cert.name}`);
  }
  const common = { minVersion: 'TLSv1.3', secureOptions: constants.SSL_OP_NO_TICKET } as const;
  return { cert: cert.text.join('\n'), key, ca: ca.text, ...common };
}

function certificates(file: NamedFile): { text: string[]; parsed: X509Certificate[] } {
  const text = read(file, false).match(CERTIFICATE) ?? [];
  if (text.length === 0) throw mistake(file, 'has no certificate in PEM form');
  try {
    return { text, parsed: text.map((each) => new X509Certificate(each)) };
  } catch {
    throw mistake(file, 'has a certificate that cannot be read');
  }
}

function parseKey(file: NamedFile, key: string): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey(key);
  } catch {
    // What went wrong inside may quote the key.
    throw mistake(file, 'is no private key in PEM form without a passphrase');
  }
}

/** Looks at the file that it reads, not at whatever has its name by then. */
function read(file: NamedFile, secret: boolean): string {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file.path, 'r');
    const { mode, size } = fstatSync(descriptor);
    if (size > MAX_BYTES) throw mistake(file, `has ${size} bytes, expected ${MAX_BYTES} at most`);
    if (secret && (mode & 0o077) !== 0) {
      throw mistake(file, `may be read by others (mode ${(mode & 0o777).toString(8)}), expected 600`);
    }
    return readFileSync(descriptor, 'utf8');
  } catch (error) {
    const { code } = Object(error) as { code?: unknown };
    throw typeof code === 'string' ? mistake(file, `cannot be read (${code})`) : error;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

const mistake = ({ name, path }: NamedFile, words: string): Error =>
  new Error(`${name}: ${JSON.stringify(path)} ${words}`);
