import { Client } from 'pg';

const PRESENCE_LOCK = 0x67617466;

/**
 * Whether other gateways use this database: each holds a shared advisory lock for as long as it lives, which
 * PostgreSQL releases even when the gateway is killed. The last one to leave ends the embedded runner and PostgreSQL.
 */
export class GatewayPresence {
  #left = false;

  private constructor(private readonly client: Client) {}

  /** @param client connected; owned by this object from here on */
  static async announce(client: Client): Promise<GatewayPresence> {
    // A lost connection means PostgreSQL is away, which every query notices by itself.
    client.on('error', () => undefined);
    await client.query('SELECT pg_advisory_lock_shared($1)', [PRESENCE_LOCK]);
    return new GatewayPresence(client);
  }

  /** Ends the announcement; true when no other gateway is left. False when that cannot be known. */
  async leave(): Promise<boolean> {
    if (this.#left) return false;
    this.#left = true;
    try {
      await this.client.query('SELECT pg_advisory_unlock_shared($1)', [PRESENCE_LOCK]);
      const { rows } = await this.client.query<{ last: boolean }>('SELECT pg_try_advisory_lock($1) AS last', [
        PRESENCE_LOCK,
      ]);
      return rows[0]?.last ?? false;
    } catch {
      return false;
    } finally {
      await this.client.end().catch(() => undefined);
    }
  }
}
