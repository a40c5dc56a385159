import { Inject, Injectable } from '@nestjs/common';
import { AuditTrail } from '../kernel/audit.js';
import { Counter } from '../kernel/counter.js';
import type { DomainError } from '../kernel/errors.js';
import type { Taken } from '../kernel/gcra.js';
import { Metrics } from '../kernel/metrics.js';
import { type AddressClass, RateLimits, tooOften } from '../kernel/rate-limits.js';
import type { RateReport } from '../kernel/rate-report.js';
import type { CallerContext, RequestContext } from '../kernel/request-context.js';
import { Buckets } from './buckets.js';
import { budgetOf, type Limits, personOf } from './limits.js';
import { networkOf } from '../kernel/network.js';

/** Injection token of the limits as configured. */
export const LIMITS = Symbol('LIMITS');

/** The level at which somebody was refused. */
type Level = 'ip' | 'user' | 'websocket';

/** Counts calls by address and by caller, tells what is left, and puts refusals on record. */
@Injectable()
export class RateLimitsService extends RateLimits {
  readonly #violations = new Counter(['type']);

  constructor(
    private readonly buckets: Buckets,
    @Inject(LIMITS) private readonly limits: Limits,
    private readonly audit: AuditTrail,
    metrics: Metrics,
  ) {
    super();
    metrics.count(
      { name: 'rate_limit_violations_total', help: 'Calls and streams refused by a limit.' },
      this.#violations,
    );
    for (const type of ['ip', 'user', 'websocket'] as const) this.#violations.at({ type });
  }

  arrive(context: RequestContext, of: AddressClass): void | Promise<void> {
    const taken = this.buckets.take(`${of} ${networkOf(context.remoteAddress)}`, this.limits.address[of]);
    if (taken instanceof Promise)
      return taken.then((late) => {
        this.#addressed(context, of, late);
      });
    this.#addressed(context, of, taken);
  }

  identified({ remoteAddress }: RequestContext): void {
    this.buckets.giveBack(`stranger ${networkOf(remoteAddress)}`, this.limits.address.stranger);
  }

  tooFast(context: RequestContext, error: DomainError): void {
    this.refused(context, 'websocket', error);
  }

  left(address: string): RateReport {
    return reportOf(this.stranger(address), this.limits.address.stranger.burst);
  }

  /** Whether a stranger may come from this address now, as far as this gateway knows; nothing is counted. */
  stranger(address: string): Taken {
    return this.buckets.look(`stranger ${networkOf(address)}`, this.limits.address.stranger);
  }

  /** Counts a call of a known caller. @throws DomainError RATE_LIMIT_EXCEEDED */
  async call(context: CallerContext): Promise<void> {
    const { name, rate } = budgetOf(context.principal, this.limits);
    const taken = this.buckets.take(name, rate);
    this.#called(context, taken instanceof Promise ? await taken : taken, rate.burst);
  }

  /** Whose calls that make something are counted together: the owner's, with whatever key. */
  makerOf({ principal }: CallerContext): string {
    return `create ${personOf(principal)}`;
  }

  /** A call that makes something was counted. @throws DomainError RATE_LIMIT_EXCEEDED when it was refused */
  made(context: CallerContext, taken: Pick<Taken, 'allowed' | 'remaining' | 'resetMs' | 'retryMs'>): void {
    this.#called(context, taken, this.limits.create.burst);
  }

  /** Puts a refusal on record, and counts it. */
  refused(context: RequestContext, level: Level, { code }: DomainError): void {
    this.#violations.add({ type: level });
    const fact = { action: 'rate_limit.exceeded', resource: null, success: false, reason: code } as const;
    const { principal } = context;
    if (level === 'ip' || principal === null)
      this.audit.noteStranger(context, { ...fact, metadata: { detail: level } });
    else this.audit.noteCounted({ ...context, principal }, { ...fact, metadata: { detail: level } }, level);
  }

  #addressed(context: RequestContext, of: AddressClass, taken: Taken): void {
    tighten(context, reportOf(taken, this.limits.address[of].burst));
    if (taken.allowed) return;
    const error = tooOften('Too many calls from this address.', taken.retryMs);
    this.refused(context, 'ip', error);
    throw error;
  }

  #called(
    context: CallerContext,
    taken: Pick<Taken, 'allowed' | 'remaining' | 'resetMs' | 'retryMs'>,
    burst: number,
  ): void {
    tighten(context, reportOf(taken, burst));
    if (taken.allowed) return;
    const error = tooOften('You call more often than you may.', taken.retryMs);
    this.refused(context, 'user', error);
    throw error;
  }
}

const reportOf = ({ remaining, resetMs }: Pick<Taken, 'remaining' | 'resetMs'>, limit: number): RateReport => ({
  limit,
  remaining,
  resetSeconds: Math.ceil(resetMs / 1000),
});

/** Of several limits that a call was counted against the one is told that is used up first. */
function tighten(context: RequestContext, report: RateReport): void {
  const { rate } = context;
  if (rate === undefined || report.remaining <= rate.remaining) context.rate = report;
}
