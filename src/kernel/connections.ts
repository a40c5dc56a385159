import { DomainError } from './errors.js';
import type { Principal } from './principal.js';

/** WebSockets and gRPC streams that each principal has open on this gateway. */
export class Connections {
  readonly #open = new Map<string, number>();

  /** @param most of one principal at once (CONNECTIONS_PER_PRINCIPAL) */
  constructor(private readonly most: number) {}

  /**
   * Counts one more.
   * @returns what counts it off again, once however often it is called
   * @throws DomainError CONNECTION_LIMIT
   */
  enter({ tenant, provider, subject }: Principal): () => void {
    const name = JSON.stringify([tenant, provider, subject]);
    const open = this.#open.get(name) ?? 0;
    if (open >= this.most) {
      throw new DomainError('CONNECTION_LIMIT', `${this.most} of your connections are open already.`);
    }
    this.#open.set(name, open + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const now = (this.#open.get(name) ?? 1) - 1;
      if (now === 0) this.#open.delete(name);
      else this.#open.set(name, now);
    };
  }
}
