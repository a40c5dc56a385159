import { Client, type ClientConfig, type QueryResultRow } from 'pg';

/** No answer for this long, milliseconds: the connection is given up, as one whose other end is gone without a word. */
const QUERY_MS = 5000;

/** Reads rows of every tenant on the feed's own connection, which a busy pool does not delay. */
export type Read = <T extends QueryResultRow>(sql: string, values?: readonly unknown[]) => Promise<T[]>;

/** What a connection tells of itself. */
export interface FeedConnectionEvents {
  /** Something changed. */
  notified(): void;
  /** It is of no use any more. */
  lost(connection: FeedConnection): void;
}

/** The connection that the security feed listens and reads on. It is the server's own, for no caller. */
export class FeedConnection {
  private constructor(private readonly client: Client) {}

  /** Connects and listens. @throws the driver's error, and nothing is left open */
  static async open(config: ClientConfig, events: FeedConnectionEvents): Promise<FeedConnection> {
    const client = new Client({
      ...config,
      ...{ connectionTimeoutMillis: QUERY_MS, query_timeout: QUERY_MS, keepAlive: true },
    });
    const connection = new FeedConnection(client);
    client.on('error', () => {
      events.lost(connection);
    });
    client.on('notification', () => {
      events.notified();
    });
    try {
      await client.connect();
      await client.query(`SELECT set_config('gatehouse.scope', 'system', false)`);
      await client.query('LISTEN gatehouse_security');
      return connection;
    } catch (error) {
      connection.end();
      throw error;
    }
  }

  readonly read: Read = async <T extends QueryResultRow>(sql: string, values: readonly unknown[] = []) =>
    (await this.client.query<T>(sql, [...values])).rows;

  /** Closes it without waiting; what still waits for an answer fails. */
  end(): void {
    void this.client.end().catch(() => undefined);
  }
}
