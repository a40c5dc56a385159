import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { beforeEach, describe, expect, it } from '@jest/globals';
import { FetchError, type FetchFault, type PublishedKeys } from '../../src/auth/providers/jwks-client.js';
import { KeySet, type KeyTimes } from '../../src/auth/providers/key-set.js';
import { usableKeys } from '../../src/auth/providers/usable-keys.js';
import { DomainError } from '../../src/kernel/errors.js';

const ec = (curve = 'P-256'): KeyObject => generateKeyPairSync('ec', { namedCurve: curve }).publicKey;
const rsa = (bits: number): KeyObject => generateKeyPairSync('rsa', { modulusLength: bits }).publicKey;
const jwk = (key: KeyObject, members: object = {}): object => ({ ...key.export({ format: 'jwk' }), ...members });

const first = jwk(ec(), { kid: 'first', use: 'sig' });
const second = jwk(ec(), { kid: 'second', use: 'sig' });

describe('the keys of a provider', () => {
  let now: number;
  let fetches: number;
  let answer: () => Promise<PublishedKeys>;
  let told: string[];
  let times: KeyTimes;
  let keys: KeySet;

  beforeEach(() => {
    now = 1_000_000_000;
    fetches = 0;
    told = [];
    answer = () => Promise.resolve([first]);
    times = { cache_ttl_seconds: 3600, refresh_interval_seconds: 900, max_stale_seconds: 86_400 };
    keys = new KeySet({
      algorithms: ['ES256', 'RS256'],
      times: () => times,
      clock: { now: () => now },
      fetch: () => {
        fetches += 1;
        return answer();
      },
      listener: {
        changed: (count) => told.push(`changed ${count}`),
        failed: (fault, failures) => told.push(`failed ${fault} ${failures}`),
        stale: (age) => told.push(`stale ${age}`),
      },
    });
  });

  const away = (fault: FetchFault = 'unreachable') => {
    answer = () => Promise.reject(new FetchError(fault));
  };
  /** The key id found, or code and reason of the refusal. */
  const find = (kid: string | null, algorithm: 'ES256' | 'RS256' = 'ES256'): Promise<unknown> =>
    keys.find(algorithm, kid).then(
      (key) => key.kid,
      (error: unknown) => (error instanceof DomainError ? `${error.code} ${String(error.reason)}` : error),
    );
  /** Time passes, second by second, as the timer of a running gateway sees it. */
  async function pass(seconds: number): Promise<void> {
    for (let each = 0; each < seconds; each += 1) {
      now += 1000;
      keys.tick();
      await new Promise(setImmediate);
    }
  }

  it('are fetched once for everybody who waits', async () => {
    expect(await Promise.all(Array.from({ length: 50 }, () => find('first')))).toEqual(Array(50).fill('first'));
    expect(fetches).toBe(1);
    expect(told).toEqual(['changed 1']);
  });

  it('are fetched anew every 15 minutes, and told only when they are others', async () => {
    await find('first');
    await pass(899);
    expect(fetches).toBe(1);
    await pass(1);
    expect(fetches).toBe(2);
    answer = () => Promise.resolve([second, first]);
    await pass(900);
    answer = () => Promise.resolve([first, second]);
    await pass(900);
    expect(fetches).toBe(4);
    expect(told).toEqual(['changed 1', 'changed 2']);
  });

  it('are looked at again for a key id that is new, at once', async () => {
    await find('first');
    answer = () => Promise.resolve([first, second]);
    expect(await find('second')).toBe('second');
    expect(fetches).toBe(2);
  });

  it('are fetched once in 30 seconds, however many unknown key ids come', async () => {
    await find('first');
    const flood = (): Promise<unknown[]> => Promise.all(Array.from({ length: 100 }, (_, i) => find(`unknown-${i}`)));
    expect(new Set(await flood())).toEqual(new Set(['JWT_INVALID key_unknown']));
    await flood();
    expect(fetches).toBe(2);
    now += 29_999;
    await flood();
    expect(fetches).toBe(2);
    now += 1;
    await flood();
    expect(fetches).toBe(3);
    expect(await find('first')).toBe('first');
  });

  it('that cannot be had are no 401, and are tried for after 1, 2, 4 and so on up to 60 seconds', async () => {
    away();
    expect(await find('first')).toBe('JWKS_UNAVAILABLE no_keys');
    const at: number[] = [];
    const start = now;
    for (let before = fetches; at.length < 9;) {
      await pass(1);
      if (fetches > before) at.push((now - start) / 1000);
      before = fetches;
    }
    expect(at).toEqual([1, 3, 7, 15, 31, 63, 123, 183, 243]);
    expect(told.slice(0, 2)).toEqual(['failed unreachable 1', 'failed unreachable 2']);
  });

  it('are not asked for by calls while the provider is left in peace', async () => {
    away();
    await find('first');
    await Promise.all(Array.from({ length: 20 }, () => find('first')));
    expect(fetches).toBe(1);
    answer = () => Promise.resolve([first]);
    now += 1000;
    expect(await find('first')).toBe('first');
  });

  it('go on being used while the provider is away, told once, and no longer than stated', async () => {
    await find('first');
    away('status');
    now += 3601_000;
    expect(await find('first')).toBe('first');
    expect(await find('first')).toBe('first');
    expect(told).toEqual(['changed 1', 'failed status 1', 'stale 3601']);
    now = 1_000_000_000 + 86_400_000;
    expect(await find('first')).toBe('first');
    now += 1;
    expect(await find('first')).toBe('JWKS_UNAVAILABLE keys_too_old');
    answer = () => Promise.resolve([first]);
    now += 60_000;
    expect(await find('first')).toBe('first');
  });

  it('hold nobody up while they are there and the provider is known to be slow', async () => {
    await find('first');
    away('timeout');
    now += 3601_000;
    await find('first');
    let end: (keys: PublishedKeys) => void = () => undefined;
    answer = () => new Promise((resolve) => (end = resolve));
    now += 1000;
    keys.tick();
    expect(fetches).toBe(3);
    expect(await find('first')).toBe('first');
    end([first]);
  });

  it('are waited for by a bounded number of calls', async () => {
    let end: (keys: PublishedKeys) => void = () => undefined;
    answer = () => new Promise((resolve) => (end = resolve));
    const waiting = Array.from({ length: 1000 }, () => find('first'));
    await new Promise(setImmediate);
    expect(await find('first')).toBe('JWKS_UNAVAILABLE too_many_waiting');
    end([first]);
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['first']));
  });

  it('that are withdrawn refuse what they signed before', async () => {
    const key = await keys.find('ES256', 'first');
    expect(keys.refusalOf(key)).toBeNull();
    answer = () => Promise.resolve([second]);
    await pass(900);
    expect(keys.refusalOf(key)).toMatchObject({ code: 'JWT_INVALID', reason: 'key_withdrawn' });
  });

  it('that are too old refuse what they signed before', async () => {
    const key = await keys.find('ES256', 'first');
    now += 86_400_001;
    expect(keys.refusalOf(key)).toMatchObject({ code: 'JWKS_UNAVAILABLE', reason: 'keys_too_old' });
  });

  it('without a key id in the token serve when there is exactly one that fits', async () => {
    answer = () => Promise.resolve([first, jwk(rsa(2048), { kid: 'rsa' })]);
    expect(await find(null)).toBe('first');
    answer = () => Promise.resolve([first, second]);
    await pass(900);
    expect(await find(null)).toBe('JWT_INVALID kid_missing');
    expect(await find(null, 'RS256')).toBe('JWT_INVALID key_does_not_fit');
  });

  it('of another type than the algorithm are no reason to fetch', async () => {
    await find('first');
    expect(await find('first', 'RS256')).toBe('JWT_INVALID key_does_not_fit');
    expect(fetches).toBe(1);
  });

  it('with the same key id twice are not chosen between', async () => {
    answer = () => Promise.resolve([first, { ...second, kid: 'first' }]);
    expect(await find('first')).toBe('JWT_INVALID kid_ambiguous');
  });

  it('are not fetched after the stop', async () => {
    keys.stop();
    keys.tick();
    expect(await find('first')).toBe('JWKS_UNAVAILABLE no_keys');
    expect(fetches).toBe(0);
  });
});

