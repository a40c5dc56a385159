import { Client, type ClientConfig } from 'pg';
import type { DataSource } from 'typeorm';
import type { Config } from '../config/load.js';
import { createDataSource, dropStuckConnections, roleOption, sslOptions } from './data-source.js';
import { EmbeddedPostgres } from './embedded-postgres.js';
import { GatewayPresence } from './gateway-presence.js';
import { migrate } from './migrate.js';

/** PostgreSQL for this gateway: the one of DATABASE_URL, or an embedded one in DATA_DIR. */
export class Database {
  #presence: GatewayPresence | null = null;

  private constructor(
    readonly dataSource: DataSource,
    private readonly embedded: EmbeddedPostgres | null,
    /** How a connection beside the data source's is made, under the same role. */
    readonly connection: ClientConfig,
  ) {}

  /**
   * Connects and migrates.
   * @throws Error with a sentence for the operator when the database cannot be had
   */
  static async open(config: Config, log: (message: string) => void): Promise<Database> {
    const embedded =
      config.DATABASE_URL === undefined ? await EmbeddedPostgres.open({ dataDir: config.dataDir, log }) : null;
    const url = config.DATABASE_URL ?? embedded?.url ?? '';
    const ssl = sslOptions(config);
    const connection: ClientConfig = {
      connectionString: url,
      connectionTimeoutMillis: 10_000,
      keepAlive: true,
      application_name: 'gatehouse',
      ...(ssl === undefined ? {} : { ssl }),
    };
    const client = new Client(connection);
    client.on('error', () => undefined);
    try {
      await client.connect();
      const role = await migrate(createDataSource(url, config), client);
      const dataSource = createDataSource(url, config, role);
      await dataSource.initialize();
      dropStuckConnections(dataSource);
      return new Database(dataSource, embedded, { ...connection, ...roleOption(role) });
    } catch (error) {
      if (embedded?.owned) await embedded.stop();
      throw new Error(`The database cannot be used: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    } finally {
      await client.end().catch(() => undefined);
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

  /** Tells the other gateways on this database that this one steers the runner. */
  async announce(runnerId: string): Promise<void> {
    this.#presence = await GatewayPresence.announce(this.connection, runnerId);
  }

  /** Ends the announcement; true when no other gateway steers the runner, and none begins to until {@link close}. */
  async leave(): Promise<boolean> {
    return this.#presence === null || (await this.#presence.leave());
  }

  /** Closes connections; stops the embedded PostgreSQL when nobody else needs it. */
  async close({ alone }: { alone: boolean }): Promise<void> {
    if (this.dataSource.isInitialized) await this.dataSource.destroy();
    if (alone) await this.embedded?.stop();
    await this.#presence?.close();
  }
}
