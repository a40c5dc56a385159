import { Client, type ClientConfig, type QueryResultRow } from 'pg';

/** No answer for this long, milliseconds: the connection is given up, as one whose other end is gone without a word. */
const QUERY_MS = 5000;

/** Reads rows of every tenant on the feed's own connection, which a busy pool does not delay. */
export type Read = <T extends QueryResultRow>(sql: string, values?: readonly unknown[]) => Promise<T[]>;

/** What a connection tells of itself. */
export interface FeedConnectionEvents {
  /** Something changed. @param payload what was sent with it */
  notified(payload: string): void;
  /** It is of no use any more. */
  lost(connection: FeedConnection): void;
}

/** A connection that listens on one channel, and reads. It is the server's own, for no caller. */
export class FeedConnection {
  private constructor(private readonly client: Client) {}

  /**
   * Connects and listens.
   * @param channel a name of ours, which goes into the statement as it is
   * @throws the driver's error, and nothing is left open
   */
  static async open(config: ClientConfig, channel: string, events: FeedConnectionEvents): Promise<FeedConnection> {
    const client = new Client({
      ...config,
      ...{ connectionTimeoutMillis: QUERY_MS, query_timeout: QUERY_MS, keepAlive: true },
    });
    const connection = new FeedConnection(client);
    client.on('error', () => {
      events.lost(connection);
    });
    client.on('notification', ({ payload = '' }) => {
      events.notified(payload);
    });
    try {
      await client.connect();
      await client.query(`SELECT set_config('gatehouse.scope', 'system', false)`);
      await client.query(`LISTEN ${channel}`);
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
