import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Connections } from '../../src/kernel/connections.js';
import { rateOf, take } from '../../src/kernel/gcra.js';
import type { Principal } from '../../src/kernel/principal.js';
import { AddressShares, MAX_HASHES_EACH, MAX_LOOKS_EACH } from '../../src/rate-limit/address-shares.js';
import { BucketTable } from '../../src/rate-limit/bucket-table.js';
import { Buckets } from '../../src/rate-limit/buckets.js';
import { nameOf } from '../../src/rate-limit/credential-name.js';
import { budgetOf, type Limits } from '../../src/rate-limit/limits.js';
import { networkOf } from '../../src/kernel/network.js';
import type { SharedTaken } from '../../src/rate-limit/redis-buckets.js';

const MINUTE_MS = 60_000;

describe('a bucket', () => {
  it('gives what it holds at once, then one whenever one is there again, and says when', () => {
    const rate = rateOf(60, MINUTE_MS, 5);
    let fullAt = 0;
    for (let left = 4; left >= 0; left -= 1) {
      const taken = take(rate, fullAt, 1000);
      expect([taken.allowed, taken.remaining]).toEqual([true, left]);
      fullAt = taken.fullAt;
    }
    expect(take(rate, fullAt, 1000)).toMatchObject({ allowed: false, remaining: 0, retryMs: 1000, resetMs: 5000 });
    expect(take(rate, fullAt, 1999)).toMatchObject({ allowed: false, retryMs: 1 });
    expect(take(rate, fullAt, 2000)).toMatchObject({ allowed: true, remaining: 0 });
    expect(take(rate, fullAt, 6000, 0)).toMatchObject({ allowed: true, remaining: 5, resetMs: 0 });
  });

  it('never gives more than it holds and what fills it meanwhile, nor less to who keeps to the pace', () => {
    const calls = fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(calls, fc.integer({ min: 1, max: 600 }), fc.integer({ min: 1, max: 50 }), (pauses, count, burst) => {
        const rate = rateOf(count, MINUTE_MS, burst);
        let [now, fullAt, given] = [1, 0, 0];
        for (const pause of pauses) {
          now += pause;
          const taken = take(rate, fullAt, now);
          // Whoever waits as long as they are told is let in.
          if (!taken.allowed) expect(take(rate, fullAt, now + taken.retryMs).allowed).toBe(true);
          else [fullAt, given] = [taken.fullAt, given + 1];
          expect(given).toBeLessThanOrEqual(burst + (now - 1) / rate.everyMs + 1e-3);
          expect(taken.remaining).toBeGreaterThanOrEqual(0);
          expect(taken.remaining).toBeLessThanOrEqual(burst);
        }
        for (let calm = 0; calm < 20; calm += 1) {
          now += rate.everyMs * burst;
          expect(take(rate, fullAt, now).allowed).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });

  it('that was kept under another rate is never emptier than empty', () => {
    expect(take(rateOf(1, 1000, 2), 1e12, 0)).toMatchObject({ allowed: false, retryMs: 1000 });
  });
});

describe('the table of buckets', () => {
  it('costs the same whether a thousand addresses come or a million', () => {
    const before = process.memoryUsage();
    const table = new BucketTable();
    for (let host = 0; host < 1_000_000; host += 1)
      table.set({ high: host, low: Math.imul(host, 0x9e3779b1) >>> 0 }, 1);
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(40 * 1024 * 1024);
    expect(after.rss - before.rss).toBeLessThan(200 * 1024 * 1024);
  });

  it('forgets who has used up least, not who has used up most, however many come', () => {
    const buckets = new Buckets(null, () => 1000, new BucketTable(64));
    const rate = rateOf(60, MINUTE_MS, 10);
    for (let calls = 0; calls < 10; calls += 1) buckets.takeHere('the flood', rate);
    for (let other = 0; other < 10_000; other += 1) buckets.takeHere(`other ${other}`, rate);
    expect(buckets.takeHere('the flood', rate).allowed).toBe(false);
  });
});

describe('buckets that are shared', () => {
  const rate = rateOf(60, MINUTE_MS, 2);
  const shared = (answer: () => Promise<SharedTaken>) => {
    const asked: string[] = [];
    const store = {
      usable: true,
      asked,
      take: (name: string) => {
        asked.push(name);
        return answer();
      },
    };
    return store;
  };

  it('are known here to be empty, and then not asked for again', async () => {
    const store = shared(() => Promise.resolve({ allowed: false, resetMs: 2000 }));
    const buckets = new Buckets(store, () => 1000);
    expect(await buckets.take('a', rate)).toMatchObject({ allowed: false, remaining: 0 });
    expect(buckets.take('a', rate)).toMatchObject({ allowed: false, retryMs: 1000 });
    expect(store.asked).toEqual(['a']);
  });

  it('get back what is given back, here and there, and hold no more than they do', async () => {
    const costs: (number | undefined)[] = [];
    const store = {
      usable: true,
      take: (_name: string, _rate: unknown, cost?: number) => {
        costs.push(cost);
        return Promise.resolve({ allowed: true, resetMs: 1000 });
      },
    };
    const buckets = new Buckets(store, () => 1000);
    await buckets.take('a', rate);
    for (let times = 0; times < 3; times += 1) buckets.giveBack('a', rate);
    expect([buckets.look('a', rate).remaining, costs]).toEqual([2, [undefined, -1, -1, -1]]);
  });

  it('are counted here from where they were when nobody answers', async () => {
    const store = shared(() => Promise.resolve({ allowed: true, resetMs: 1000 }));
    const buckets = new Buckets(store, () => 1000);
    expect(await buckets.take('a', rate)).toMatchObject({ allowed: true, remaining: 1 });
    store.take = () => Promise.reject(new Error('gone'));
    expect(await buckets.take('a', rate)).toMatchObject({ allowed: true, remaining: 0 });
    store.usable = false;
    expect(buckets.take('a', rate)).toMatchObject({ allowed: false });
  });
});

describe('an address is counted', () => {
  it.each([
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['::ffff:c000:207', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:DB8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8:0:0:ffff::', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::192.0.2.7', '64:ff9b:0:0::/64'],
    ['unknown', 'unknown'],
  ])('%s as %s', (address, network) => {
    expect(networkOf(address)).toBe(network);
  });
});

describe('what a credential names', () => {
  const jwt = (claims: object): string => `x.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.y`;
  const key = (id: string, rest = '0'.repeat(49)): string => `gh_test_${id.padEnd(16, '0')}_${rest}`;

  it('is a key by its id, or a subject with its issuer, whatever else is in it', () => {
    expect(nameOf(key('a'))).toEqual(nameOf(key('a', '1'.repeat(49))));
    expect(nameOf(key('a'))).not.toEqual(nameOf(key('b')));
    expect(nameOf(jwt({ iss: 'x', sub: 'alice', exp: 1 }))).toEqual(nameOf(jwt({ sub: 'alice', iss: 'x' })));
    expect(nameOf(jwt({ iss: 'x', sub: 'alice' }))).not.toEqual(nameOf(jwt({ iss: 'y', sub: 'alice' })));
    expect(nameOf(jwt({ userId: 'alice' })).kind).toBe('subject');
  });

  it.each(['', 'nonsense', 'a.b.c', jwt({}), jwt({ sub: 7 }), jwt([]), 'gh_test_short', 'gh_ticket_x'])(
    'is nothing in %j, and all of these are counted together',
    (text) => {
      expect(nameOf(text)).toEqual({ kind: 'unnamed', id: 0 });
    },
  );
});

describe('what one address or principal takes of what is there for all', () => {
  it('is a share of the checks, which it gets back when they are over', () => {
    const shares = new AddressShares();
    for (const [kind, most] of [
      ['looks', MAX_LOOKS_EACH],
      ['hashes', MAX_HASHES_EACH],
    ] as const) {
      for (let taken = 0; taken < most; taken += 1) shares.take('a', kind);
      expect(() => {
        shares.take('a', kind);
      }).toThrow('Too many credentials of this address');
      shares.take('b', kind);
    }
    shares.giveBack('a', { looks: 1, hashes: 0 });
    shares.take('a', 'looks');
    expect(() => {
      shares.take('a', 'hashes');
    }).toThrow('Too many');
  });

  it('is so many connections, and one that ended counts once', () => {
    const connections = new Connections(2);
    const [alice, bob] = ['alice', 'bob'].map((subject) => ({ tenant: 't', provider: 'p', subject }) as Principal);
    if (!alice || !bob) throw new Error('impossible');
    const leave = connections.enter(alice);
    connections.enter(alice);
    expect(() => connections.enter(alice)).toThrow(expect.objectContaining({ code: 'CONNECTION_LIMIT' }));
    connections.enter(bob);
    leave();
    leave();
    connections.enter(alice);
    expect(() => connections.enter(alice)).toThrow();
  });

  it('is the budget of the owner of a key, but for a key with a limit of its own', () => {
    const limits = { principal: rateOf(6000, MINUTE_MS, 50) } as Limits;
    const owner = { tenant: 't', provider: 'p', subject: 'alice', keyId: null } as Principal;
    const plain = { ...owner, keyId: 'k1' };
    expect(budgetOf(plain, limits)).toEqual(budgetOf(owner, limits));
    expect(budgetOf({ ...plain, ratePerMinute: 120 }, limits)).toEqual({
      name: 'key k1',
      rate: { everyMs: 500, burst: 50 },
    });
    expect(budgetOf({ ...plain, ratePerMinute: 2 }, limits).rate.burst).toBe(2);
  });
});
