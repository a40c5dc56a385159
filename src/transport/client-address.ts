import { isIP } from 'node:net';
import { cidrMatcher, unmapped } from '../kernel/cidr.js';

/** Hops that are looked at; a longer header is not of our proxies. */
const MAX_HOPS = 16;

/** Whose address a call comes from: the socket's, or what proxies that are trusted say. */
export class ClientAddresses {
  readonly #trusted: (address: string) => boolean;

  /** @param trusted proxies, addresses or networks (TRUSTED_PROXIES); none: nobody's word counts */
  constructor(trusted: readonly string[]) {
    this.#trusted = cidrMatcher(trusted);
  }

  /**
   * The client's address. Each proxy appends the one it was called from, so the list is read from its end, as long as who
   * wrote an entry is trusted: what stands before was sent by the client and is worth nothing.
   * @param peer the socket's other end
   * @param forwarded every `X-Forwarded-For` header, in order
   */
  of(peer: string | undefined, forwarded: readonly string[]): string {
    let address = unmapped(peer ?? 'unknown');
    if (forwarded.length === 0) return address;
    const hops = forwarded.join(',').split(',').slice(-MAX_HOPS);
    for (let hop = hops.pop(); hop !== undefined && this.#trusted(address); hop = hops.pop()) {
      const named = unmapped(hop.trim());
      if (isIP(named) === 0) break;
      address = named;
    }
    return address;
  }
}
