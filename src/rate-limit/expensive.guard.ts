import { type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { getOptionsToken, ThrottlerGuard, type ThrottlerModuleOptions, type ThrottlerRequest } from '@nestjs/throttler';
import type { CallerContext } from '../kernel/request-context.js';
import { contextOf } from '../transport/execution-context.js';
import { isExpensive } from './expensive.js';
import { RateLimitsService } from './rate-limits.service.js';
import { ThrottlerBuckets } from './throttler-buckets.js';

/**
 * The limit of calls that make something, between authentication and authorisation. The library's guard finds the throttler
 * of a handler; who is counted, and how a refusal is told, is the same on all transports here, and not the library's.
 */
@Injectable()
export class ExpensiveGuard extends ThrottlerGuard {
  constructor(
    @Inject(getOptionsToken()) options: ThrottlerModuleOptions,
    // By name: what the library declares for this place would be its own storage.
    @Inject(ThrottlerBuckets) private readonly buckets: ThrottlerBuckets,
    reflector: Reflector,
    private readonly limits: RateLimitsService,
  ) {
    super(options, buckets, reflector);
  }

  protected override shouldSkip(execution: ExecutionContext): Promise<boolean> {
    return Promise.resolve(!isExpensive(execution.getHandler()) || contextOf(execution).principal === null);
  }

  protected override async handleRequest({ context: execution, limit, ttl }: ThrottlerRequest): Promise<boolean> {
    const context = contextOf(execution) as CallerContext;
    this.limits.made(context, await this.buckets.increment(this.limits.makerOf(context), ttl, limit));
    return true;
  }
}
