import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

const ECDSA = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;
/** Clocks differ: a certificate that is made here is valid there at once. */
const EARLIER_MS = 300_000;
/** 127 bits: a serial number is positive. */
const SERIAL_BYTES = 16;

/** A certificate that nobody else vouches for, and its key; both PEM. */
export interface SelfSigned {
  readonly cert: string;
  readonly key: string;
  readonly expires: Date;
}

/**
 * Makes a certificate for a server, ECDSA on P-256. It can vouch for no other.
 * @param hosts DNS names and addresses by which the server is called; at least one
 * @param days how long it is valid
 */
export async function makeSelfSigned(hosts: readonly string[], days: number, now = new Date()): Promise<SelfSigned> {
  const keys = await webcrypto.subtle.generateKey(ECDSA, true, ['sign', 'verify']);
  const serial = randomBytes(SERIAL_BYTES);
  serial.writeUInt8(serial.readUInt8() & 0x7f);
  const expires = new Date(now.getTime() + days * DAY_MS);
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serial.toString('hex'),
      // Its hosts are among the extensions. Who trusts the one before, too, tells them apart by this name alone.
      name: [{ CN: [`Gatehouse ${serial.toString('hex')}`] }],
      ...{ notBefore: new Date(now.getTime() - EARLIER_MS), notAfter: expires, signingAlgorithm: ECDSA, keys },
      extensions: [
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
        new SubjectAlternativeNameExtension(
          hosts.map((value) => ({ type: isIP(value) === 0 ? ('dns' as const) : ('ip' as const), value })),
        ),
        await SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  );
  const key = PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  return { cert: `${certificate.toString('pem')}\n`, key: `${key}\n`, expires };
}
