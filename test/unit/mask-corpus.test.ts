import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { generateKey } from '../../src/kernel/api-key-text.js';
import { DomainError } from '../../src/kernel/errors.js';
import { mask } from '../../src/kernel/mask.js';
import { maskValue } from '../../src/kernel/mask-value.js';
import { loggerTo } from '../../src/transport/logging.js';

/** A secret as it stands in a text, what of it must not be shown, and the mask that is shown instead. */
interface Sample {
  readonly kind: string;
  readonly text: string;
  readonly secrets: readonly string[];
  readonly shown: string;
}

const sample = (kind: string, text: string, secrets: readonly string[], shown: string): Sample => ({
  ...{ kind, text, secrets, shown },
});

const key = generateKey('gh_live');
const testKey = generateKey('gh_test');
const PEM = String(generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' })).trim();
const BODY = PEM.split('\n')[1] ?? '';
const HIDDEN = 'hunter2Hunter2';
const JWT = ['eyJhbGciOiJIUzI1NiJ9', 'eyJzdWIiOiJhbGljZSJ9', 'c2lnbmF0dXJlc2lnbmF0dXJl'].join('.');
const BASIC = Buffer.from(`alice:${HIDDEN}`).toString('base64');
const letters = 'abcDEF0123456789';
/** What GitHub takes for a password behind a token. */
const FIXED = 'x-oauth-basic';
const AWS_SECRET = ['wJalrXUtnFEMI', 'K7MDENG', 'bPxRfiCYzzzzzzzKEY'].join('/');

/** Known by their own form. */
const FORMS: readonly Sample[] = [
  sample('jwt', JWT, [JWT.slice(-20), 'eyJzdWIi'], 'jwt_****'),
  sample('API key', key.text, [key.secret, key.id.slice(0, 12)], `gh_live_****${key.id.slice(-4)}`),
  sample('API key for tests', testKey.text, [testKey.secret], `gh_test_****${testKey.id.slice(-4)}`),
  sample('ticket', `gh_ticket_${letters}_-${letters}`, [letters], 'gh_ticket_****'),
  sample('Anthropic key', `sk-ant-api03-${letters}`, [letters], 'sk-ant_****'),
  sample('other provider’s key', `sk-proj-${letters}`, [letters], 'sk_****'),
  ...['ghp', 'gho', 'ghs', 'ghu', 'ghr'].map((prefix) =>
    sample(`GitHub token ${prefix}`, `${prefix}_${letters}${letters}`, [letters], 'github_****'),
  ),
  sample('GitHub token of the fine-grained kind', `github_pat_11AA_${letters}${letters}`, [letters], 'github_****'),
  sample('AWS key', 'AKIAIOSFODNN7EXAMPLE', ['IOSFODNN'], 'aws_****'),
  sample('AWS key of a session', 'ASIAIOSFODNN7EXAMPLE', ['IOSFODNN'], 'aws_****'),
  sample('AWS key and its secret', `AKIAIOSFODNN7EXAMPLE,${AWS_SECRET}`, ['IOSFODNN', AWS_SECRET], 'aws_****'),
  sample('private key', PEM, [BODY, BODY.slice(0, 16)], 'pem_****'),
  sample('private key cut off', PEM.slice(0, -40), [BODY.slice(0, 16)], 'pem_****'),
  sample('password in an address', `postgres://gatehouse:${HIDDEN}@db:5432/x`, [HIDDEN], 'password_****'),
  sample('password with an @', `redis://:${HIDDEN}@p@cache:6379`, [HIDDEN], 'password_****'),
  sample('token as a user', `https://glpat-${letters}@git.example.com/x.git`, [letters], '//user_****@'),
  sample('token with a fixed password', `https://${letters}${letters}:${FIXED}@h/x`, [letters], '//user_****:'),
  sample('webhook', `https://hooks.slack.com/services/T000/B000/${letters}`, ['T000', letters], 'slack_****'),
];

/** Known by what stands before them. */
const NAMED: readonly Sample[] = [
  sample('bearer', `Authorization: Bearer ${HIDDEN}`, [HIDDEN], 'secret_****'),
  sample('basic', `Authorization: Basic ${BASIC}`, [BASIC], 'secret_****'),
  sample('basic alone', `with Basic ${BASIC}`, [BASIC], 'Basic basic_****'),
  sample('digest', `Authorization: Digest username="alice", response="${HIDDEN}"`, [HIDDEN], 'secret_****'),
  sample('cookie', `Cookie: theme=dark; sid=${HIDDEN}`, [HIDDEN], 'secret_****'),
  sample('quoted cookie', `Cookie: sid="${HIDDEN}"; x=${HIDDEN}`, [HIDDEN], 'secret_****'),
  sample('set-cookie', `Set-Cookie: sid=${HIDDEN}; Path=/; HttpOnly`, [HIDDEN], 'secret_****'),
  sample('x-api-key', `X-API-Key: ${HIDDEN}`, [HIDDEN], 'secret_****'),
  ...['password', 'passwd', 'DATABASE_PASSWORD', 'client_secret', 'accessToken', 'AUTH_SECRET', 'api_key'].map((name) =>
    sample(`${name}=`, `${name}=${HIDDEN}`, [HIDDEN], 'secret_****'),
  ),
  ...[
    ...['AUTH_SECRET_PREVIOUS', 'ENCRYPTION_MASTER_KEY_PREVIOUS', 'signing_key', 'webhook_url', 'passwords', 'tokens'],
    ...['DB_PASS', 'pass', 'smtpPass', 'password_old'],
  ].map((name) => sample(`${name}=`, `${name}=${HIDDEN}`, [HIDDEN], 'secret_****')),
  sample('SMTP_PASS: with a space', `SMTP_PASS: ${HIDDEN}`, [HIDDEN], 'secret_****'),
  sample('list of tokens', JSON.stringify({ tokens: [HIDDEN, HIDDEN] }), [HIDDEN], 'secret_****'),
  sample('numbers as a password', 'DB_PASS=4711471147', ['4711471147'], 'secret_****'),
  sample('quoted pair', `password="${HIDDEN} ${HIDDEN}"`, [HIDDEN], 'secret_****'),
  sample('pair of JSON', JSON.stringify({ password: `${HIDDEN} a"${HIDDEN}` }), [HIDDEN], 'secret_****'),
  sample('pair of Ruby', `'token' => '${HIDDEN}'`, [HIDDEN], 'secret_****'),
  sample('AWS secret', `aws_secret_access_key = ${AWS_SECRET}`, [AWS_SECRET], 'secret_****'),
  sample('argument', `psql --db-password ${HIDDEN}`, [HIDDEN], 'secret_****'),
  sample('element of XML', `<db:password>${HIDDEN}</db:password>`, [HIDDEN], 'secret_****'),
  sample('raw headers in JSON', JSON.stringify(['authorization', HIDDEN]), [HIDDEN], 'secret_****'),
  sample('password with punctuation', `password=a,b;${HIDDEN}}${HIDDEN}`, [HIDDEN], 'secret_****'),
];

/** Where in a text. */
const POSITIONS: readonly [string, (text: string) => string][] = [
  ['alone', (text) => text],
  ['in a sentence', (text) => `The call failed with ${text} in it, and went on.`],
  ['after a line', (text) => `first line\n${text}\nlast line`],
  ['glued to a word', (text) => `id=4711 said:${text} `],
  ['twice', (text) => `${text} and ${text}`],
];

/** How it was written before it came here. */
const ENCODINGS: readonly [string, (text: string) => string][] = [
  ['plain', (text) => text],
  ['JSON', (text) => JSON.stringify({ note: text })],
  ['JSON in JSON', (text) => JSON.stringify({ body: JSON.stringify({ note: text }) })],
  ['JSON in JSON in JSON', (text) => JSON.stringify([JSON.stringify({ body: JSON.stringify({ note: text }) })])],
  ['URL', (text) => `/path?next=${encodeURIComponent(text)}`],
  ['URL in URL', (text) => `/path?next=${encodeURIComponent(`/x?q=${encodeURIComponent(text)}`)}`],
];

function expectHidden(shown: string, { secrets }: Sample): void {
  for (const secret of secrets) {
    for (const form of [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1)]) {
      expect(shown).not.toContain(form);
    }
  }
}

