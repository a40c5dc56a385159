import type { X509Certificate } from 'node:crypto';

/** The purpose `clientAuth` of a certificate (RFC 5280, 4.2.1.12). */
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/**
 * Whether the holder of a certificate that the authority signed is a gateway. The certificate must say that it is for
 * clients: a runner's, whose key the programs on its machine can read, would open all other runners otherwise.
 * @param names DNS names, of which it must have one, no wildcard; null: any will do
 */
export function isGateway(certificate: X509Certificate | undefined, names: readonly string[] | null): boolean {
  // Node's name for the extended key usage.
  const purposes: readonly string[] | undefined = certificate?.keyUsage;
  if (certificate === undefined || purposes?.includes(CLIENT_AUTH) !== true) return false;
  const exactly = { subject: 'never', wildcards: false } as const;
  return names?.some((name) => certificate.checkHost(name, exactly) !== undefined) ?? true;
}
