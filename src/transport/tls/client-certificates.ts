import type { X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

/** The two ends of a connection, which tell it from every other that is open. */
export interface Ends {
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

/**
 * The subjects of verified certificates, by connection: gRPC tells of its calls no more than the ends. One for each open
 * connection that has one.
 */
const subjects = new Map<string, string>();

/** Remembers who the certificate of a connection is for, until it closes. The authority has been checked. */
export function noteVerified(socket: TLSSocket, certificate: X509Certificate): void {
  const name = nameOf(socket);
  subjects.set(name, subjectOf(certificate));
  socket.once('close', () => subjects.delete(name));
}

/** Who the verified certificate of a connection is for; undefined when there is none. */
export const verifiedSubject = (connection: Ends): string | undefined =>
  subjects.size === 0 ? undefined : subjects.get(nameOf(connection));

/** On one line; of a certificate without a subject its other names. */
const subjectOf = ({ subject, subjectAltName }: X509Certificate): string =>
  (subject as string | undefined)?.replaceAll('\n', ', ') ?? subjectAltName ?? 'nobody';

const nameOf = ({ localAddress, localPort, remoteAddress, remotePort }: Ends): string =>
  `${String(localAddress)} ${String(localPort)} ${String(remoteAddress)} ${String(remotePort)}`;
