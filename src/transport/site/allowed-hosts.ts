import { isIP } from 'node:net';
import { cidrMatcher } from '../../kernel/cidr.js';

/** Names of this machine that lead nowhere else, whatever a name server says. */
const LOCAL = ['localhost', '127.0.0.1', '[::1]'];
const isLoopback = cidrMatcher(['127.0.0.0/8', '::1']);
/** A `Host` header, or `:authority`: a name or address, and perhaps a port. */
const HOST = /^(\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,253})(?::\d{1,5})?$/i;

/**
 * The names under which this server may be called. A page of another site whose name was made to lead here (DNS
 * rebinding) calls under its own name, which is none of them.
 */
export class AllowedHosts {
  /** Whether every call has to come under one of them. Who listens to the world without names may be called anything. */
  readonly checked: boolean;
  readonly #names: ReadonlySet<string>;

  /**
   * @param bound the address or name that it listens on (HOST)
   * @param named further ones (ALLOWED_HOSTS), in lower case
   */
  constructor(bound: string, named: readonly string[]) {
    this.checked = named.length > 0 || isIP(bound) === 0 || isLoopback(bound);
    this.#names = new Set([...LOCAL, ...[bound.toLowerCase(), ...named].map(bracketed)]);
  }

  /** Is what a caller says in its `Host` header one of the names, with whatever port? */
  has(host: string): boolean {
    const name = HOST.exec(host)?.[1];
    return name !== undefined && this.#names.has(name.toLowerCase());
  }
}

const bracketed = (name: string): string => (isIP(name) === 6 ? `[${name}]` : name);
