import { SECRET } from './gateway.js';
import { craft, part, type ProviderKey } from './key-server.js';

/** One crafted token, and how it must be refused. */
export interface Attack {
  readonly name: string;
  readonly token: string;
  readonly code: string;
  /** The word in the audit trail. */
  readonly reason: string;
}

/** Whom the tokens pretend to come from. */
export interface Victims {
  /** RS256 at this issuer, audience `gatehouse`. */
  readonly rsa: { readonly issuer: string; readonly key: ProviderKey };
  /** ES256 at this issuer, audience `gatehouse`. */
  readonly ec: { readonly issuer: string; readonly key: ProviderKey };
  /** Two keys that no provider published. */
  readonly strangers: { readonly rsa: ProviderKey; readonly ec: ProviderKey };
}

type Row = readonly [name: string, token: string, reason: string, code?: string];

const HS = { alg: 'HS256', typ: 'JWT' };
const now = (): number => Math.floor(Date.now() / 1000);
const times = (): object => ({ iat: now() - 10, exp: now() + 600 });
const local = (claims: object = {}): object => ({
  ...{ sub: 'mallory', roles: ['admin'], iss: 'gatehouse', aud: 'gatehouse' },
  ...times(),
  ...claims,
});
/** Claims as text, with more text before the end. */
const json = (claims: object, extra = ''): string => JSON.stringify(claims).replace(/}$/, `${extra}}`);
const ours = (payload: object | string | Buffer, header: object | string | Buffer = HS): string =>
  craft(header, payload, 'HS256', SECRET);
const bare = (header: object, payload: object, signature = ''): string =>
  `${part(header)}.${part(payload)}.${signature}`;

/** Every attack, each of which nothing but the flaw it names keeps from being accepted. */
export function attacks(victims: Victims): Attack[] {
  const rows = [
    ...unsigned(victims),
    ...confusedKeys(victims),
    ...headers(victims),
    ...bytes(),
    ...documents(),
    ...claimTypes(),
    ...meaning(victims),
  ];
  return rows.map(([name, token, reason, code = 'JWT_INVALID']) => ({ name, token, reason, code }));
}

function unsigned({ rsa }: Victims): Row[] {
  const payload = { ...local(), iss: rsa.issuer };
  const nones = ['none', 'None', 'NONE', 'nOnE', 'none '].map((alg): Row => [
    `alg ${alg}, signature of nothing`,
    bare({ alg }, local(), 'AA'),
    'alg_not_allowed',
  ]);
  return [
    ...nones,
    ['alg none, no signature', bare({ alg: 'none' }, local()), 'unsigned'],
    ['alg none at a provider', bare({ alg: 'none', kid: rsa.key.kid }, payload, 'AA'), 'alg_not_allowed'],
    ['HS256 without a signature', bare(HS, local()), 'unsigned'],
    ['HS256 with an empty secret', craft(HS, local(), 'HS256', ''), 'signature', 'JWT_SIGNATURE_INVALID'],
    ['HS256 with a published secret', craft(HS, local(), 'HS256', 'changeme'), 'signature', 'JWT_SIGNATURE_INVALID'],
    ['a signature of one byte', bare(HS, local(), 'AA'), 'signature', 'JWT_SIGNATURE_INVALID'],
    ['a signature of zeros', bare(HS, local(), part(Buffer.alloc(32))), 'signature', 'JWT_SIGNATURE_INVALID'],
  ];
}

