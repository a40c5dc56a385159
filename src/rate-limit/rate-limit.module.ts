import { Global, Inject, Module, type OnModuleDestroy } from '@nestjs/common';
import { ThrottlerModule } from '@nestjs/throttler';
import { PinoLogger } from 'nestjs-pino';
import { CONFIG, type Config } from '../config/load.js';
import { Authenticator } from '../kernel/authenticator.js';
import { Metrics } from '../kernel/metrics.js';
import { RateLimits } from '../kernel/rate-limits.js';
import { Buckets } from './buckets.js';
import { ExpensiveGuard } from './expensive.guard.js';
import { LimitedAuthenticator } from './limited-authenticator.js';
import { CREATE, limitsOf } from './limits.js';
import { Lockouts } from './lockouts.js';
import { LIMITS, RateLimitsService } from './rate-limits.service.js';
import { RedisBuckets } from './redis-buckets.js';
import { ThrottlerBuckets } from './throttler-buckets.js';

/** What is shared through Redis; null without REDIS_URL. */
const SHARED = Symbol('SHARED');

/** How often anybody may come. Needs a CredentialCheck from a global module, and gives all edges their Authenticator. */
@Global()
@Module({
  imports: [
    ThrottlerModule.forRootAsync({
      inject: [CONFIG],
      useFactory: (config: Config) => {
        const { everyMs, burst } = limitsOf(config).create;
        return { throttlers: [{ name: CREATE, limit: burst, ttl: everyMs * burst }] };
      },
    }),
  ],
  providers: [
    { provide: LIMITS, inject: [CONFIG], useFactory: limitsOf },
    { provide: SHARED, inject: [CONFIG, PinoLogger, Metrics], useFactory: openShared },
    { provide: Buckets, inject: [SHARED], useFactory: (shared: RedisBuckets | null) => new Buckets(shared) },
    RateLimitsService,
    { provide: RateLimits, useExisting: RateLimitsService },
    Lockouts,
    { provide: Authenticator, useClass: LimitedAuthenticator },
    ThrottlerBuckets,
    ExpensiveGuard,
  ],
  exports: [RateLimits, RateLimitsService, Authenticator, ExpensiveGuard],
})
export class RateLimitModule implements OnModuleDestroy {
  constructor(@Inject(SHARED) private readonly shared: RedisBuckets | null) {}

  onModuleDestroy(): void {
    this.shared?.close();
  }
}

function openShared({ REDIS_URL }: Config, logger: PinoLogger, metrics: Metrics): RedisBuckets | null {
  const shared = REDIS_URL === undefined ? null : new RedisBuckets(REDIS_URL, logger);
  const help = 'Whether limits are shared through Redis, 1 or 0.';
  metrics.read('gauge', { name: 'rate_limit_redis_up', help }, () => [{ value: shared?.usable === true ? 1 : 0 }]);
  return shared;
}
