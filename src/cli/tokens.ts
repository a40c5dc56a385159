import { newId } from '../kernel/ids.js';
import { type LocalTokenClaims, signLocalToken } from '../kernel/local-token.js';
import { JSON_FLAG, none, parsed } from './arguments.js';
import { Failure, plain, UsageError } from './failure.js';
import type { Noun } from './noun.js';
import { printJson, tell } from './output.js';
import { findSigningSecret } from './signing-secret.js';
import { inspect } from './token-inspect.js';
import { span } from './times.js';

const MAX_HOURS = 24;
const HOUR_SECONDS = 3600;
/** What the server takes for a name: no control characters, no half characters. */
const NAME = /^[^\p{Cc}\p{Cs}]{1,256}$/u;
const MAX_SCOPE = 4096;

const HELP = `Short-lived tokens, made and read without a server.

Usage: gatehouse token <command>

  mint --user NAME [--hours N] [--role R]… [--scope S]… [--group G]… [--tenant T] [--secret-file FILE] [--json]
                            sign a token; --hours is 1 unless given, at most ${MAX_HOURS}, and may have decimals.
                            Without --role it holds what the policy gives by default, or to the user or group.
                            Prints nothing but the token, so that TOKEN=$(gatehouse token mint …) works
  inspect [--current] [--secret-file FILE] [--json]
                            what a token or API key says, read from standard input, or the one that other
                            commands would use with --current. The credential itself is not shown

The secret is the file of --secret-file, else AUTH_SECRET in the environment, else the file auth-secret in DATA_DIR
(data). It is never given on the command line, where others could see it. inspect says whether a token was signed with
it; only the server knows whether a token was revoked.`;

export const TOKEN: Noun = { help: HELP, verbs: { mint, inspect } };

/** What this command puts into a token. */
type Claims = LocalTokenClaims & { readonly roles: readonly string[] };

/** `gatehouse token mint`: for tests, and for who is locked out. */
function mint(args: string[]): number {
  const { values, positionals } = parsed(args, {
    user: { type: 'string' },
    hours: { type: 'string', default: '1' },
    role: { type: 'string', multiple: true, default: [] },
    scope: { type: 'string', multiple: true, default: [] },
    group: { type: 'string', multiple: true, default: [] },
    tenant: { type: 'string' },
    'secret-file': { type: 'string' },
    ...JSON_FLAG,
  });
  none(positionals, 'mint takes flags only, such as --user NAME');
  const claims = claimsOf(values, Math.floor(Date.now() / 1000));
  const secret = findSigningSecret(values['secret-file']);
  if (secret === null) {
    throw new Failure(
      'no secret; set AUTH_SECRET, or DATA_DIR to where the server keeps auth-secret, or --secret-file',
    );
  }
  const token = signLocalToken(claims, secret.value);
  const expires = new Date(claims.exp * 1000).toISOString();
  if (values.json) {
    const { sub, roles, groups = [], scope, tenant = 'default', jti } = claims;
    const scopes = scope?.split(' ') ?? null;
    printJson({ token, jti, expires_at: expires, subject: sub, tenant, roles, groups, scopes });
    return 0;
  }
  if (process.stderr.isTTY) tell(plain(summary(claims, secret.from, expires)));
  console.log(token);
  return 0;
}

interface Wanted {
  readonly user?: string | undefined;
  readonly hours: string;
  readonly role: readonly string[];
  readonly scope: readonly string[];
  readonly group: readonly string[];
  readonly tenant?: string | undefined;
}

/** @throws UsageError for what the server would not take */
function claimsOf({ user, hours, role, scope, group, tenant }: Wanted, now: number): Claims {
  if (user === undefined) throw new UsageError('mint takes --user NAME');
  const lifetime = lifetimeSeconds(hours);
  for (const name of [user, ...role, ...group, ...(tenant === undefined ? [] : [tenant])]) {
    if (!NAME.test(name)) throw new UsageError('names have 1 to 256 characters, none of them a control character');
  }
  if (!scope.every((each) => /^[!-~]+$/.test(each))) throw new UsageError('--scope takes one permission each time');
  const scopes = scope.join(' ');
  if (scopes.length > MAX_SCOPE) throw new UsageError(`all scopes together have at most ${MAX_SCOPE} characters`);
  return {
    sub: user,
    roles: role,
    ...(group.length === 0 ? {} : { groups: group }),
    ...(scopes === '' ? {} : { scope: scopes }),
    ...(tenant === undefined ? {} : { tenant }),
    iat: now,
    exp: now + lifetime,
    jti: newId(),
  };
}

function lifetimeSeconds(hours: string): number {
  const seconds = /^\d{1,2}(\.\d{1,4})?$/.test(hours) ? Math.round(Number(hours) * HOUR_SECONDS) : 0;
  if (seconds < 1 || seconds > MAX_HOURS * HOUR_SECONDS) {
    throw new UsageError(`--hours takes a number above 0, at most ${MAX_HOURS}`);
  }
  return seconds;
}

function summary({ sub, roles, scope, iat, exp }: Claims, from: string, expires: string): string {
  const held = roles.length === 0 ? 'no role of its own' : `roles ${roles.join(', ')}`;
  const narrowed = scope === undefined ? '' : `; only ${scope}`;
  return `token of ${sub}; ${held}${narrowed}; expires in ${span((exp - iat) * 1000)} (${expires}); signed with ${from}`;
}
