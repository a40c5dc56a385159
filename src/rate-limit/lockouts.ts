import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { CONFIG, type Config } from '../config/load.js';
import { AuditTrail } from '../kernel/audit.js';
import { Metrics } from '../kernel/metrics.js';
import { type RequestContext, systemContext } from '../kernel/request-context.js';
import type { CredentialName } from './credential-name.js';
import { type Lockout, LockoutTable } from './lockout-table.js';
import { networkOf } from '../kernel/network.js';

/** How late an end may be told. */
const SWEEP_MS = 1000;

/** The lockouts of this gateway, with their beginnings and ends on record. Time is monotonic. */
@Injectable()
export class Lockouts implements OnModuleDestroy {
  readonly #table: LockoutTable;
  readonly #timer: NodeJS.Timeout;
  /** The call that begins one: its address as it came, and its kind of credential, go on record. */
  #failing: { readonly context: RequestContext; readonly kind: string } | null = null;

  constructor(
    private readonly audit: AuditTrail,
    @Inject(CONFIG) config: Config,
    metrics: Metrics,
  ) {
    const rules = {
      failures: config.LOCKOUT_FAILURES,
      addressFailures: config.LOCKOUT_ADDRESS_FAILURES,
      firstMs: config.LOCKOUT_SECONDS * 1000,
      longestMs: config.LOCKOUT_MAX_SECONDS * 1000,
    };
    this.#table = new LockoutTable(rules, (what, lockout) => {
      if (what === 'began') this.#noteBegin(lockout);
      else this.#noteEnd(lockout);
    });
    this.#timer = setInterval(() => {
      this.#table.sweep(performance.now());
    }, SWEEP_MS).unref();
    const help = 'Addresses, or names from one, whose credentials are not looked at for a while.';
    metrics.read('gauge', { name: 'rate_limit_lockouts_active', help }, () => [
      { value: this.#table.active(performance.now()) },
    ]);
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
    this.#table.endAll();
  }

  /** Milliseconds until what this credential names is let in from there again; 0 when it is. */
  remaining(address: string, name: () => CredentialName): number {
    return this.#table.remaining(networkOf(address), () => name().id, performance.now());
  }

  /** Counts a credential that was refused. */
  fail(context: RequestContext, { kind, id }: CredentialName): void {
    this.#failing = { context, kind };
    this.#table.fail(networkOf(context.remoteAddress), id, performance.now());
    this.#failing = null;
  }

  #noteBegin({ name, forMs }: Lockout): void {
    if (this.#failing === null) return;
    const { context, kind } = this.#failing;
    const metadata = { of: name === null ? 'address' : kind, seconds: forMs / 1000 };
    this.audit.note(context, {
      ...{ action: 'rate_limit.lockout', resource: null, success: false, reason: 'RATE_LIMIT_EXCEEDED' },
      metadata,
    });
  }

  #noteEnd({ address, name, forMs }: Lockout): void {
    const metadata = { of: name === null ? 'address' : 'name', seconds: forMs / 1000 };
    this.audit.note(
      { ...systemContext(), remoteAddress: address },
      { action: 'rate_limit.lockout_ended', resource: null, success: true, metadata },
    );
  }
}
