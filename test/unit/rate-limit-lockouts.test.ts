import { beforeEach, describe, expect, it } from '@jest/globals';
import {
  type Lockout,
  LockoutTable,
  MAX_LOCKOUTS,
  MAX_WATCHED,
  WINDOW_MS,
} from '../../src/rate-limit/lockout-table.js';

const MINUTE = 60_000;
const RULES = { failures: 5, addressFailures: 50, firstMs: 5 * MINUTE, longestMs: 60 * MINUTE };

describe('a lockout', () => {
  let told: [string, string, number | null, number][];
  let table: LockoutTable;
  const fail = (address: string, name: number, times: number, at = 0): void => {
    for (let each = 0; each < times; each += 1) table.fail(address, name, at);
  };
  const remaining = (address: string, name: number, at = 0): number => table.remaining(address, () => name, at);

  beforeEach(() => {
    told = [];
    table = new LockoutTable(RULES, (what, { address, name, forMs }: Lockout) =>
      told.push([what, address, name, forMs]),
    );
  });

  it('begins with the fifth failure of one name within five minutes, for that name and no other', () => {
    fail('a', 1, 4);
    expect(remaining('a', 1)).toBe(0);
    fail('a', 1, 1);
    expect([remaining('a', 1), remaining('a', 2), remaining('b', 1)]).toEqual([5 * MINUTE, 0, 0]);
    expect(told).toEqual([['began', 'a', 1, 5 * MINUTE]]);
  });

  it('does not come of failures that are five minutes apart, and does of five in any five minutes', () => {
    for (let failure = 0; failure < 20; failure += 1) table.fail('a', 1, failure * (WINDOW_MS / 4));
    expect(told).toEqual([]);
    for (let failure = 0; failure < 5; failure += 1) table.fail('b', 1, failure * (WINDOW_MS / 5));
    expect(told).toHaveLength(1);
  });

  it('begins with the fiftieth failure of an address, whatever they name', () => {
    for (let name = 1; name <= 49; name += 1) fail('a', name, 1);
    expect(remaining('a', 100)).toBe(0);
    fail('a', 50, 1);
    expect([remaining('a', 100), remaining('b', 1)]).toEqual([5 * MINUTE, 0]);
    expect(told).toEqual([['began', 'a', null, 5 * MINUTE]]);
  });

  it('counts failures of a name that was locked out for the address all the same', () => {
    for (let name = 1; name <= 10; name += 1) fail('a', name, 5);
    expect(remaining('a', 999)).toBe(5 * MINUTE);
    expect(told.filter(([, , name]) => name === null)).toHaveLength(1);
  });

  it('is one, however many failures were under way when it began', () => {
    fail('a', 1, 32);
    expect(told).toEqual([['began', 'a', 1, 5 * MINUTE]]);
    for (let name = 1; name <= 250; name += 1) fail('b', name, 1);
    expect(told.slice(1)).toEqual([['began', 'b', null, 5 * MINUTE]]);
  });

  it('is twice as long each time, an hour at most, and short again after an hour without', () => {
    let now = 0;
    const lengths: number[] = [];
    for (let round = 0; round < 6; round += 1) {
      fail('a', 1, 5, now);
      const length = remaining('a', 1, now);
      lengths.push(length / MINUTE);
      now += length;
      table.sweep(now);
      expect(remaining('a', 1, now)).toBe(0);
    }
    expect(lengths).toEqual([5, 10, 20, 40, 60, 60]);
    table.sweep(now + 60 * MINUTE);
    fail('a', 1, 5, now + 60 * MINUTE);
    expect(remaining('a', 1, now + 60 * MINUTE)).toBe(5 * MINUTE);
  });

  it('is told once when it begins and once when it is over', () => {
    fail('a', 1, 5);
    for (const at of [1, 2, 3, 5, 6, 7]) table.sweep(at * MINUTE);
    expect(told.map(([what]) => what)).toEqual(['began', 'ended']);
    expect([table.active(0), table.active(5 * MINUTE)]).toEqual([1, 0]);
  });

  it('asks what a credential names only where there is a lockout', () => {
    const never = (): number => {
      throw new Error('asked');
    };
    fail('a', 1, 4);
    expect(table.remaining('a', never, 0)).toBe(0);
  });

  it('is not washed out by those who fail at many other addresses, and the memory is bounded', () => {
    fail('attacker', 1, 5);
    for (let other = 0; other < MAX_WATCHED * 2; other += 1) fail(`other ${other}`, 1, 1);
    expect(remaining('attacker', 1)).toBe(5 * MINUTE);
    // To make one be forgotten takes as many lockouts as may be remembered.
    for (let other = 0; other < MAX_LOCKOUTS - 1; other += 1) fail(`locked ${other}`, 1, 5);
    expect(remaining('attacker', 1)).toBe(5 * MINUTE);
    fail('one more', 1, 5);
    expect(remaining('attacker', 1)).toBe(0);
    expect(table.active(0)).toBe(MAX_LOCKOUTS);
    expect(told.at(-1)).toEqual(['ended', 'attacker', 1, 5 * MINUTE]);
  });
});
