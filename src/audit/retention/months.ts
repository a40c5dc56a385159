import { Inject, Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { CONFIG, type Config } from '../../config/load.js';
import { isLockNotHad } from '../../database/errors.js';
import { TenantScope } from '../../database/tenant-scope.js';
import { AuditTrail } from '../../kernel/audit.js';
import type { Clock } from '../../kernel/clock.js';
import type { Log } from '../../kernel/log.js';
import { systemContext } from '../../kernel/request-context.js';
import { CLOCK } from '../../kernel/tokens.js';
import { monthsThere } from '../chain/months-there.js';
import { SigningKey } from '../chain/signing-key.js';
import { AUDIT_LOG } from '../record/audit-log.js';
import { dropMonth, monthFrom, monthName } from './month-drop.js';
import { MonthKept } from './month-record.js';
import { sweepNames } from './name-sweep.js';

const LOOK_EVERY_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** Months that are there before their first event comes, with this one. */
const AHEAD = 3;

/** Makes the trail's months ahead of time, and drops those past AUDIT_RETENTION_DAYS. */
@Injectable()
export class Months implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #looking: Promise<void> | null = null;
  /** Months that are kept, as it was told already. */
  readonly #kept = new Set<string>();

  constructor(
    private readonly scope: TenantScope,
    private readonly key: SigningKey,
    private readonly audit: AuditTrail,
    @Inject(CONFIG) private readonly config: Pick<Config, 'AUDIT_RETENTION_DAYS'>,
    @Inject(AUDIT_LOG) private readonly log: Log,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY_MS).unref();
    void this.look();
  }

  onModuleDestroy(): void {
    this.#closed = true;
    clearInterval(this.#timer);
  }

  /** Does what is to be done now. Never rejects: the next look has what this one could not have. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async #look(): Promise<void> {
    try {
      await this.#makeAhead();
      await this.#dropPast();
      if (!this.#closed) await sweepNames(this.scope);
    } catch (error) {
      if (!this.#closed) this.log.error({ err: error }, 'the months of the audit trail could not be looked after');
    }
  }

  async #makeAhead(): Promise<void> {
    const now = new Date(this.clock.now());
    for (let ahead = 0; ahead < AHEAD; ahead += 1) {
      await this.scope.system((manager) => manager.query('SELECT audit_make_month($1)', [monthFrom(now, ahead)]));
    }
  }

  async #dropPast(): Promise<void> {
    const before = this.clock.now() - this.config.AUDIT_RETENTION_DAYS * DAY_MS;
    for (const month of await this.scope.system(monthsThere)) {
      if (this.#closed || monthFrom(month, 1).getTime() > before) return;
      await this.#drop(month);
    }
  }

  async #drop(month: Date): Promise<void> {
    const name = monthName(month);
    try {
      const events = await dropMonth(this.scope, this.key, month, new Date(this.clock.now()).toISOString());
      if (events === null) return;
      this.#kept.delete(name);
      await this.audit.record(systemContext(), {
        ...{ action: 'audit.pruned', resource: `audit_month:${name}`, success: true },
        metadata: { events },
      });
    } catch (error) {
      if (error instanceof MonthKept) this.#tellKept(name, error);
      else if (isLockNotHad(error))
        this.log.warn({ month: name }, 'a month of the audit trail is in use, it is dropped later');
      else throw error;
    }
  }

  /** Once for each month: it stays so until somebody looks after it. */
  #tellKept(name: string, { message, where }: MonthKept): void {
    if (this.#kept.has(name)) return;
    this.#kept.add(name);
    const place = { node: where?.node ?? null, seq: where?.seq ?? null };
    this.log.error({ month: name, ...place }, `a month of the audit trail is past its retention and kept: ${message}`);
    this.audit.note(systemContext(), {
      ...{ action: 'audit.pruned', resource: `audit_month:${name}`, success: false, reason: 'MONTH_KEPT' },
      metadata: { ...place, detail: message },
    });
  }
}