function confusedKeys({ rsa, ec, strangers }: Victims): Row[] {
  const at = (issuer: string): object => local({ iss: issuer });
  const pem = rsa.key.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const der = rsa.key.publicKey.export({ type: 'spki', format: 'der' }).toString('latin1');
  const [kid, ecKid] = [rsa.key.kid, ec.key.kid];
  const wrongSignature = 'JWT_SIGNATURE_INVALID';
  return [
    [
      'HS256 with the public key as secret (PEM)',
      craft({ ...HS, kid }, at(rsa.issuer), 'HS256', pem),
      'alg_not_allowed',
    ],
    [
      'HS256 with the public key as secret (DER)',
      craft({ ...HS, kid }, at(rsa.issuer), 'HS256', der),
      'alg_not_allowed',
    ],
    ['HS256 with the public key as local token', craft(HS, local(), 'HS256', pem), 'signature', wrongSignature],
    [
      'HS256 of ours in the name of a provider',
      craft({ ...HS, kid }, at(rsa.issuer), 'HS256', SECRET),
      'alg_not_allowed',
    ],
    ['HS512 with our secret', craft({ alg: 'HS512' }, local(), 'HS512', SECRET), 'alg_not_allowed'],
    ['RS256 in our name', craft({ alg: 'RS256', kid }, local(), 'RS256', rsa.key.privateKey), 'alg_not_allowed'],
    [
      'RS384 where RS256 is allowed',
      craft({ alg: 'RS384', kid }, at(rsa.issuer), 'RS384', rsa.key.privateKey),
      'alg_not_allowed',
    ],
    [
      'PS256 where RS256 is allowed',
      craft({ alg: 'PS256', kid }, at(rsa.issuer), 'PS256', rsa.key.privateKey),
      'alg_not_allowed',
    ],
    [
      'PS256 called RS256',
      craft({ alg: 'RS256', kid }, at(rsa.issuer), 'PS256', rsa.key.privateKey),
      'signature',
      wrongSignature,
    ],
    [
      'ES256 where RS256 is allowed',
      craft({ alg: 'ES256', kid }, at(rsa.issuer), 'ES256', ec.key.privateKey),
      'alg_not_allowed',
    ],
    [
      'a stranger under a known key id',
      craft({ alg: 'RS256', kid }, at(rsa.issuer), 'RS256', strangers.rsa.privateKey),
      'signature',
      wrongSignature,
    ],
    [
      'a stranger without a key id',
      craft({ alg: 'ES256' }, at(ec.issuer), 'ES256', strangers.ec.privateKey),
      'signature',
      wrongSignature,
    ],
    [
      'an ES256 signature of zeros',
      bare({ alg: 'ES256', kid: ecKid }, at(ec.issuer), part(Buffer.alloc(64))),
      'signature',
      wrongSignature,
    ],
    [
      'an ES256 signature that is too short',
      bare({ alg: 'ES256', kid: ecKid }, at(ec.issuer), 'AAAA'),
      'signature',
      wrongSignature,
    ],
    [
      'the key of another provider',
      craft({ alg: 'RS256', kid: ecKid }, at(rsa.issuer), 'RS256', strangers.rsa.privateKey),
      'key_unknown',
    ],
  ];
}

function headers({ rsa, strangers }: Victims): Row[] {
  const { kid } = rsa.key;
  const at = local({ iss: rsa.issuer });
  const stranger = (members: object): string =>
    craft({ alg: 'RS256', kid, ...members }, at, 'RS256', strangers.rsa.privateKey);
  const ids = [
    ['a path', '../../../../dev/null'],
    ['SQL', "x' UNION SELECT 'secret' --"],
    ['an address', 'https://evil.example.com/key.pem'],
    ['a command', '$(id) | sh'],
  ].map(([what = '', id = '']): Row => [`kid is ${what}`, stranger({ kid: id }), 'key_unknown']);
  const forms = [
    ['with NUL', 'a\0b'],
    ['a number', 5],
    ['a list', [kid]],
    ['null', null],
    ['empty', ''],
    ['with a homoglyph', 'rsа'],
    ['very long', 'k'.repeat(300)],
  ].map(([what, id]): Row => [`kid ${String(what)}`, stranger({ kid: id }), 'kid_form']);
  const members = {
    ...{ jku: 'https://evil.example.com/jwks', x5u: 'https://evil.example.com/cert', jwk: strangers.rsa.jwk },
    ...{ x5c: ['MIIB'], crit: ['exp'], b64: false, zip: 'DEF', enc: 'A256GCM' },
  };
  const refused = Object.entries(members).map(([name, value]): Row => [
    `header ${name}`,
    stranger({ [name]: value }),
    `header_${name}`,
  ]);
  const types = ['id+jwt', 'logout+jwt', 'refresh+jwt', 'dpop+jwt', 'vnd.backstage.user', 'JOSE', ''].map(
    (typ): Row => [`typ "${typ}"`, ours(local(), { ...HS, typ }), 'typ'],
  );
  return [
    ...ids,
    ...forms,
    ...refused,
    ...types,
    ['a kid on a local token', ours(local(), { ...HS, kid: '/dev/null' }), 'kid_unexpected'],
    ['crit that is empty', ours(local(), { ...HS, crit: [] }), 'header_crit'],
    ['typ a number', ours(local(), { ...HS, typ: 1 }), 'typ_type'],
    ['alg missing', ours(local(), { typ: 'JWT' }), 'alg_type'],
    ['alg a list', ours(local(), { alg: ['HS256'] }), 'alg_type'],
    ['alg in lower case', ours(local(), { alg: 'hs256' }), 'alg_not_allowed'],
    ['alg with a homoglyph', ours(local(), { alg: 'НS256' }), 'alg_not_allowed'],
    ['alg with NUL', ours(local(), { alg: 'HS256\0' }), 'alg_not_allowed'],
  ];
}

