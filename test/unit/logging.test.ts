import { describe, expect, it } from '@jest/globals';
import { generateKey } from '../../src/kernel/api-key-text.js';
import { mask } from '../../src/kernel/mask.js';
import { maskValue } from '../../src/kernel/mask-value.js';
import { maskLine } from '../../src/kernel/mask-line.js';
import { loggerTo } from '../../src/transport/logging.js';

const KEY = generateKey('gh_live').text;
const JWT = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl';

/** What a logger writes for these fields and this sentence, line by line. */
function logged(fields: object, message = 'said'): string[] {
  const lines: string[] = [];
  loggerTo({ write: (line) => void lines.push(line) }, 'trace').error(fields, message);
  return lines;
}

/** A text put into JSON, that into JSON again, and so on. */
function nested(value: unknown, levels: number): string {
  let text = JSON.stringify(value);
  for (let level = 1; level < levels; level += 1) text = JSON.stringify({ body: text });
  return text;
}

describe('a log line', () => {
  it.each<[string, object]>([
    ['a secret field', { token: 'hunter2' }],
    ['a secret field that is no text', { secret: 4711, password: ['hunter2'], api_key: { value: 'hunter2' } }],
    ['a secret field deep inside', { a: { b: [{ clientSecret: 'hunter2' }] } }],
    ['a header', { headers: { authorization: 'hunter2', cookie: 'hunter2', 'x-api-key': 'hunter2' } }],
    ['an environment', { env: { DATABASE_PASSWORD: 'hunter2', MY_TOKEN: 'hunter2' } }],
    ['a key anywhere', { note: `it was ${KEY}, and`, list: [JWT], [KEY]: true }],
    ['a key after an escaped line break', { note: JSON.stringify(`first\n${KEY}\n${JWT}`) }],
    ['a bearer', { note: 'Authorization: Bearer hunter2hunter2' }],
    ['an address', { url: 'postgres://me:hunter2@p@db:5432/x' }],
    ['an error', { err: Object.assign(new Error('password=hunter2'), { token: 'hunter2' }) }],
    ['an error with a cause', { err: new Error('outer', { cause: new Error('"password":"hunter2"') }) }],
    ['a secret longer than a line may be', { note: `password="hunter2${'x'.repeat(70_000)}hunter2"` }],
    ['a name that objects have', JSON.parse('{"__proto__":{"token":"hunter2"},"constructor":"x"}') as object],
    ['quotes and line ends', { note: 'a "b" \\" \n\r\u2028 password="hun\\"ter2 hunter2" c' }],
    ...[1, 2, 3, 4].map((levels): [string, object] => [
      `JSON in JSON, ${levels} deep`,
      { body: nested({ token: 'hunter2', note: 'x', password: 'a"hunter2', pwd: 'hunter2\\' }, levels) },
    ]),
  ])('is one line of JSON, without the secret of %s', (_what, fields) => {
    const lines = [...logged(fields), ...logged({}, JSON.stringify(fields))];
    expect(lines).toHaveLength(2);
    for (const line of lines) {
      expect(JSON.parse(line)).toMatchObject({ level: 'error' });
      expect(line.indexOf('\n')).toBe(line.length - 1);
      expect(line).not.toContain('hunter2');
      expect(line).not.toContain(KEY.slice(-20));
      expect(line).not.toContain(JWT.slice(-20));
    }
  });

  it.each<[string, object, string]>([
    ['long texts', { text: 'x'.repeat(3_000_000) }, 'said'],
    ['many texts', { texts: Array.from({ length: 90 }, () => 'y z '.repeat(2000)) }, 'said'],
    ['many fields', Object.fromEntries(Array.from({ length: 50_000 }, (_, index) => [`field${index}`, index])), 'said'],
    ['a long message', {}, '{"token":"hunter2"} '.repeat(100_000)],
  ])('stays one bounded line of JSON with %s', (_what, fields, message) => {
    const [line = ''] = logged(fields, message);
    expect(line.length).toBeLessThan(200_000);
    expect(JSON.parse(line)).toMatchObject({ level: 'error', time: expect.any(String) });
    expect(line).not.toContain('hunter2');
  });

  it('tells a failed query without its values', () => {
    const error = Object.assign(new Error('no such table'), {
      parameters: ['alice'],
      driverError: { detail: 'alice' },
    });
    expect(logged({ err: error }).join()).toMatch(/^(?!.*alice).*no such table/);
  });

  it('that is no JSON still becomes a line of JSON', () => {
    for (const line of ['{"level":"info","time":"2026-01-01T00:00:00.000Z","token":"hunter2"', 'null\n', '', '"x"']) {
      expect(JSON.parse(maskLine(line))).toHaveProperty('level');
      expect(maskLine(line)).not.toContain('hunter2');
    }
  });

  it('keeps what is no secret', () => {
    const fields = {
      credential_id: 'abc',
      resource: 'api_key:0123456789abcdef',
      token_count: 5,
      password: null,
      ok: true,
    };
    expect(JSON.parse(logged(fields)[0] ?? '')).toMatchObject(fields);
  });
});

describe('masking a value', () => {
  it('is bounded in depth', () => {
    let value: unknown = 'bottom';
    for (let level = 0; level < 10_000; level += 1) value = [value];
    expect(JSON.stringify(maskValue(value))).not.toContain('bottom');
  });

  it('takes a bounded time, whatever the text', () => {
    const hostile = ['a://:', 'token="', 'eyJaaaa.', 'password: ', '\\', '-----BEGIN A-----', "secret='{", 'Bearer '];
    const started = performance.now();
    for (const piece of hostile) mask(piece.repeat(Math.ceil(40_000 / piece.length)));
    expect(performance.now() - started).toBeLessThan(5000);
  });
});
