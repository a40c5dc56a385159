import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { isPlatformAdmin } from '../../authorization/platform-admins.js';
import { CONFIG, type Config } from '../../config/load.js';
import { TenantScope } from '../../database/tenant-scope.js';
import { AuditTrail } from '../../kernel/audit.js';
import { DomainError } from '../../kernel/errors.js';
import type { Log } from '../../kernel/log.js';
import type { CallerContext } from '../../kernel/request-context.js';
import { SigningKey } from '../chain/signing-key.js';
import { AUDIT_LOG } from '../record/audit-log.js';
import { TenantShare, type TenantVerification } from './tenant-share.js';
import type { VerifyCommand } from './verification.schema.js';
import type { Period, Verification } from './verification.js';
import { Verifier } from './verifier.js';

/** A verification as its caller may see it, and what it was narrowed to. */
export type VerificationView = Period & (Verification | TenantVerification);

/** Verifies the trail when somebody asks, one at a time, and puts on record what came of it. */
@Injectable()
export class VerificationService implements OnModuleDestroy {
  #running = false;
  #closed = false;

  constructor(
    private readonly scope: TenantScope,
    private readonly key: SigningKey,
    private readonly audit: AuditTrail,
    @Inject(CONFIG) private readonly config: Pick<Config, 'AUDIT_CHECKPOINT_FILE' | 'PLATFORM_ADMINS'>,
    @Inject(AUDIT_LOG) private readonly log: Log,
  ) {}

  onModuleDestroy(): void {
    this.#closed = true;
  }

  /**
   * Looks at everything, or at a period and what is needed to be sure of it. Who is no platform administrator is told, and
   * finds in the trail, whether it is whole and otherwise only what is of his tenant; the log has all of it.
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
      const share = new TenantShare(caller.principal.tenant);
      const found = await this.#verifier(share).verify(period);
      if (found.problem !== null)
        this.log.error({ auditProblem: found.problem }, 'THE AUDIT TRAIL IS NOT AS IT WAS WRITTEN');
      const shown = isPlatformAdmin(this.config, caller.principal) ? found : share.of(found);
      await this.#record(caller, period, shown);
      return { ...period, ...shown };
    } finally {
      this.#running = false;
    }
  }

  #verifier(share: TenantShare): Verifier {
    return new Verifier({
      scope: this.scope,
      key: this.key,
      checkpointFile: this.config.AUDIT_CHECKPOINT_FILE ?? null,
      isStopping: () => this.#closed,
      share,
    });
  }

  #record(caller: CallerContext, period: Period, shown: Verification | TenantVerification): Promise<void> {
    const { problem, counts } = shown;
    const all = 'nodes' in counts ? { nodes: counts.nodes, checkpoints: counts.checkpoints } : {};
    const where = problem === null ? {} : { node: problem.node, seq: problem.seq, ...idOf(problem) };
    return this.audit.record(caller, {
      ...{ action: 'audit.verified', resource: 'audit', success: problem === null, reason: problem?.kind ?? null },
      metadata: { ...period, events: counts.events, ...all, ...where },
    });
  }
}

const idOf = (problem: object): { id: string | null } => ({
  id: 'id' in problem && typeof problem.id === 'string' ? problem.id : null,
});