function bytes(): Row[] {
  const good = ours(local());
  const [head = '', body = '', end = ''] = good.split('.');
  // Of the last character of 32 bytes only four bits count.
  const sibling = end.replace(/.$/, (last) =>
    'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.charAt(
      'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.indexOf(last) + 1,
    ),
  );
  return [
    ['one part', head, 'structure'],
    ['two parts', `${head}.${body}`, 'structure'],
    ['four parts', `${good}.${end}`, 'structure'],
    ['five parts, as encrypted ones have', `${head}...${end}.AA`, 'structure'],
    ['a dot after the end', `${good}.`, 'structure'],
    ['an empty header', `.${body}.${end}`, 'encoding'],
    ['an empty payload', `${head}..${end}`, 'encoding'],
    ['padding', `${head}.${body}.${end}=`, 'encoding'],
    ['stray last bits', `${head}.${body}.${sibling}`, 'encoding'],
    ['the other alphabet', `${head}.${body}.${end.slice(0, -2)}+/`, 'encoding'],
    ['trailing garbage', `${good}!`, 'encoding'],
    ['a percent sign', `${head}.${body}.${end.slice(0, -3)}%3D`, 'encoding'],
    [
      'another payload under the signature',
      `${head}.${part(local({ sub: 'root' }))}.${end}`,
      'signature',
      'JWT_SIGNATURE_INVALID',
    ],
  ];
}

function documents(): Row[] {
  const claims = local();
  const nested = '['.repeat(40) + ']'.repeat(40);
  return [
    ['a member twice', ours(json(claims, ',"sub":"root"')), 'payload_duplicate_member'],
    ['a member twice, once escaped', ours(json(claims, ',"\\u0073ub":"root"')), 'payload_duplicate_member'],
    ['a member twice further in', ours(json(claims, ',"x":{"a":1,"a":2}')), 'payload_duplicate_member'],
    ['alg twice', ours(claims, '{"alg":"none","alg":"HS256"}'), 'header_duplicate_member'],
    ['__proto__', ours(json(claims, ',"__proto__":{"roles":["admin"]}')), 'payload_forbidden_member'],
    ['deeply nested', ours(json(claims, `,"x":${nested}`)), 'payload_too_deep'],
    ['a number without bounds', ours(json(claims, ',"x":1e999')), 'payload_number_range'],
    ['NaN', ours(json(claims, ',"x":NaN')), 'payload_not_json'],
    ['no JSON', ours('sub=mallory'), 'payload_not_json'],
    ['JSON and more', ours(`${JSON.stringify(claims)}{}`), 'payload_not_json'],
    ['a byte order mark', ours(`\ufeff${JSON.stringify(claims)}`), 'payload_not_json'],
    ['a list', ours(JSON.stringify([claims])), 'payload_not_an_object'],
    ['null', ours('null'), 'payload_not_an_object'],
    [
      'bytes that are not UTF-8',
      ours(Buffer.concat([Buffer.from('{"sub":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')])),
      'payload_not_utf8',
    ],
    ['a header that is no object', ours(claims, '"HS256"'), 'header_not_an_object'],
  ];
}

