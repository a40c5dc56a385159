import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Acknowledgements } from '../../src/client/acknowledgements.js';
import { attachAddress } from '../../src/client/address.js';
import { Backoff } from '../../src/client/backoff.js';
import { inputFrame, readFrame } from '../../src/client/frames.js';
import { readMessage } from '../../src/client/messages.js';
import { Renewal } from '../../src/client/renewal.js';
import { Silence } from '../../src/client/silence.js';
import { readDataHeader } from '../../src/kernel/frame.js';
import { ManualTiming } from '../support/manual-timing.js';

const MALFORMED = expect.objectContaining({ name: 'AttachError', reason: 'malformed' });

describe('coming back', () => {
  it('waits twice as long each time, up to five seconds, and gives up when it was long enough', () => {
    const timing = new ManualTiming();
    const backoff = new Backoff(20_000, timing);
    const waits: (number | null)[] = [];
    for (let wait = backoff.next(); wait !== null; wait = backoff.next()) {
      waits.push(wait);
      timing.advance(wait);
    }
    expect(waits).toEqual([250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
  });

  it('never has all clients come at once', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (random) => {
        const wait = new Backoff(1000, Object.assign(new ManualTiming(), { random: () => random })).next();
        expect(wait).toBe(250 * (0.5 + random));
      }),
    );
  });

  it('begins anew after a connection that held, and not after one that did not', () => {
    const timing = new ManualTiming();
    const backoff = new Backoff(1000, timing);
    expect([backoff.next(), backoff.next()]).toEqual([250, 500]);
    backoff.connected();
    timing.advance(4999);
    expect(backoff.next()).toBe(1000);
    backoff.connected();
    timing.advance(3_600_000);
    expect(backoff.next()).toBe(250);
  });
});

describe('a silent server', () => {
  it('is asked after ten seconds and dead after twenty, counted from its last sign of life', () => {
    const timing = new ManualTiming();
    let asked = 0;
    let dead = 0;
    const silence = new Silence(
      timing,
      () => (asked += 1),
      () => (dead += 1),
    );
    timing.advance(9999);
    expect(asked).toBe(0);
    silence.heard();
    timing.advance(10_001);
    expect(asked).toBeGreaterThan(0);
    silence.heard();
    timing.advance(20_000);
    expect(dead).toBe(0);
    timing.advance(5000);
    expect(dead).toBe(1);
    timing.advance(60_000);
    expect([dead, timing.waiting]).toEqual([1, []]);
  });
});

describe('a credential that ends', () => {
  it.each([
    ['an hour', 3600, [3540]],
    ['a ticket’s half minute', 30, [15]],
    ['no time at all, by a clock that is wrong', -500, [10]],
    ['a year', 365 * 86_400, [86_400]],
  ])('in %s is renewed in time', (_what, seconds, waits) => {
    const timing = new ManualTiming();
    new Renewal(timing, () => undefined).expiresAt(timing.date() + seconds * 1000);
    expect(timing.waiting).toEqual(waits.map((wait) => wait * 1000));
  });

  it('in more than a timer can wait is renewed once, a minute before', () => {
    const timing = new ManualTiming();
    let renewed = 0;
    new Renewal(timing, () => (renewed += 1)).expiresAt(timing.date() + 40 * 86_400_000);
    timing.advance(40 * 86_400_000 - 60_001);
    expect(renewed).toBe(0);
    timing.advance(1);
    expect(renewed).toBe(1);
  });
});

describe('acknowledgements', () => {
  it('are one word for much output, soon for little, none for a few keystrokes', () => {
    const timing = new ManualTiming();
    const told: number[] = [];
    const acknowledgements = new Acknowledgements((offset) => told.push(offset) > 0, timing);
    acknowledgements.rendered(0);
    acknowledgements.rendered(1000);
    timing.advance(60_000);
    expect(told).toEqual([0]);
    acknowledgements.rendered(5000);
    acknowledgements.rendered(6000);
    timing.advance(100);
    expect(told).toEqual([0, 6000]);
    acknowledgements.rendered(6000 + 128 * 1024);
    expect(told).toEqual([0, 6000, 6000 + 128 * 1024]);
    acknowledgements.attached();
    acknowledgements.rendered(0);
    expect(told.at(-1)).toBe(6000 + 128 * 1024);
    acknowledgements.rendered(10_000 + 128 * 1024);
    acknowledgements.stop();
    timing.advance(1000);
    expect(told).toHaveLength(4);
  });
});

