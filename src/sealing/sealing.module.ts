import { type DynamicModule, Global, Module } from '@nestjs/common';
import type { Keyring } from './keyring.js';
import { Rekey } from './rekey.js';
import { KEYRING, SealedSecrets } from './sealed-secrets.js';
import { SealWatch } from './seal-watch.js';

/** What is kept sealed, for every room that has to keep something so. */
@Global()
@Module({})
export class SealingModule {
  /** @param keyring null: there is no key, and nothing is sealed */
  static with(keyring: Keyring | null): DynamicModule {
    return {
      module: SealingModule,
      providers: [{ provide: KEYRING, useValue: keyring }, SealedSecrets, Rekey, SealWatch],
      exports: [SealedSecrets, Rekey],
    };
  }
}