function claimTypes(): Row[] {
  const wrong: Record<string, unknown[]> = {
    exp: ['1234', true, null, 1.5, -1, [now() + 600], 1e300],
    iat: ['1', false, null, {}, -5],
    nbf: ['0', true, null],
    sub: [5, true, null, '', ['root'], { a: 1 }, 'a\0b', 'a\nb', '\ud800', 'x'.repeat(257)],
    userId: [5],
    role: [['admin'], 1],
    roles: ['admin', [1], { 0: 'admin' }, null],
    groups: ['a', [null], true],
    scope: [['pty:view'], 1],
    tenant: [1, ['default'], ''],
    email: [true],
    name: [{}],
    jti: [5, ''],
    typ: ['Refresh', 'ID', 1],
    iss: [5, ['gatehouse'], null],
    aud: [5, null, {}, [], [5, 'gatehouse']],
    key_id: [1],
    idp: [[]],
    parent: [true],
  };
  return Object.entries(wrong).flatMap(([name, values]) =>
    values.map((value): Row => {
      const shown = JSON.stringify(value).slice(0, 20);
      return [`claim ${name}: ${shown}`, ours(local({ [name]: value })), `claim_${name}`];
    }),
  );
}

function meaning({ rsa, ec }: Victims): Row[] {
  const provided = (claims: object): string =>
    craft({ alg: 'ES256', kid: ec.key.kid }, local({ iss: ec.issuer, ...claims }), 'ES256', ec.key.privateKey);
  const without = (name: string): object => Object.fromEntries(Object.entries(local()).filter(([key]) => key !== name));
  const issuers = [
    `${ec.issuer}/`,
    ec.issuer.toUpperCase(),
    ` ${ec.issuer}`,
    'https://evil.example.com',
    'gаtehouse',
    'Gatehouse',
  ];
  const audiences = ['other', 'Gatehouse', 'gatehouse ', 'gatehouse2', ['other'], 'gatehouse,other'];
  const [early, late] = ['JWT_NOT_YET_VALID', 'JWT_EXPIRED'];
  return [
    ...issuers.map((iss): Row => [`issuer ${iss}`, provided({ iss }), 'issuer_unknown']),
    ...audiences.map((aud): Row => [`audience ${JSON.stringify(aud)}`, provided({ aud }), 'audience']),
    ['issuer of the other provider', provided({ iss: rsa.issuer }), 'alg_not_allowed'],
    ['without exp', ours(without('exp')), 'claim_exp'],
    ['without iat', ours(without('iat')), 'claim_iat'],
    ['without aud', ours(without('aud')), 'claim_aud'],
    ['without iss', ours(without('iss')), 'claim_iss'],
    ['without a subject', ours(without('sub')), 'subject_missing'],
    ['two subjects', ours(local({ userId: 'root' })), 'subject_ambiguous'],
    ['a provider that is not configured', ours(local({ idp: 'elsewhere' })), 'idp_unknown'],
    ['expired', ours(local({ iat: now() - 900, exp: now() - 61 })), 'expired', late],
    ['expired at a provider', provided({ iat: now() - 900, exp: now() - 61 }), 'expired', late],
    ['nbf in the future', ours(local({ nbf: now() + 120 })), 'nbf_in_future', early],
    ['iat in the future', ours(local({ iat: now() + 120 })), 'iat_in_future', early],
    ['iat in the future at a provider', provided({ iat: now() + 120 }), 'iat_in_future', early],
    ['exp before iat', ours(local({ iat: now(), exp: now() - 1 })), 'lifetime'],
    ['a lifetime over a day', ours(local({ exp: now() + 86_500 })), 'lifetime_too_long'],
    ['a lifetime of centuries', provided({ exp: 253_402_300_799 }), 'lifetime_too_long'],
  ];
}
