import { describe, expect, it } from '@jest/globals';
import { generateKey, parseKey } from '../../src/kernel/api-key-text.js';
import {
  encodeControlFrame,
  encodeDataFrame,
  type Frame,
  FrameReader,
  payloadOf,
  readDataHeader,
  recycle,
} from '../../src/kernel/frame.js';
import { PERMISSIONS } from '../../src/authorization/permissions.js';
import { mask } from '../../src/kernel/mask.js';
import { maskValue } from '../../src/kernel/mask-value.js';
import { Utf8Splitter } from '../../src/pty/utf8-splitter.js';
import { RepeatCounter } from '../../src/audit/record/repeat-counter.js';

/** A repeatable sequence of numbers in [0, 1). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

describe('frames', () => {
  it('come out as they went in, however the stream is cut', () => {
    const random = seeded(7);
    for (let round = 0; round < 50; round += 1) {
      const payloads = Array.from({ length: 8 }, () =>
        Buffer.alloc(Math.floor(random() ** 3 * 70_000), Math.floor(random() * 256)),
      );
      const stream = Buffer.concat([
        encodeControlFrame({ type: 'attach' }),
        ...payloads.map((payload, index) =>
          encodeDataFrame({ type: 1, flags: 0, channel: index, offset: 2 ** 40 + index }, payload),
        ),
      ]);
      const reader = new FrameReader(1 << 20);
      const frames: Frame[] = [];
      for (let at = 0; at < stream.length;) {
        const size = 1 + Math.floor(random() ** 4 * 50_000);
        reader.push(stream.subarray(at, at + size), (frame) => frames.push(frame));
        at += size;
      }
      const [control, ...data] = frames;
      expect(control && JSON.parse(payloadOf(control).toString())).toEqual({ type: 'attach' });
      expect(data).toHaveLength(payloads.length);
      data.forEach((frame, index) => {
        const body = payloadOf(frame);
        expect(readDataHeader(body)).toEqual({ type: 1, flags: 0, channel: index, offset: 2 ** 40 + index });
        expect(body.subarray(16).equals(payloads[index] ?? Buffer.alloc(0))).toBe(true);
      });
    }
  });

  it('keep their bytes until they are given back, once, and then make room for the next', () => {
    const read = (fill: number): Frame => {
      const frames: Frame[] = [];
      const header = { type: 1, flags: 0, channel: 0, offset: 0 };
      new FrameReader(1 << 20).push(encodeDataFrame(header, Buffer.alloc(100_000, fill)), (frame) =>
        frames.push(frame),
      );
      const [frame] = frames;
      if (!frame) throw new Error('no frame');
      return frame;
    };
    const kept = read(1);
    const first = read(2);
    const memory = first.bytes.buffer;
    recycle(first);
    recycle(first);
    const [second, third] = [read(3), read(4)];
    expect(second.bytes.buffer).toBe(memory);
    expect(third.bytes.buffer).not.toBe(memory);
    for (const [frame, fill] of [
      [kept, 1],
      [second, 3],
      [third, 4],
    ] as const) {
      expect(payloadOf(frame).subarray(16).equals(Buffer.alloc(100_000, fill))).toBe(true);
    }
  });

  it.each([
    ['masked', Buffer.from([0x82, 0x81, 0, 0, 0, 0, 0])],
    ['fragmented', Buffer.from([0x02, 0x00])],
    ['a ping', Buffer.from([0x89, 0x00])],
    ['longer than allowed', Buffer.from([0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0])],
  ])('that are %s break the stream', (_what, bytes) => {
    expect(() => {
      new FrameReader(1000).push(bytes, () => undefined);
    }).toThrow(RangeError);
  });

  it('refuse an offset past 2^53 - 1 and a header cut short', () => {
    expect(() => readDataHeader(Buffer.alloc(15))).toThrow(RangeError);
    expect(() => readDataHeader(Buffer.alloc(16, 0xff).fill(0, 4, 8))).toThrow(RangeError);
  });
});

describe('text of output', () => {
  it('is the same however the bytes are cut, with offsets that fit', () => {
    const text = 'aé€😀z'.repeat(50);
    const bytes = Buffer.from(text);
    const random = seeded(3);
    for (let round = 0; round < 100; round += 1) {
      const splitter = new Utf8Splitter(1000);
      let told = '';
      let next = 1000;
      for (let at = 0; at < bytes.length;) {
        const size = 1 + Math.floor(random() * 5);
        const piece = splitter.push(bytes.subarray(at, at + size));
        at += size;
        if (piece === null) continue;
        expect(piece.offset).toBe(next);
        next = piece.next;
        told += piece.data;
      }
      expect([told, next, splitter.end()]).toEqual([text, 1000 + bytes.length, null]);
    }
  });

  it('holds back no more than a character, even of nonsense', () => {
    const random = seeded(9);
    for (let round = 0; round < 200; round += 1) {
      const bytes = Buffer.from(Array.from({ length: 40 }, () => Math.floor(random() * 256)));
      const piece = new Utf8Splitter(0).push(bytes);
      expect(bytes.length - (piece?.next ?? 0)).toBeLessThanOrEqual(3);
    }
  });
});

describe('API keys', () => {
  it('are read back, and refused with any one character changed', () => {
    const key = generateKey('gh_live');
    expect(key.text).toMatch(/^gh_live_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}$/);
    expect(parseKey(key.text)).toEqual({ prefix: 'gh_live', id: key.id, secret: key.secret });
    for (let at = 0; at < key.text.length; at += 1) {
      const other = key.text[at] === 'x' ? 'y' : 'x';
      expect(parseKey(key.text.slice(0, at) + other + key.text.slice(at + 1))).toBeNull();
    }
    for (const wrong of ['', `${key.text} `, `${key.text}0`, key.text.slice(0, -1), key.text.replace('live', 'test')]) {
      expect(parseKey(wrong)).toBeNull();
    }
  });
});

describe('masking', () => {
  it.each([
    ['Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl', 'eyJ'],
    [`key ${generateKey('gh_live').text} used`, /_[0-9A-Za-z]{49}/],
    ['postgres://gatehouse:hunter2@db/gatehouse', 'hunter2'],
    ['{"password":"hunter2","x":1}', 'hunter2'],
    ['DATABASE_PASSWORD=hunter2 next', 'hunter2'],
    ['sk-ant-api03-abcdefghijkl', 'abcdefghijkl'],
    ['ghp_0123456789abcdefghij0123456789abcdef', '0123456789abcdef'],
    ['AKIAIOSFODNN7EXAMPLE', 'IOSFODNN'],
    ['https://hooks.slack.com/services/T000/B000/abcdefgh', 'T000|abcdefgh'],
    [`opened with gh_ticket_${'a-b_'.repeat(10)}abc again`, /_[ab-]{4}/],
    ['-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----', 'MIIE'],
  ])('hides the secret in %s', (text, secret) => {
    expect(mask(`before ${text} after`)).not.toMatch(secret instanceof RegExp ? secret : new RegExp(secret));
  });

  it.each(PERMISSIONS)('shows the permission %s, wherever it stands', (permission) => {
    const metadata = { permission, rule: `no_role:${permission}`, scopes: [permission, `${permission},pty:view`] };
    expect(maskValue(metadata)).toEqual(metadata);
    const message = `This needs the permission ${permission}. (${permission})`;
    for (const text of [permission, message, JSON.stringify(metadata), JSON.stringify(JSON.stringify(metadata))])
      expect(mask(text)).toBe(text);
  });

  it.each([
    'token: hunter2',
    'token:hunter2',
    'token: mint',
    'token:mint-hunter2',
    'token:mint.hunter2',
    'token:mint@hunter2',
    'token:mint:hunter2',
    'token:minthunter2',
    'token:"mint"',
    'token=mint',
    'TOKEN:MINT',
    'access_token:mint',
    'my-token:revoke',
    'token: token:mint',
    'secret=token:mint',
    '{"token":"mint"}',
  ])('still hides the value in %s', (text) => {
    expect(mask(text)).not.toMatch(/hunter2|mint|revoke/i);
  });

  it('leaves ordinary text and JSON alone', () => {
    const line =
      '{"action":"pty.start","resource":"api_key:0123456789abcdef","request_id":"01a1fc84-6cb5-7e33-bf1e-bc189c38028f"}';
    expect(mask(line)).toBe(line);
  });
});

describe('counting repeats', () => {
  it('tells the first at once and the rest as a count, dropping none when it is full', () => {
    const told: [string, number][] = [];
    const counter = new RepeatCounter<string>(2, 60_000, (first, further) => told.push([first, further]));
    expect([
      counter.isFirst('a', 'a'),
      counter.isFirst('a', 'a'),
      counter.isFirst('a', 'a'),
      counter.isFirst('b', 'b'),
    ]).toEqual([true, false, false, true]);
    counter.isFirst('c', 'c');
    expect(told).toEqual([['a', 2]]);
    counter.isFirst('b', 'b');
    counter.end();
    expect(told).toEqual([
      ['a', 2],
      ['b', 1],
    ]);
  });
});