describe.each([...FORMS, ...NAMED])('a secret: $kind', (sample) => {
  it.each(POSITIONS)('is masked %s, however it is encoded', (_where, place) => {
    for (const [, encode] of ENCODINGS) {
      const masked = mask(encode(place(sample.text)));
      expectHidden(masked, sample);
      expect(masked).toMatch(/_\*{4}/);
    }
  });

  it('is shown as its kind, and masked again stays as it is', () => {
    const masked = mask(sample.text);
    expect(masked).toContain(sample.shown);
    expect(mask(masked)).toBe(masked);
  });

  it.each<[string, (text: string) => unknown]>([
    ['an object', (text) => ({ a: { b: text } })],
    ['an array', (text) => [[text]]],
    ['an error’s message, stack and cause', (text) => new Error(text, { cause: new Error(text) })],
    ['an error’s own field', (text) => Object.assign(new Error('x'), { config: { url: text } })],
    ['errors together', (text) => new AggregateError([new Error(text)], text)],
    ['a map’s key and value', (text) => new Map([[text, text]])],
    ['a set', (text) => new Set([text])],
    ['bytes', (text) => ({ raw: Buffer.from(text), view: new Uint8Array(Buffer.from(text)) })],
    ['a name', (text) => ({ [text]: 1 })],
  ])('is masked in %s', (_what, put) => {
    expectHidden(JSON.stringify(maskValue(put(sample.text))), sample);
  });

  it('is in no line of a log, whatever it was given as', () => {
    const lines: string[] = [];
    const log = loggerTo({ write: (line) => void lines.push(line) }, 'trace');
    const { text } = sample;
    log.error({ err: new Error(text, { cause: Object.assign(new Error(text), { text }) }) }, text);
    log.child({ bound: text }).warn({ raw: Buffer.from(text), view: new Uint8Array(Buffer.from(text)) }, 'said');
    log.info({ list: [text], [text]: text, map: new Map([[text, text]]) }, `said ${text}`);
    expect(lines).toHaveLength(3);
    for (const line of lines) {
      expectHidden(line, sample);
      expect(line).not.toContain([...Buffer.from(sample.secrets[0] ?? '')].join());
    }
  });

  it('is told to no caller in an error', () => {
    const { text } = sample;
    const stake = { kind: 'file', what: text };
    const error = new DomainError('GIT_FAILED', `git failed: ${text}`, {
      details: { fields: [{ field: 'x', problem: text }], at_stake: [stake], more: { text } },
    });
    expectHidden(JSON.stringify([error.message, error.details]), sample);
  });
});

