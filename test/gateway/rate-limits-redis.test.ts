import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { BEHIND_PROXY, overGrpc, overRest } from '../support/attempts.js';
import { PRODUCT_LIMITS, TestGateway, token, until } from '../support/gateway.js';
import { hasRedis, TestRedis } from '../support/redis.js';
import { rest } from '../support/rest.js';
import { scrape } from '../support/scrape.js';

const BURST = 20;
const LIMITS = {
  ...PRODUCT_LIMITS,
  ...BEHIND_PROXY,
  // So slow that none is there again while a test goes on.
  ...{ RATE_LIMIT_STRANGER_PER_MINUTE: '1', RATE_LIMIT_STRANGER_BURST: String(BURST) },
  ...{ RATE_LIMIT_CREATE_PER_HOUR: '10', RATE_LIMIT_CREATE_BURST: '4' },
};

(hasRedis() ? describe : describe.skip)('two gateways with one Redis, one of them by TLS,', () => {
  let redis: TestRedis;
  let one: TestGateway;
  let two: TestGateway;
  let last = 0;
  const newcomer = (): string => `203.0.113.${(last += 1)}`;
  const both = (): readonly TestGateway[] => [one, two];

  beforeAll(async () => {
    redis = await TestRedis.prepare();
    one = await TestGateway.start({ ...LIMITS, REDIS_URL: redis.url, NODE_EXTRA_CA_CERTS: redis.authorityFile });
    one.environment['REDIS_URL'] = redis.tlsUrl;
    two = await one.sibling();
  });
  afterAll(async () => {
    await two.end();
    await one.remove();
    await redis.remove();
  });

  const connected = async (up: number): Promise<void> => {
    for (const gateway of both()) {
      await until(`rate_limit_redis_up ${up}`, async () => {
        return (await scrape(gateway, one.adminKey)).of('rate_limit_redis_up') === up;
      });
    }
  };
  /** How many of so many strangers' calls are let through to their 401, the gateways taking turns. */
  const letThrough = async (address: string, calls: number, gateways = both()): Promise<number> => {
    const outcomes = await Promise.all(
      Array.from({ length: calls }, (_, index) => overRest(gateways[index % gateways.length] ?? one, null, address)),
    );
    const codes = outcomes.map(({ code }) => code);
    expect(codes.filter((code) => code !== 'AUTH_TOKEN_MISSING' && code !== 'RATE_LIMIT_EXCEEDED')).toEqual([]);
    return codes.filter((code) => code === 'AUTH_TOKEN_MISSING').length;
  };
  const told = (gateway: TestGateway, words: string): number =>
    gateway.log.filter(({ msg }) => String(msg).includes(words)).length;
  /** How often each has said that it counts alone. */
  const aways = (): number[] => both().map((gateway) => told(gateway, 'Redis is away'));
  /** Again, with others, where Redis was too slow for one meanwhile: then it rightly counted alone. */
  const withRedis = async <T>(count: () => Promise<T>): Promise<T> => {
    for (let tries = 1; ; tries += 1) {
      await connected(1);
      const before = String(aways());
      const counted = await count();
      await connected(1);
      if (String(aways()) === before || tries === 10) return counted;
    }
  };

  it('start without it, and each counts alone', async () => {
    await connected(0);
    expect(await letThrough(newcomer(), 4 * BURST)).toBe(2 * BURST);
    await redis.launch();
    await connected(1);
  });

  it('share one budget, of addresses and of callers', async () => {
    const counted = await withRedis(async () => {
      const address = newcomer();
      const through = await letThrough(address, 2 * BURST + 10);
      const over = await Promise.all(both().map((gateway) => overGrpc(gateway, null, address)));
      return [through, ...over.map(({ code }) => code)];
    });
    expect(counted).toEqual([BURST, 'RATE_LIMIT_EXCEEDED', 'RATE_LIMIT_EXCEEDED']);
    const statuses = await withRedis(async () => {
      const sub = `maker-${(last += 1)}`;
      const maker = token({ sub, jti: sub });
      const made: number[] = [];
      for (const gateway of [one, two, one, two, one, two])
        made.push((await rest(gateway, maker, 'POST', '/api/v1/sessions', { cols: -1 })).status);
      return made;
    });
    expect(statuses).toEqual([422, 422, 422, 422, 429, 429]);
  });

  it('keep in it nothing of anybody’s name or address, and nothing for ever', async () => {
    const keys = (await redis.ask('KEYS', '*')).split('\r\n').filter((line) => line.startsWith('gatehouse:'));
    expect(keys.length).toBeGreaterThan(1);
    for (const key of keys) {
      expect(key).toMatch(/^gatehouse:bucket:1:[\w-]{43}$/);
      const left = Number(/:(-?\d+)/.exec(await redis.ask('PTTL', key))?.[1]);
      // What is gone meanwhile is -2, what would stay -1.
      expect([key, left === -1]).toEqual([key, false]);
      expect(left).toBeLessThanOrEqual(4 * 360_000);
    }
  });

  it('count each by itself when it stops, at once, and together again when it is back, and say so once', async () => {
    const [before, through] = await withRedis(async () => {
      const address = newcomer();
      return [address, await letThrough(address, 2 * BURST)] as const;
    });
    expect(through).toBe(BURST);
    const [away, address] = [aways(), newcomer()];
    await redis.stop();
    // What was used up before stays so.
    expect(await letThrough(before, 10)).toBe(0);
    expect(await letThrough(address, 4 * BURST)).toBe(2 * BURST);
    await connected(0);
    expect(aways()).toEqual(away.map((times) => times + 1));
    expect((await rest(one, one.adminKey, 'GET', '/api/v1/sessions?limit=1')).status).toBe(200);
    await redis.launch();
    expect(await withRedis(() => letThrough(newcomer(), 2 * BURST))).toBe(BURST);
    expect(both().map((gateway) => told(gateway, 'Redis answers'))).toEqual(aways());
    for (const gateway of both()) expect(gateway.stdout).not.toContain(redis.secret);
  });

  it('do not wait for one that hangs', async () => {
    await connected(1);
    const [away = 0] = aways();
    redis.hang();
    try {
      // The first finds out, and those after it do not ask.
      expect((await overRest(one, null, newcomer())).code).toBe('AUTH_TOKEN_MISSING');
      expect(told(one, 'Redis is away')).toBe(away + 1);
      expect(await letThrough(newcomer(), 2 * BURST, [one])).toBe(BURST);
    } finally {
      redis.goOn();
    }
    await connected(1);
  });
});
