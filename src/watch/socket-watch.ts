import type { Resource } from '../authorization/policy.js';

/** A thing as it is now: what the policy decides by, and the message that tells it. */
export interface Watched {
  readonly resource: Resource;
  readonly message: object;
}

/** Where a client is told. */
export interface Listener {
  readonly open: boolean;
  /** Null while the client reads what it is sent, else a promise that it does again, or is gone. */
  room(): Promise<void> | null;
  send(message: object): void;
}

/** Things of which a client that does not read is told later; with more, it is told that it missed some. */
export const MAX_UNTOLD = 256;

/** What one connection is still to be told: the newest of each thing, while its client does not read. */
export class SocketWatch {
  readonly #untold = new Map<string, Watched>();
  #missed = false;
  #telling = false;
  #ended = false;

  /**
   * @param sees may its caller, as he is now, see this thing?
   * @param missedMessage tells that there was more
   */
  constructor(
    private readonly connection: Listener,
    private readonly sees: (resource: Resource) => boolean,
    private readonly missedMessage: object,
  ) {}

  tell(id: string, watched: Watched): void {
    if (!this.sees(watched.resource)) return;
    this.#untold.set(id, watched);
    if (this.#untold.size > MAX_UNTOLD) this.missed();
    else void this.#tell();
  }

  /** Something was not told: what waits is no use without it. */
  missed(): void {
    this.#untold.clear();
    this.#missed = true;
    void this.#tell();
  }

  end(): void {
    this.#ended = true;
    this.#untold.clear();
  }

  async #tell(): Promise<void> {
    if (this.#telling) return;
    this.#telling = true;
    for (let next = this.#next(); next !== null; next = this.#next()) {
      this.connection.send(next);
      await this.connection.room();
    }
    this.#telling = false;
  }

  /** What is told next; null when there is nothing, or nobody to tell. */
  #next(): object | null {
    if (this.#ended || !this.connection.open) return null;
    if (this.#missed) {
      this.#missed = false;
      return this.missedMessage;
    }
    for (const [id, { resource, message }] of this.#untold) {
      this.#untold.delete(id);
      // It may have waited for long, and the caller may have lost the right meanwhile.
      if (this.sees(resource)) return message;
    }
    return null;
  }
}
