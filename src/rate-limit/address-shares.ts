import { DomainError } from '../kernel/errors.js';

/** Credentials of one address that may be looked up in the database at once, an eighth of all there may be. */
export const MAX_LOOKS_EACH = 256;
/** Credentials of one address that may run or wait for bcrypt at once, half of all there may be. */
export const MAX_HASHES_EACH = 32;

/** What one address has under way. */
interface Share {
  looks: number;
  hashes: number;
}

/** Bounds what one address takes of what is there for all. As large as the checks under way. */
export class AddressShares {
  readonly #shares = new Map<string, Share>();

  /** Counts one more. @throws DomainError AUTH_BUSY when the address has its share under way already */
  take(address: string, kind: keyof Share): void {
    const share = this.#shares.get(address) ?? { looks: 0, hashes: 0 };
    if (share[kind] >= (kind === 'looks' ? MAX_LOOKS_EACH : MAX_HASHES_EACH)) {
      throw new DomainError('AUTH_BUSY', 'Too many credentials of this address are being checked.', {
        details: { retry_after: 1 },
      });
    }
    share[kind] += 1;
    this.#shares.set(address, share);
  }

  giveBack(address: string, { looks, hashes }: Readonly<Share>): void {
    const share = this.#shares.get(address);
    if (share === undefined) return;
    share.looks -= looks;
    share.hashes -= hashes;
    if (share.looks + share.hashes === 0) this.#shares.delete(address);
  }
}
