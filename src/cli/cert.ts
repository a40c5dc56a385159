import { randomUUID } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { none, parsed, wholeNumber } from './arguments.js';
import { Failure, plain, UsageError } from './failure.js';
import type { Noun } from './noun.js';

const LOCAL = ['localhost', '127.0.0.1', '::1'];
const MAX_HOSTS = 100;
const MAX_DAYS = 3650;
/** A name, which may stand for all directly below it: `*.example.com`. */
const DNS_NAME = /^(?=.{1,253}$)(\*\.)?[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/i;

const HELP = `Certificates for the server’s TLS.

Usage: gatehouse cert <command>

  self-signed [--host NAME]… [--days N] [--out DIR] [--force]
                            makes a certificate that nobody else vouches for, and its key: server.crt and server.key
                            (mode 600) in DIR (certs). --host is a name or address by which the server is called;
                            ${LOCAL.join(', ')} without any. --days is 365 unless given, at most ${MAX_DAYS}.
                            Files that are there stay, unless --force is given; a server that runs takes new ones up

Clients are told to trust it by NODE_EXTRA_CA_CERTS=certs/server.crt, or as they want to be told: curl by --cacert.`;

export const CERT: Noun = { help: HELP, verbs: { 'self-signed': selfSigned } };

/** `gatehouse cert self-signed`. */
async function selfSigned(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, {
    host: { type: 'string', multiple: true, default: LOCAL },
    days: { type: 'string', default: '365' },
    out: { type: 'string', default: 'certs' },
    force: { type: 'boolean', default: false },
  });
  none(positionals, 'self-signed takes flags only, such as --host NAME');
  const hosts = values.host.map(hostOf);
  if (hosts.length > MAX_HOSTS) throw new UsageError(`--host is given ${MAX_HOSTS} times at most`);
  const days = wholeNumber('--days', values.days);
  if (days > MAX_DAYS) throw new UsageError(`--days takes a whole number, at most ${MAX_DAYS}`);
  const [cert, key] = [join(values.out, 'server.crt'), join(values.out, 'server.key')];
  if (!values.force) for (const file of [cert, key]) requireNone(file);
  // The library that makes it would be a fifth of the start of every other command.
  const made = await (await import('./self-signed.js')).makeSelfSigned(hosts, days);
  named(values.out, () => mkdirSync(values.out, { recursive: true }));
  put(key, made.key, 0o600, values.force);
  put(cert, made.cert, 0o644, values.force);
  console.log(plain(`${cert} and ${key} are for ${hosts.join(', ')}, until ${made.expires.toISOString()}`));
  return 0;
}

/** @throws UsageError when it is neither a name nor an address */
function hostOf(text: string): string {
  const host = /^\[(.*)\]$/.exec(text)?.[1] ?? text;
  if (isIP(host) === 0 && !DNS_NAME.test(host)) {
    throw new UsageError('--host takes a name or address, without scheme or port');
  }
  return host;
}

/** @throws Failure */
function requireNone(file: string): void {
  if (existsSync(file)) throw new Failure(`${file} is there already; --force replaces it`);
}

/** Writes a file as a whole, with its mode from the beginning. */
function put(file: string, text: string, mode: number, replace: boolean): void {
  const partial = `${file}.${randomUUID()}.new`;
  named(file, () => {
    try {
      writeFileSync(partial, text, { mode, flag: 'wx' });
      if (replace) renameSync(partial, file);
      // Fails where somebody else was first.
      else linkSync(partial, file);
    } finally {
      rmSync(partial, { force: true });
    }
  });
}

/** @throws Failure in a sentence that names the file */
function named(file: string, work: () => unknown): void {
  try {
    work();
  } catch (error) {
    const { code } = Object(error) as { code?: unknown };
    throw code === 'EEXIST'
      ? new Failure(`${file} is there already; --force replaces it`)
      : new Failure(`${file} cannot be written (${String(code)})`);
  }
}