describe('a published key', () => {
  const good = ec();
  const cases: [string, unknown][] = [
    ['is a shared secret', { kty: 'oct', k: 'c2VjcmV0', kid: 'a' }],
    ['is for encryption', jwk(good, { use: 'enc' })],
    ['is not for verifying', jwk(good, { key_ops: ['encrypt'] })],
    ['is for another algorithm', jwk(good, { alg: 'ES384' })],
    ['is for a symmetric algorithm', jwk(good, { alg: 'HS256' })],
    ['is on a curve that no allowed algorithm has', jwk(ec('P-384'))],
    ['is on the curve of Bitcoin', jwk(ec('secp256k1'))],
    ['is a weak RSA key', jwk(rsa(1024))],
    ['is an RSA key with exponent 1', { ...jwk(rsa(2048)), e: 'AQ' }],
    ['has its private half beside it', jwk(good, { d: 'AAAA' })],
    ['has a key id that is no text', jwk(good, { kid: 5 })],
    ['is not on its curve', { ...jwk(good), x: 'AAAA' }],
    ['is Ed25519', jwk(generateKeyPairSync('ed25519').publicKey)],
    ['is no object', 'key'],
    ['is nothing', null],
  ];

  it.each(cases)('is not used when it %s', (_what, published) => {
    expect(usableKeys([published], ['ES256', 'RS256'])).toEqual([]);
  });

  it('is used for the algorithms that are allowed and fit', () => {
    const published = [
      jwk(rsa(2048), { kid: 'r' }),
      jwk(ec('P-384'), { key_ops: ['verify'] }),
      jwk(good, { alg: 'ES256' }),
    ];
    const found = usableKeys(published, ['RS256', 'PS512', 'ES256', 'ES384']);
    expect(found.map(({ kid, algorithms }) => [kid, algorithms])).toEqual([
      ['r', ['RS256', 'PS512']],
      [null, ['ES384']],
      [null, ['ES256']],
    ]);
  });
});
