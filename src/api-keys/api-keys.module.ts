import { Module, type OnModuleInit } from '@nestjs/common';
import { KeyDirectory } from '../authorization/key-directory.js';
import { OwnershipRegistry } from '../authorization/ownership.js';
import { CONFIG, type Config } from '../config/load.js';
import { ApiKeysController } from './api-keys.controller.js';
import { ApiKeysService } from './api-keys.service.js';
import { FirstAdminKey } from './first-admin-key.js';
import { KeyExpiryWatch } from './key-expiry-watch.js';
import { KeyLifecycle } from './key-lifecycle.service.js';
import { KeyMetrics } from './key-metrics.js';
import { KeyPowers } from './key-powers.js';
import { KeyRecords } from './key-records.js';
import { KeyRotation } from './key-rotation.service.js';
import { KeyStore } from './key-store.js';
import { KeyUsage } from './key-usage.js';
import { KeyVerifier } from './key-verifier.js';
import { KeyedVerifier } from './keyed-verifier.js';
import { SecretHasher } from './secret-hasher.js';

/** API keys: as credentials, and their life. Needs KEY_VERIFIER_SECRETS from a global module. */
@Module({
  controllers: [ApiKeysController],
  providers: [
    { provide: SecretHasher, useFactory: (config: Config) => new SecretHasher(config.BCRYPT_COST), inject: [CONFIG] },
    KeyRecords,
    KeyedVerifier,
    KeyUsage,
    KeyVerifier,
    KeyMetrics,
    ApiKeysService,
    KeyStore,
    KeyPowers,
    KeyLifecycle,
    KeyRotation,
    KeyExpiryWatch,
    FirstAdminKey,
  ],
  exports: [ApiKeysService, FirstAdminKey],
})
export class ApiKeysModule implements OnModuleInit {
  constructor(
    private readonly ownership: OwnershipRegistry,
    private readonly directory: KeyDirectory,
    private readonly store: KeyStore,
    private readonly keys: ApiKeysService,
    private readonly hasher: SecretHasher,
  ) {}

  onModuleInit(): void {
    this.ownership.register('api_key', (id, { principal }) => this.store.owner(id, principal.tenant));
    this.directory.register((tenant, keyId) => this.keys.principalOf(tenant, keyId));
    this.hasher.prepare();
  }
}