describe('a secret that its place gives away', () => {
  it.each<[string, unknown]>([
    ['headers', { authorization: HIDDEN, Cookie: [HIDDEN], 'set-cookie': [HIDDEN], 'X-Api-Key': HIDDEN }],
    ['raw headers', { rawHeaders: ['Host', 'x', 'X-Api-Key', HIDDEN, 'Cookie', HIDDEN, 'Accept', '*'] }],
    [
      'pairs of headers',
      [
        ['accept', '*'],
        ['authorization', HIDDEN],
        ['password', HIDDEN],
      ],
    ],
    [
      'named values',
      [
        { name: 'Authorization', value: HIDDEN },
        { key: 'password', value: [HIDDEN] },
      ],
    ],
    [
      'a map of headers',
      new Map<string, unknown>([
        ['authorization', HIDDEN],
        ['secret', { a: HIDDEN }],
      ]),
    ],
    ['a private key line by line', ['-----BEGIN PRIVATE KEY-----', HIDDEN, HIDDEN, '-----END PRIVATE KEY-----', 'x']],
    ['variables', { ENCRYPTION_MASTER_KEY: HIDDEN, AUTH_SECRET_PREVIOUS: HIDDEN, clientSecret: HIDDEN }],
    [
      'plural and short names',
      { tokens: [HIDDEN], pass: HIDDEN, smtpPass: HIDDEN, webhookUrl: HIDDEN, DB_PASS: HIDDEN },
    ],
    ['a block of YAML with old line ends', `token: |\r  ${HIDDEN}\r  ${HIDDEN}\ruser: x`],
    ['variables of before with spaces', `A=1\nDB_PASSWORD_OLD=${HIDDEN} ${HIDDEN}\nDB_PASS=x ${HIDDEN}\nB=2`],
    ['YAML', `password: ${HIDDEN} and ${HIDDEN}\nuser: x`],
    ['a list in YAML', `users:\n  - password: ${HIDDEN} ${HIDDEN}\n    name: x`],
    ['a block of YAML', `token: |\n  ${HIDDEN}\n  ${HIDDEN}\nuser: x`],
    ['a file of variables', `A=1\nexport DB_PASSWORD=${HIDDEN} ${HIDDEN}\nB=2`],
    ['a form', `user=x&password=${HIDDEN}&go=1`],
    ['a form with spaces in it', `password=abc%20${HIDDEN}+%26${HIDDEN}&go=1`],
    ['a form that was encoded', `body=${encodeURIComponent(`user=x&password=${HIDDEN}`)}`],
  ])('is masked in %s', (_what, value) => {
    expect(JSON.stringify(maskValue({ value }))).not.toContain(HIDDEN);
  });
});

