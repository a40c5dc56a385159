import type { Restraint } from '../kernel/authenticator.js';
import type { DomainError } from '../kernel/errors.js';
import type { AddressShares } from './address-shares.js';

/**
 * What the check of one credential may cost, by where it came from. From an address that is closed (locked out, or over its
 * limit) a good credential is still let in, as long as that takes no bcrypt, and few looks at the database.
 */
export class AddressRestraint implements Restraint {
  #looks = 0;
  #hashes = 0;

  /**
   * @param closed the refusal, of an address that is closed; else null
   * @param mayLook counts a look for what may be a guess from a closed address, and says whether it is not too many
   */
  constructor(
    private readonly address: string,
    private readonly shares: AddressShares,
    readonly closed: DomainError | null,
    private readonly mayLook: () => boolean,
  ) {}

  beforeLook(isOurs: boolean): void {
    if (this.closed !== null && !isOurs && !this.mayLook()) throw this.closed;
    this.shares.take(this.address, 'looks');
    this.#looks += 1;
  }

  beforeHash(): void {
    if (this.closed !== null) throw this.closed;
    this.shares.take(this.address, 'hashes');
    this.#hashes += 1;
  }

  /** The check is over. */
  release(): void {
    if (this.#looks + this.#hashes > 0) {
      this.shares.giveBack(this.address, { looks: this.#looks, hashes: this.#hashes });
    }
  }
}
