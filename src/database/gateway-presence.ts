import { Client, type ClientConfig } from 'pg';

/** First key of the lock; the second is made of the runner's id. */
const PRESENCE_LOCK = 0x67617466;
const RETRY_MS = 1000;

/**
 * Whether other gateways steer the same runner: each holds a shared advisory lock for as long as it lives, which
 * PostgreSQL releases even when the gateway is killed. The last one to leave ends the embedded runner and PostgreSQL,
 * and holds the lock for itself alone meanwhile, so that nobody comes to what is about to go.
 */
export class GatewayPresence {
  #client: Client | null = null;
  #left = false;

  private constructor(
    private readonly connection: ClientConfig,
    private readonly runnerId: string,
  ) {}

  /**
   * Announces this gateway; waits while another one is ending the runner.
   * @throws Error of `pg` when the database cannot be reached
   */
  static async announce(connection: ClientConfig, runnerId: string): Promise<GatewayPresence> {
    const presence = new GatewayPresence(connection, runnerId);
    await presence.#connect();
    return presence;
  }

  /** Ends the announcement; true when no other gateway is left. False when that cannot be known. */
  async leave(): Promise<boolean> {
    if (this.#left) return false;
    this.#left = true;
    const client = this.#client;
    if (client === null) return false;
    try {
      await client.query('SELECT pg_advisory_unlock_shared($1, hashtext($2))', [PRESENCE_LOCK, this.runnerId]);
      const { rows } = await client.query<{ alone: boolean }>(
        'SELECT pg_try_advisory_lock($1, hashtext($2)) AS alone',
        [PRESENCE_LOCK, this.runnerId],
      );
      return rows[0]?.alone ?? false;
    } catch {
      return false;
    }
  }

  /** Gives up the lock with the connection that holds it. */
  async close(): Promise<void> {
    this.#left = true;
    await this.#client?.end().catch(() => undefined);
  }

  async #connect(): Promise<void> {
    const client = new Client(this.connection);
    client.on('error', () => undefined);
    await client.connect();
    await client.query('SELECT pg_advisory_lock_shared($1, hashtext($2))', [PRESENCE_LOCK, this.runnerId]);
    // PostgreSQL went away, and the lock with it: announced again as soon as it is back.
    client.once('end', () => {
      this.#client = null;
      this.#reconnectLater();
    });
    this.#client = client;
    if (this.#left) await client.end();
  }

  #reconnectLater(): void {
    setTimeout(() => {
      if (this.#left) return;
      this.#connect().catch(() => {
        this.#reconnectLater();
      });
    }, RETRY_MS).unref();
  }
}
