import { Client, type ClientConfig } from 'pg';

/** First key of the lock; the second is made of the runner's id. */
const PRESENCE_LOCK = 0x67617466;
/** First key of the lock on a gateway's name. */
const NAME_LOCK = 0x67616e6f;
const MAX_OF_A_NAME = 1000;
const RETRY_MS = 1000;

/**
 * Whether other gateways steer the same runner: each holds a shared advisory lock for as long as it lives, which
 * PostgreSQL releases even when the gateway is killed. The last one to leave ends the embedded runner and PostgreSQL,
 * and holds the lock for itself alone meanwhile, so that nobody comes to what is about to go.
 */
export class GatewayPresence {
  /** The name of this gateway, which no other on the database has while this one is connected. */
  node = '';
  #client: Client | null = null;
  #left = false;

  private constructor(
    private readonly connection: ClientConfig,
    private readonly runnerId: string,
  ) {}

  /**
   * Announces this gateway; waits while another one is ending the runner.
   * @param name that it has where no other has it; else a number is put behind
   * @throws Error of `pg` when the database cannot be reached
   */
  static async announce(connection: ClientConfig, runnerId: string, name: string): Promise<GatewayPresence> {
    const presence = new GatewayPresence(connection, runnerId);
    await presence.#connect();
    await presence.#takeName(name);
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

  async #takeName(name: string): Promise<void> {
    for (let number = 1; number <= MAX_OF_A_NAME; number += 1) {
      const node = number === 1 ? name : `${name}-${String(number)}`;
      if (!(await this.#lockName(node))) continue;
      this.node = node;
      return;
    }
    throw new Error(`There are ${String(MAX_OF_A_NAME)} gateways of the name ${name} on this database.`);
  }

  async #lockName(node: string): Promise<boolean> {
    const taken = await this.#client?.query<{ taken: boolean }>(
      'SELECT pg_try_advisory_lock($1, hashtext($2)) AS taken',
      [NAME_LOCK, node],
    );
    return taken?.rows[0]?.taken ?? false;
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
    // One who came meanwhile and has the name now is no harm: chains are kept by what is stored, not by names.
    if (this.node !== '') await this.#lockName(this.node).catch(() => false);
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
