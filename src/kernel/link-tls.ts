import { constants } from 'node:crypto';
import { type NamedFile, openToOthers, readCertificates, readKey, requireKeyOf } from './pem-files.js';

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
  const cert = readCertificates(files.cert);
  const ca = readCertificates(files.ca);
  const key = readKey(files.key);
  const open = openToOthers(files.key, key);
  if (open !== null) throw new Error(open);
  requireKeyOf(cert.parsed[0], key, files.key, files.cert);
  const common = { minVersion: 'TLSv1.3', secureOptions: constants.SSL_OP_NO_TICKET } as const;
  return { cert: cert.text.join('\n'), key: key.text, ca: [...ca.text], ...common };
}
