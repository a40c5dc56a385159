import { createPrivateKey, X509Certificate } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';

/** Certificates and keys are some kilobytes: what is larger is another file. */
const MAX_BYTES = 1024 * 1024;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** A file, and the flag or variable that names it. */
export interface NamedFile {
  readonly name: string;
  readonly path: string;
}

/** The certificates of a file, in its order; at least one. */
export interface Certificates {
  readonly text: readonly string[];
  readonly parsed: readonly X509Certificate[];
}

/** A private key, and the permissions of the file that it was read from. */
export interface PrivateKey {
  readonly text: string;
  readonly mode: number;
}

/** @throws Error with a plain sentence that names the flag or variable: it cannot be read, or has none in PEM form */
export function readCertificates(file: NamedFile): Certificates {
  const text = read(file).text.match(CERTIFICATE) ?? [];
  if (text.length === 0) throw mistakeIn(file, 'has no certificate in PEM form');
  try {
    return { text, parsed: text.map((each) => new X509Certificate(each)) };
  } catch {
    throw mistakeIn(file, 'has a certificate that cannot be read');
  }
}

/** What is in the file of a key, not looked at yet. @throws Error with a plain sentence: it cannot be read */
export const readKey = (file: NamedFile): PrivateKey => read(file);

/**
 * @param own the certificate, and `certificate` which file it is in, for the message
 * @throws Error with a plain sentence: it is no key, or another certificate's
 */
export function requireKeyOf(
  own: X509Certificate | undefined,
  { text }: PrivateKey,
  file: NamedFile,
  certificate: Pick<NamedFile, 'name'>,
): void {
  if (own?.checkPrivateKey(parseKey(file, text)) !== true) {
    throw mistakeIn(file, `is not the key of the certificate in ${certificate.name}`);
  }
}

/** What is wrong with a key that others may read, as they may with this mode; null when nobody may. */
export const openToOthers = ({ name, path }: NamedFile, { mode }: PrivateKey): string | null =>
  (mode & 0o077) === 0
    ? null
    : `${name}: ${JSON.stringify(path)} may be read by others (mode ${(mode & 0o777).toString(8)}), expected 600`;

/** A mistake in a file, as a sentence that names it. */
export const mistakeIn = ({ name, path }: NamedFile, words: string): Error =>
  new Error(`${name}: ${JSON.stringify(path)} ${words}`);

function parseKey(file: NamedFile, key: string): ReturnType<typeof createPrivateKey> {
  try {
    return createPrivateKey(key);
  } catch {
    // What went wrong inside may quote the key.
    throw mistakeIn(file, 'is no private key in PEM form without a passphrase');
  }
}

/** Looks at the file that it reads, not at whatever has its name by then. */
function read(file: NamedFile): { text: string; mode: number } {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file.path, 'r');
    const { mode, size } = fstatSync(descriptor);
    if (size > MAX_BYTES) throw mistakeIn(file, `has ${size} bytes, expected ${MAX_BYTES} at most`);
    return { text: readFileSync(descriptor, 'utf8'), mode };
  } catch (error) {
    const { code } = Object(error) as { code?: unknown };
    throw typeof code === 'string' ? mistakeIn(file, `cannot be read (${code})`) : error;
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
