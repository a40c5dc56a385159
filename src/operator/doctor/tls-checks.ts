import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Config } from '../../config/load.js';
import { type CheckId, type Finding, ok, problem, skipped, warning } from '../finding.js';
import { statOf } from './file-checks.js';

const DAY_MS = 86_400_000;
/** A certificate that ends sooner is to be renewed. */
const SOON_DAYS = 21;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/;

/** A certificate and its key, as paths of files in PEM form. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** The pair that callers meet; null without TLS. */
function serverPair(config: Config): Pair | null {
  return config.TLS_ENABLED ? { cert: config.TLS_CERT_FILE, key: config.TLS_KEY_FILE } : null;
}

/** @param now milliseconds since 1970 */
export function tls(config: Config, now: number): Finding[] {
  const pair = serverPair(config);
  const { remoteRunner: runner } = config;
  return [
    ...(pair === null
      ? (['tls.certificate', 'tls.key'] as const).map((id) => skipped(id, 'this server does not speak TLS itself'))
      : [certificate('tls.certificate', pair, now), keyFile(pair.key)]),
    runner === null ? skipped('tls.runner', 'the runner is on this machine') : certificate('tls.runner', runner, now),
  ];
}

/** Is it there, valid now and for a while, and the key's? */
export function certificate(id: CheckId, { cert, key }: Pair, now: number): Finding {
  const mend = 'Put a valid pair there: the certificate with its intermediate ones, and its key, in PEM.';
  const found = parsed(cert, (text) => new X509Certificate(CERTIFICATE.exec(text)?.[0] ?? ''));
  if (typeof found === 'string') return problem(id, `${JSON.stringify(cert)} ${found}`, mend);
  const own = parsed(key, (text) => createPrivateKey(text));
  if (typeof own === 'string') return problem(id, `${JSON.stringify(key)} ${own}`, mend);
  return dated(id, found, now) ?? matched(id, found, own, mend);
}

function dated(id: CheckId, { validFromDate: from, validToDate: to }: X509Certificate, now: number): Finding | null {
  const day = (date: Date): string => date.toISOString().slice(0, 10);
  const renew = 'Renew the certificate.';
  if (from.getTime() > now)
    return problem(id, `it is valid from ${day(from)} on`, 'Look at the clock, or take another.');
  if (to.getTime() <= now) return problem(id, `it has ended on ${day(to)}`, renew);
  return to.getTime() - now < SOON_DAYS * DAY_MS ? warning(id, `it ends on ${day(to)}`, renew) : null;
}

const matched = (id: CheckId, found: X509Certificate, own: KeyObject, mend: string): Finding =>
  found.checkPrivateKey(own)
    ? ok(id, `valid until ${found.validToDate.toISOString().slice(0, 10)}`)
    : problem(id, 'the key is not the key of the certificate', mend);

function keyFile(path: string): Finding {
  const found = statOf(path);
  if (found === null) return skipped('tls.key', `${JSON.stringify(path)} is not there, or not for this user to see`);
  const { mode } = found;
  if ((mode & 0o077) === 0) return ok('tls.key', 'closed to others');
  const mend = 'Run `chmod 600` on it; if somebody may have read it, take a new key and certificate.';
  return problem('tls.key', `other users may read ${JSON.stringify(path)} (mode ${(mode & 0o777).toString(8)})`, mend);
}

/** What is in a file, or in a few words why it is not to be had. */
function parsed<T>(path: string, parse: (text: string) => T): T | string {
  try {
    return parse(readFileSync(path, 'utf8'));
  } catch (error) {
    const { code = '', syscall } = error as NodeJS.ErrnoException;
    return syscall === undefined ? 'is not what it should be' : `cannot be read (${code})`;
  }
}
