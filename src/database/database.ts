import { Client } from 'pg';
import type { DataSource } from 'typeorm';
import type { Config } from '../config/load.js';
import { createDataSource, sslOptions } from './data-source.js';
import { EmbeddedPostgres } from './embedded-postgres.js';
import { GatewayPresence } from './gateway-presence.js';
import { connectAndMigrate } from './migrate.js';

/** PostgreSQL for this gateway: the one of DATABASE_URL, or an embedded one in DATA_DIR. */
export class Database {
  private constructor(
    readonly dataSource: DataSource,
    private readonly embedded: EmbeddedPostgres | null,
    private readonly presence: GatewayPresence,
  ) {}

  /**
   * Connects, migrates, and announces this gateway to the others on the same database.
   * @throws Error with a sentence for the operator when the database cannot be had
   */
  static async open(config: Config, log: (message: string) => void): Promise<Database> {
    const embedded =
      config.DATABASE_URL === undefined ? await EmbeddedPostgres.open({ dataDir: config.dataDir, log }) : null;
    const url = config.DATABASE_URL ?? embedded?.url ?? '';
    const ssl = sslOptions(config);
    const client = new Client({
      connectionString: url,
      connectionTimeoutMillis: 10_000,
      application_name: 'gatehouse-presence',
      ...(ssl === undefined ? {} : { ssl }),
    });
    try {
      await client.connect();
      const dataSource = createDataSource(url, config);
      await connectAndMigrate(dataSource, client);
      return new Database(dataSource, embedded, await GatewayPresence.announce(client));
    } catch (error) {
      await client.end().catch(() => undefined);
      if (embedded?.owned) await embedded.stop();
      throw new Error(`The database cannot be used: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }

  /** Whether this gateway started the embedded PostgreSQL, rather than finding it. */
  get startedEmbedded(): boolean {
    return this.embedded?.owned ?? false;
  }

  /** Where the embedded database keeps its files; null when the database is somebody else's. */
  get place(): string | null {
    return this.embedded?.directory ?? null;
  }

  /** Ends the announcement; true when no other gateway uses this database. */
  leave(): Promise<boolean> {
    return this.presence.leave();
  }

  /** Closes connections; stops the embedded PostgreSQL when nobody else needs it. */
  async close({ alone }: { alone: boolean }): Promise<void> {
    await this.presence.leave();
    if (this.dataSource.isInitialized) await this.dataSource.destroy();
    if (alone) await this.embedded?.stop();
  }
}
