import { describe, expect, it } from '@jest/globals';
import { parseStrictJson, parseStrictObject, StrictJsonError } from '../../src/auth/tokens/strict-json.js';

const parse = (text: string): unknown => parseStrictJson(Buffer.from(text));

function faultOf(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    if (error instanceof StrictJsonError) return error.fault;
    throw error;
  }
  return 'accepted';
}

describe('JSON that may be believed', () => {
  it.each([
    '{}',
    '[]',
    'null',
    '-0.5e+3',
    '"\\u00e9\\ud83d\\ude00\\n\\""',
    ' { "a" : [ 1 , 2.50 , true , false , null , "x" , { } ] , "b" : { "a" : 1 } } ',
    '{"constructor":1,"hasOwnProperty":{"toString":2}}',
    JSON.stringify({ deep: [[[{ a: 'Grüße 😀' }]]] }, null, 2),
  ])('reads %s as the platform does', (text) => {
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  it.each([
    ['duplicate_member', '{"a":1,"a":1}'],
    ['duplicate_member', '{"x":[{"a":1,"\\u0061":2}]}'],
    ['forbidden_member', '{"__proto__":{"admin":true}}'],
    ['forbidden_member', '{"a":{"\\u005f_proto__":1}}'],
    ['number_range', '{"exp":1e999}'],
    ['number_range', '[-1e400]'],
    ['too_deep', '['.repeat(34) + ']'.repeat(34)],
    ['too_deep', '['.repeat(200_000)],
    ['too_deep', '{"a":'.repeat(40) + '1' + '}'.repeat(40)],
    ['not_json', ''],
    ['not_json', '{"a":1}x'],
    ['not_json', '{"a":1} {}'],
    ['not_json', '{"a":1,}'],
    ['not_json', '[1,]'],
    ['not_json', "{'a':1}"],
    ['not_json', '{a:1}'],
    ['not_json', '{"a" 1}'],
    ['not_json', '{"a":NaN}'],
    ['not_json', '{"a":Infinity}'],
    ['not_json', '{"a":01}'],
    ['not_json', '{"a":1.}'],
    ['not_json', '{"a":+1}'],
    ['not_json', '{"a":.5}'],
    ['not_json', '{"a":0x10}'],
    ['not_json', '{"a":tru}'],
    ['not_json', '{"a":"\n"}'],
    ['not_json', '{"a":"\\x41"}'],
    ['not_json', '{"a":"unfinished}'],
    ['not_json', '{"a":1/**/}'],
    ['not_json', '\ufeff{}'],
    ['not_json', '\u00a0{}'],
  ])('refuses, as %s, %s', (fault, text) => {
    expect(faultOf(() => parse(text))).toBe(fault);
  });

  it('refuses bytes that are not UTF-8', () => {
    for (const bytes of [
      [0x22, 0xff, 0x22],
      [0x22, 0xc0, 0x80, 0x22],
      [0x22, 0xed, 0xa0, 0x80, 0x22],
    ]) {
      expect(faultOf(() => parseStrictJson(Uint8Array.from(bytes)))).toBe('not_utf8');
    }
  });

  it('as an object is no list, text or null', () => {
    for (const text of ['[]', '"a"', 'null', '1']) {
      expect(faultOf(() => parseStrictObject(Buffer.from(text)))).toBe('not_an_object');
    }
  });

  it('leaves what all objects have in common alone', () => {
    faultOf(() => parse('{"__proto__":{"polluted":true}}'));
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});
