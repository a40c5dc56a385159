import { Injectable } from '@nestjs/common';
import type { Principal } from '../kernel/principal.js';

/** Finds the principal that a key of this tenant would be now; null when there is no such key. */
export type KeyLookup = (tenant: string, keyId: string) => Promise<Principal | null>;

/** Where the room of the API keys registers how they are found, so that authorisation imports no feature. */
@Injectable()
export class KeyDirectory {
  #lookup: KeyLookup | null = null;

  /** @throws Error when it is registered twice */
  register(lookup: KeyLookup): void {
    if (this.#lookup !== null) throw new Error('The lookup of keys is registered twice');
    this.#lookup = lookup;
  }

  async find(tenant: string, keyId: string): Promise<Principal | null> {
    return this.#lookup === null ? null : this.#lookup(tenant, keyId);
  }
}