describe('frames', () => {
  it('of input are what the server reads', () => {
    fc.assert(
      fc.property(fc.maxSafeNat(), fc.uint8Array({ minLength: 1 }), (position, bytes) => {
        const frame = Buffer.from(inputFrame(position, bytes));
        expect(readDataHeader(frame)).toEqual({ type: 2, flags: 0, channel: 0, offset: position });
        expect(frame.subarray(16).equals(bytes)).toBe(true);
      }),
    );
  });

  const frame = (...header: number[]): ArrayBuffer => Uint8Array.from(header).buffer;
  it.each([
    ['shorter than its header', frame(1, 0, 0)],
    ['of input', frame(2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
    ['of a type nobody knows', frame(4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
    ['of output with a flag', frame(1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
    ['of a snapshot with another flag', frame(3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
    ['on another channel', frame(1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
    ['with reserved bytes', frame(1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0)],
    ['with an offset past 2^53', frame(1, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0, 0, 0, 0, 0)],
  ])('%s are no protocol', (_what, bytes) => {
    expect(() => readFrame(bytes)).toThrow(MALFORMED);
  });
});

describe('messages', () => {
  const attached = { type: 'attached', epoch: 'e', mode: 'viewer', from: 0, cols: 80, rows: 24, input_next: 0 };

  it.each([
    ['no JSON', 'attached'],
    ['a list', '[]'],
    ['null', 'null'],
    ['without a type', '{}'],
    ['a type that is no text', '{"type":1}'],
    ['an offset that is text', JSON.stringify({ ...attached, from: '0' })],
    ['an offset below zero', JSON.stringify({ ...attached, from: -1 })],
    ['an offset past 2^53', JSON.stringify({ ...attached, from: 2 ** 53 })],
    ['a mode nobody knows', JSON.stringify({ ...attached, mode: 'admin' })],
    ['without a size', JSON.stringify({ ...attached, cols: undefined })],
    ['a snapshot that is no flag', JSON.stringify({ ...attached, snapshot: 1 })],
    ['participants that are no list', '{"type":"participants","participants":{},"total":1}'],
    ['a participant without a number', '{"type":"participants","participants":[{"user_id":"a"}],"total":1}'],
    ['an action nobody knows', '{"type":"flow_control","action":"stop","reason":"x"}'],
    ['a time that is none', '{"type":"authenticated","expires_at":"soon"}'],
    ['a delay that is none', '{"type":"goaway","reason":"x","resume_after_ms":null}'],
    ['an exit code that is text', '{"type":"process_exited","exit_code":"0","signal":null,"reason":"exited"}'],
  ])('%s are no protocol', (_what, text) => {
    expect(() => readMessage(text)).toThrow(MALFORMED);
  });

  it.each(['nothing_known', 'toString', '__proto__', 'pong', 'connection_status'])('%s are passed over', (type) => {
    expect(readMessage(JSON.stringify({ type }))).toBeNull();
  });

  it('never throw anything else, whatever comes', () => {
    const types = fc.constantFrom('attached', 'error', 'participants', 'goaway', 'process_exited', 'flow_control');
    const message = fc.tuple(types, fc.object()).map(([type, fields]) => JSON.stringify({ ...fields, type }));
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json(), message), (text) => {
        try {
          readMessage(text);
        } catch (error) {
          expect(error).toEqual(MALFORMED);
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('the address', () => {
  it.each([
    ['http://a:8080', 'ws://a:8080/ws/pty?id=1'],
    ['https://a', 'wss://a/ws/pty?id=1'],
    ['wss://a/terminals/', 'wss://a/terminals/ws/pty?id=1'],
    ['ws://[::1]:9', 'ws://[::1]:9/ws/pty?id=1'],
  ])('of %s is %s', (server, address) => {
    expect(attachAddress(server, { id: '1' })).toBe(address);
  });

  it.each(['', 'terminals.example', 'ftp://a', 'javascript:alert(1)'])('%s is none', (server) => {
    expect(() => attachAddress(server, {})).toThrow(TypeError);
  });
});
