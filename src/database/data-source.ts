import { DataSource } from 'typeorm';
import { Foundation1700000000001 } from '../../migrations/0001-foundation.js';
import { ApiKeyEntity } from '../api-keys/api-key.entity.js';
import type { Config } from '../config/load.js';
import { SessionEntity } from '../pty/session.entity.js';

const SSL = {
  disable: undefined,
  require: { rejectUnauthorized: false },
  // libpq's verify-ca checks the chain but not the name.
  'verify-ca': { rejectUnauthorized: true, checkServerIdentity: () => undefined },
  'verify-full': { rejectUnauthorized: true },
} as const;

/** What DATABASE_SSL_MODE means to the driver; undefined is no TLS. */
export const sslOptions = (config: Config) => SSL[config.DATABASE_SSL_MODE];

/** The data source of the gateway, not yet connected. Entities and migrations are listed, never found by a glob. */
export function createDataSource(url: string, config: Config): DataSource {
  const ssl = sslOptions(config);
  return new DataSource({
    type: 'postgres',
    url,
    ...(ssl === undefined ? {} : { ssl }),
    entities: [ApiKeyEntity, SessionEntity],
    migrations: [Foundation1700000000001],
    migrationsTransactionMode: 'each',
    synchronize: false,
    logging: false,
    extra: {
      max: config.DATABASE_POOL_SIZE,
      connectionTimeoutMillis: 5000,
      statement_timeout: 30_000,
      idle_in_transaction_session_timeout: 30_000,
      application_name: 'gatehouse',
    },
  });
}
