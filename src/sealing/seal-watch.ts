import { Injectable, type OnApplicationBootstrap } from '@nestjs/common';
import { PinoLogger } from 'nestjs-pino';
import { TenantScope } from '../database/tenant-scope.js';
import { SealedSecrets } from './sealed-secrets.js';

const COUNT = 'SELECT key_id, count(*)::int AS secrets FROM sealed_secrets GROUP BY key_id ORDER BY key_id';

/** Says at the start what this gateway will not be able to open. */
@Injectable()
export class SealWatch implements OnApplicationBootstrap {
  constructor(
    private readonly scope: TenantScope,
    private readonly secrets: SealedSecrets,
    private readonly log: PinoLogger,
  ) {}

  async onApplicationBootstrap(): Promise<void> {
    const rows = await this.scope.system((manager) => manager.query<{ key_id: string; secrets: number }[]>(COUNT));
    for (const { key_id: keyId, secrets: count } of rows) {
      if (this.secrets.opens(keyId)) continue;
      this.log.error(
        { key_id: keyId, count },
        'secrets are sealed under a master key that is not here: set it as ENCRYPTION_MASTER_KEY, or as its predecessor',
      );
    }
  }
}
