import type { Chance } from './random.js';

const deep = (levels: number, inner: unknown): unknown => {
  let value = inner;
  for (let level = 0; level < levels; level += 1) value = level % 2 === 0 ? [value] : { a: value };
  return value;
};

/** Texts that have got past parsers elsewhere: empty, huge, unfinished, of another alphabet, of another language's syntax. */
export const TEXTS: readonly string[] = [
  ...[
    '',
    ' ',
    '\0',
    'a\0b',
    '\r\nX-Evil: 1',
    '\u001b]0;title\u0007',
    '\u202etxt.exe',
    '\ud800',
    '\uffff',
    '💥'.repeat(64),
  ],
  ...[
    '--help',
    '-c',
    '--upload-pack=touch /tmp/x',
    '../../../../etc/passwd',
    '/proc/self/environ',
    '..%2f..%2fetc',
    '.',
    '/',
  ],
  ...[
    "' OR 1=1 --",
    '"; DROP TABLE pty_sessions; --',
    '$(id)',
    '`id`',
    '${7*7}',
    '{{7*7}}',
    '<script>alert(1)</script>',
  ],
  ...['__proto__', 'constructor', 'toString', 'null', 'undefined', 'NaN', 'true', '0', '-1', '1e999', '0x10', '९'],
  ...[
    '2026-13-45T99:99:99Z',
    '9999999999999-01-01',
    '*',
    '%',
    '%00',
    '%zz',
    'a'.repeat(300),
    'x'.repeat(70_000),
    '\n'.repeat(999),
  ],
];

export const NUMBERS: readonly number[] = [
  ...[0, -0, -1, 1, 1.5, 1e-9, 255, 65_536, 2 ** 31, -(2 ** 31) - 1, 2 ** 32, 2 ** 53, -(2 ** 53), 1e21, 1e308, -1e308],
];

/** A value of any JSON type, often of the wrong one. */
export function hostileValue(chance: Chance, ids: readonly string[]): unknown {
  const kinds: (() => unknown)[] = [
    () => chance.pick(TEXTS),
    () => chance.pick(TEXTS),
    () => chance.pick(NUMBERS),
    () => chance.pick(ids),
    () => chance.pick([null, true, false, {}, [], [[]], [null], [{}]]),
    () => Array.from({ length: chance.pick([1, 3, 300]) }, () => chance.pick(TEXTS.slice(0, 30))),
    () => ({ [chance.pick(['a', '', 'type', 'length', '__proto__x'])]: chance.pick(TEXTS) }),
    () => deep(chance.pick([5, 31, 33, 200]), chance.pick(NUMBERS)),
  ];
  return chance.pick(kinds)();
}

/** An object of some of these fields, with values that a careless reader would trust. */
export function hostileObject(
  chance: Chance,
  fields: readonly string[],
  ids: readonly string[],
): Record<string, unknown> {
  const picked = Array.from({ length: 1 + chance.below(6) }, () => chance.pick(fields));
  return Object.fromEntries(picked.map((field) => [field, hostileValue(chance, ids)]));
}

/** JSON text of such an object; now and then one that no serialiser would write. */
export function hostileJson(chance: Chance, fields: readonly string[], ids: readonly string[]): string {
  const text = JSON.stringify(hostileObject(chance, fields, ids));
  const rare: (() => string)[] = [
    () => text.slice(0, chance.below(text.length)),
    () => `${text}${text}`,
    () => text.replace('{', '{"__proto__":{"admin":true},'),
    () => text.replace('{', '{"constructor":{"prototype":{"admin":true}},'),
    () => text.replace('{', `{"${chance.pick(fields)}":1,`),
    () => '['.repeat(100_000),
    () => '{"a":'.repeat(20_000),
    () =>
      chance.pick([
        '',
        ' ',
        'null',
        '0',
        '"x"',
        '[]',
        '\ufeff{}',
        '{"a":01}',
        '{"a":1e99999}',
        '{"a":"\u0001"}',
        'NaN',
      ]),
    () => chance.bytes(64).toString('latin1'),
  ];
  return chance.happens(0.3) ? chance.pick(rare)() : text;
}
