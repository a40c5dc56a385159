import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { TenantScope } from '../database/tenant-scope.js';
import { Revocations } from './revocations.js';
import { Tickets } from './tickets.js';
import { UsedTokens } from './used-tokens.js';

const SWEEP_MS = 300_000;

/** Removes revocations, tickets and used tokens that nothing can need any more. */
@Injectable()
export class CredentialSweep implements OnApplicationBootstrap, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly scope: TenantScope,
    private readonly revocations: Revocations,
    private readonly logger: PinoLogger,
  ) {}

  onApplicationBootstrap(): void {
    this.#timer = setInterval(() => void this.#sweep(), SWEEP_MS).unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
  }

  async #sweep(): Promise<void> {
    try {
      await this.scope.system(async (manager) => {
        await this.revocations.forgetOld(manager);
        for (const statement of [Tickets.forgetOld, UsedTokens.forgetOld]) await manager.query(statement);
      });
    } catch (error) {
      this.logger.warn({ err: error }, 'old revocations and tickets not removed');
    }
  }
}
