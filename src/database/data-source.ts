import { DataSource } from 'typeorm';
import { Foundation1700000000001 } from '../../migrations/0001-foundation.js';
import { Gate1700000000002 } from '../../migrations/0002-gate.js';
import { SessionOptions1700000000003 } from '../../migrations/0003-session-options.js';
import { AuditChain1700000000004 } from '../../migrations/0004-audit-chain.js';
import { SessionEndEvents1700000000007 } from '../../migrations/0007-session-end-events.js';
import { Worktrees1700000000008 } from '../../migrations/0008-worktrees.js';
import { Agents1700000000009 } from '../../migrations/0009-agents.js';
import { SealedSecrets1700000000010 } from '../../migrations/0010-sealed-secrets.js';
import { AgentEntity } from '../agent/agent.entity.js';
import { ApiKeyEntity } from '../api-keys/api-key.entity.js';
import { RoleBindingEntity } from '../authorization/role-binding.entity.js';
import type { Config } from '../config/load.js';
import { SessionEntity } from '../pty/session.entity.js';
import { SessionShareEntity } from '../pty/session-share.entity.js';
import { WorktreeEntity } from '../worktree/worktree.entity.js';

const SSL = {
  disable: undefined,
  require: { rejectUnauthorized: false },
  // libpq's verify-ca checks the chain but not the name.
  'verify-ca': { rejectUnauthorized: true, checkServerIdentity: () => undefined },
  'verify-full': { rejectUnauthorized: true },
} as const;

/** What DATABASE_SSL_MODE means to the driver; undefined is no TLS. */
export const sslOptions = (config: Config) => SSL[config.DATABASE_SSL_MODE];

/** Makes every connection work under a role (libpq's `options`). */
export const roleOption = (role: string | null): { options?: string } =>
  role === null ? {} : { options: `-c role=${role}` };

/**
 * The data source of the gateway, not yet connected. Entities and migrations are listed, never found by a glob.
 * @param role to work under; null: as the login
 */
export function createDataSource(url: string, config: Config, role: string | null = null): DataSource {
  const ssl = sslOptions(config);
  return new DataSource({
    type: 'postgres',
    url,
    ...(ssl === undefined ? {} : { ssl }),
    entities: [AgentEntity, ApiKeyEntity, RoleBindingEntity, SessionEntity, SessionShareEntity, WorktreeEntity],
    migrations: [
      Foundation1700000000001,
      Gate1700000000002,
      SessionOptions1700000000003,
      AuditChain1700000000004,
      SessionEndEvents1700000000007,
      Worktrees1700000000008,
      Agents1700000000009,
      SealedSecrets1700000000010,
    ],
    migrationsTransactionMode: 'each',
    synchronize: false,
    logging: false,
    extra: {
      max: config.DATABASE_POOL_SIZE,
      connectionTimeoutMillis: 5000,
      statement_timeout: 30_000,
      // Where PostgreSQL itself does not answer any more: the other end of the connection may be gone without a word.
      query_timeout: 35_000,
      keepAlive: true,
      idle_in_transaction_session_timeout: 30_000,
      application_name: 'gatehouse',
      ...roleOption(role),
    },
  });
}

/** What is used of the driver's pool and its connections. */
interface DriverPool {
  on(event: 'release', listener: (error: unknown, client: DriverConnection) => void): void;
}
interface DriverConnection {
  /** False while an answer is still to come. */
  readonly readyForQuery: boolean;
  end(): Promise<void>;
}

/**
 * A connection that comes back to the pool with an answer still to come is closed: its query was given up on, and the
 * next one would wait behind it. The pool makes another.
 */
export function dropStuckConnections(dataSource: DataSource): void {
  const { master } = dataSource.driver as unknown as { readonly master: DriverPool };
  master.on('release', (_error, client) => {
    if (!client.readyForQuery) void client.end().catch(() => undefined);
  });
}
