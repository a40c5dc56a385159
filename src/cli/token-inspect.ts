import { looksLikeKey, readKey } from '../kernel/api-key-text.js';
import { JSON_FLAG, none, parsed } from './arguments.js';
import { loadCredentials } from './credentials.js';
import { Failure } from './failure.js';
import { type Jwt, readJwt, signatureOf } from './jwt.js';
import { printJson } from './output.js';
import { readCredential } from './prompt.js';
import { findSigningSecret, type SigningSecret } from './signing-secret.js';
import { facts } from './table.js';
import { fromSeconds, relative } from './times.js';

/** `gatehouse token inspect`: what a credential says, without showing it. */
export async function inspect(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, {
    current: { type: 'boolean', default: false },
    'secret-file': { type: 'string' },
    ...JSON_FLAG,
  });
  none(positionals, 'inspect reads the credential from standard input, so that no list of processes shows it');
  const text = values.current ? loadCredentials().token : await readCredential('Token or API key (not shown): ');
  if (looksLikeKey(text)) inspectKey(text, values.json);
  else inspectToken(text, secretFor(values['secret-file']), values.json);
  return 0;
}

function inspectKey(text: string, json: boolean): void {
  const read = readKey(text);
  if (read === null) throw new Failure('that begins like an API key, and has not the shape of one: a part is missing');
  const { key, intact } = read;
  const checksum = intact ? 'right' : 'wrong';
  if (json) {
    printJson({ kind: 'api_key', prefix: key.prefix, id: key.id, checksum });
    return;
  }
  const use = key.prefix === 'gh_live' ? 'production' : 'outside production';
  console.log(
    facts([
      ['kind', `API key, ${key.prefix} (${use})`],
      ['id', key.id],
      ['checksum', intact ? checksum : 'wrong: mistyped or invented'],
    ]),
  );
}

function inspectToken(text: string, secret: SigningSecret | null, json: boolean): void {
  const jwt = readJwt(text);
  if (jwt === null) throw new Failure('that is neither a token nor an API key');
  const signature = signatureOf(jwt, secret?.value ?? null);
  const now = Date.now();
  if (json) {
    const { header, claims } = jwt;
    const expires = fromSeconds(claims['exp']);
    const expired = expires === null ? null : Date.parse(expires) <= now;
    printJson({ kind: 'token', header, claims, expires_at: expires, expired, signature });
    return;
  }
  const checked = secret !== null && signature !== 'not checked' ? ` (${secret.from})` : '';
  const overview: [string, string][] = [
    ['kind', 'token'],
    ['signature', signature + checked],
    ['time', lifetimeOf(jwt, now)],
  ];
  console.log(
    [facts(overview), `HEADER\n${members(jwt.header, now)}`, `CLAIMS\n${members(jwt.claims, now)}`].join('\n\n'),
  );
}

/** The secret to compare with. One that was asked for must be there; of another, its absence says all. */
function secretFor(file: string | undefined): SigningSecret | null {
  try {
    return findSigningSecret(file);
  } catch (error) {
    if (file !== undefined) throw error;
    return null;
  }
}

function lifetimeOf({ claims }: Jwt, now: number): string {
  return momentOf('exp', claims['exp'], now) ?? 'says no time at which it expires';
}

/** Members in their order, one a line. */
function members(object: Readonly<Record<string, unknown>>, now: number): string {
  const pairs = Object.entries(object).map(([name, value]): [string, string] => {
    const shown = typeof value === 'string' ? value : JSON.stringify(value);
    const moment = momentOf(name, value, now);
    return [name, moment === null ? shown : `${shown}  ${moment}`];
  });
  return pairs.length === 0 ? '(none)' : facts(pairs);
}

/** `expires in 14m (…)`, for the claims that are times (RFC 7519, section 4.1); null for others. */
function momentOf(name: string, value: unknown, now: number): string | null {
  const text = fromSeconds(value);
  if (text === null) return null;
  const moment = Date.parse(text);
  const when = relative(moment, now);
  if (name === 'exp') return `${moment > now ? 'expires' : 'expired'} ${when} (${text})`;
  if (name === 'nbf') return `${moment > now ? 'begins' : 'began'} ${when} (${text})`;
  return name === 'iat' ? `issued ${when} (${text})` : null;
}
