import { Client, type ClientConfig } from 'pg';
import type { DataSource } from 'typeorm';
import type { Config } from '../config/load.js';
import { createDataSource, dropStuckConnections, roleOption, sslOptions } from './data-source.js';
import { EmbeddedPostgres } from './embedded-postgres.js';
import { GatewayPresence } from './gateway-presence.js';
import { migrate } from './migrate.js';

/** One writes, and one looks names up meanwhile. */
const TRAIL_CONNECTIONS = 2;

async function connected(dataSource: DataSource): Promise<DataSource> {
  await dataSource.initialize();
  dropStuckConnections(dataSource);
  return dataSource;
}

/** PostgreSQL for this gateway: the one of DATABASE_URL, or an embedded one in DATA_DIR. */
export class Database {
  #presence: GatewayPresence | null = null;

  private constructor(
    readonly dataSource: DataSource,
    /** Connections of the audit trail's own: who keeps all others busy keeps nobody from going on record. */
    readonly trail: DataSource,
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
      const dataSource = await connected(createDataSource(url, config, role));
      const trail = await connected(createDataSource(url, { ...config, DATABASE_POOL_SIZE: TRAIL_CONNECTIONS }, role));
      return new Database(dataSource, trail, embedded, { ...connection, ...roleOption(role) });
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

  /**
   * Tells the other gateways on this database that this one steers the runner.
   * @param name that it would have
   * @returns the name that it has: another where one of that name is there
   */
  async announce(runnerId: string, name: string): Promise<string> {
    this.#presence = await GatewayPresence.announce(this.connection, runnerId, name);
    return this.#presence.node;
  }

  /** Ends the announcement; true when no other gateway steers the runner, and none begins to until {@link close}. */
  async leave(): Promise<boolean> {
    return this.#presence === null || (await this.#presence.leave());
  }

  /** Closes connections; stops the embedded PostgreSQL when nobody else needs it. */
  async close({ alone }: { alone: boolean }): Promise<void> {
    for (const source of [this.dataSource, this.trail]) if (source.isInitialized) await source.destroy();
    if (alone) await this.embedded?.stop();
    await this.#presence?.close();
  }
}