describe('masking', () => {
  it('leaves what is no secret as it is', () => {
    const value = {
      credential_id: 'abc',
      token_count: 5,
      resource: `api_key:${key.id}`,
      display: `gh_live_${key.id}_****abcd`,
      path: '/home/a%20b/disk-0123456789abcdef/task-list-0123456789',
      text: 'The session 01a1fc84-6cb5-7e33-bf1e-bc189c38028f ended (exit code 0); 100% done, 5%20 more.',
      at: '2026-01-01T00:00:00.000Z',
      port: 'http://127.0.0.1:8080/users/alice@example.com, then https://h.example.com:8443?mail=alice@example.com',
      addresses: '{"url":"http://127.0.0.1:8080","mail":"alice@example.com"} http://127.0.0.1:8080,alice@example.com',
      counts: 'tokens: 512, max_tokens=4096; {"input_tokens":17,"tokens":5} --max-tokens 512 <tokens>5</tokens>',
      tests: 'pass: 12 tests, 3 passes: fine; bypass: none; compass=north',
      permissions: 'secrets:view, secrets:write and secrets:rekey are missing, token:mint too.',
      none: null,
      list: ['password', 'token', 'name'],
    };
    expect(maskValue(value)).toEqual(value);
  });

  // No more than a beginning of fixed length is looked at; a form that grows with a power of that would take minutes here.
  it.each([
    ...['a://:', 'token="', 'eyJaaaa.', 'eyJaaaa', 'password: ', '\\', '-----BEGIN A-----', "secret='{", 'Bearer '],
    ...['%25', '%41', 'authorization="', 'cookie:="', 'gh_live_0123456789', 'AKIA0123456789ABCDE', 'token: |\n  x\n '],
    ...['--a-a-a-a-', '<token', 'api_key', ' \t', 'sk-', '\\u0000', 'hooks.slack.com/', '\n  - x.password'],
    ...['tokens: 1', 'a.pass', 'https://aaaaaaaaaaaaaaaa', 'https://a:1'],
  ])('does not grow slow with a megabyte of %j', (piece) => {
    const text = piece.repeat(Math.ceil(2 ** 20 / piece.length));
    for (const each of [text, ` ${text}`]) expect(mask(each).length).toBeLessThan(2 ** 16);
    expect(JSON.stringify(maskValue(Array.from({ length: 100 }, () => text.slice(0, 4096)))).length).toBeLessThan(
      2 ** 20,
    );
  });

  it('does not grow slow with a block of YAML that ends in half a line', () => {
    const text = `token: |\n${' '.repeat(32_000)}\rx`;
    for (let times = 0; times < 100; times += 1) expect(mask(text).length).toBeLessThan(100);
  });

  it('is bounded in depth, in number and in a circle', () => {
    const circle: Record<string, unknown> = { name: 'x' };
    circle['self'] = circle;
    const wide = new Map(Array.from({ length: 100_000 }, (_, index) => [`k${String(index)}`, index]));
    for (const value of [circle, wide, new Set(wide.keys()), new Error('x', { cause: circle })]) {
      expect(JSON.stringify(maskValue(value)).length).toBeLessThan(100_000);
    }
  });
});
