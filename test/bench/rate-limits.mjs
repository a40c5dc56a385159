/**
 * What counting costs, in time and memory, on what `npm run build` made:
 * node --expose-gc test/bench/rate-limits.mjs [redis://…]
 */
import { rateOf } from '../../dist/src/kernel/gcra.js';
import { Buckets } from '../../dist/src/rate-limit/buckets.js';
import { LockoutTable } from '../../dist/src/rate-limit/lockout-table.js';
import { networkOf } from '../../dist/src/kernel/network.js';
import { RedisBuckets } from '../../dist/src/rate-limit/redis-buckets.js';
import { StreamPace, streamLimitsOf } from '../../dist/src/transport/stream-pace.js';

const MIB = 1024 * 1024;
const ADDRESSES = 1_000_000;
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const stranger = rateOf(100, 60_000, 20);
const addressOf = (number) => `2001:db8:${(number >> 16).toString(16)}:${(number & 0xffff).toString(16)}::1`;

const memory = () => {
  globalThis.gc?.();
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  return { rss, used: heapUsed + arrayBuffers };
};

/** Runs it, and says how long each took and what stayed in memory. */
function measure(name, count, work) {
  const before = memory();
  const began = performance.now();
  for (let number = 0; number < count; number += 1) work(number);
  const each = ((performance.now() - began) / count) * 1000;
  const after = memory();
  const grown = (what) => `${((after[what] - before[what]) / MIB).toFixed(0)} MiB ${what}`;
  process.stdout.write(`${name}: ${each.toFixed(2)} µs each, ${grown('used')}, ${grown('rss')}\n`);
}

const buckets = new Buckets();
measure('a million addresses, one call each', ADDRESSES, (number) =>
  buckets.takeHere(`stranger ${networkOf(addressOf(number))}`, stranger),
);
measure('one address, a million calls', ADDRESSES, () => buckets.takeHere('stranger 192.0.2.1', stranger));

const lockouts = new LockoutTable(
  { failures: 5, addressFailures: 50, firstMs: 300_000, longestMs: 3_600_000 },
  () => undefined,
);
measure('a million addresses, five failures each', ADDRESSES, (number) => {
  for (let failure = 0; failure < 5; failure += 1) lockouts.fail(addressOf(number), failure, number / 100);
});
measure('a credential of an address that never failed', ADDRESSES, () => lockouts.remaining('192.0.2.1', () => 0, 0));

const pace = new StreamPace(
  streamLimitsOf({
    RATE_LIMIT_MESSAGES_PER_SECOND: 100,
    RATE_LIMIT_MESSAGES_BURST: 20,
    RATE_LIMIT_INPUT_BYTES_PER_SECOND: MIB,
  }),
  { tellPace: () => undefined, waiting: false },
);
measure('a keystroke', ADDRESSES, () => pace.input(1));

const [, , url] = process.argv;
if (url !== undefined) {
  const redis = new RedisBuckets(url, silent);
  while (!redis.usable) await new Promise((done) => setTimeout(done, 50));
  const began = performance.now();
  const calls = 50_000;
  for (let sent = 0; sent < calls; sent += 50) {
    await Promise.all(Array.from({ length: 50 }, (_, number) => redis.take(`bench ${sent + number}`, stranger)));
  }
  const each = ((performance.now() - began) / calls) * 1000;
  process.stdout.write(`a call counted in Redis, fifty at once: ${each.toFixed(1)} µs each\n`);
  redis.close();
}
process.exit(0);
