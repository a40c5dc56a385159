import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { CONFIG, type Config } from '../../config/load.js';
import { TenantScope } from '../../database/tenant-scope.js';
import { AuditTrail } from '../../kernel/audit.js';
import { DomainError } from '../../kernel/errors.js';
import type { Log } from '../../kernel/log.js';
import type { CallerContext } from '../../kernel/request-context.js';
import { SigningKey } from '../chain/signing-key.js';
import { AUDIT_LOG } from '../record/audit-log.js';
import type { VerifyCommand } from './verification.schema.js';
import type { Period, Verification } from './verification.js';
import { Verifier } from './verifier.js';

/** A verification, and what it was narrowed to. */
export type VerificationView = Period & Verification;

/** Verifies the trail when somebody asks, one at a time, and puts on record what came of it. */
@Injectable()
export class VerificationService implements OnModuleDestroy {
  #running = false;
  #closed = false;

  constructor(
    private readonly scope: TenantScope,
    private readonly key: SigningKey,
    private readonly audit: AuditTrail,
    @Inject(CONFIG) private readonly config: Pick<Config, 'AUDIT_CHECKPOINT_FILE'>,
    @Inject(AUDIT_LOG) private readonly log: Log,
  ) {}

  onModuleDestroy(): void {
    this.#closed = true;
  }

  /**
   * Looks at everything, or at a period and what is needed to be sure of it.
   * @throws DomainError VERIFICATION_RUNNING while there is another, GOING_AWAY when the gateway stops meanwhile,
   *   AUDIT_UNAVAILABLE when the outcome cannot be put on record
   */
  async verify(caller: CallerContext, command: VerifyCommand): Promise<VerificationView> {
    const period = { from: command.from ?? null, to: command.to ?? null };
    if (this.#running) {
      throw new DomainError('VERIFICATION_RUNNING', 'This gateway verifies the audit trail already; ask again later.');
    }
    this.#running = true;
    try {
      const found = await this.#verifier().verify(period);
      await this.#tell(caller, period, found);
      return { ...period, ...found };
    } finally {
      this.#running = false;
    }
  }

  #verifier(): Verifier {
    return new Verifier({
      scope: this.scope,
      key: this.key,
      checkpointFile: this.config.AUDIT_CHECKPOINT_FILE ?? null,
      isStopping: () => this.#closed,
    });
  }

  async #tell(caller: CallerContext, period: Period, { problem, counts }: Verification): Promise<void> {
    if (problem !== null) this.log.error({ auditProblem: problem }, 'THE AUDIT TRAIL IS NOT AS IT WAS WRITTEN');
    const { events, nodes, checkpoints } = counts;
    await this.audit.record(caller, {
      ...{ action: 'audit.verified', resource: 'audit', success: problem === null, reason: problem?.kind ?? null },
      metadata: {
        ...{ ...period, events, nodes, checkpoints },
        ...(problem === null ? {} : { node: problem.node, seq: problem.seq, id: problem.id ?? null }),
      },
    });
  }
}
