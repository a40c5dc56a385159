import '../support/nest-first.js';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { loadConfig } from '../../src/config/load.js';
import { createDataSource } from '../../src/database/data-source.js';
import { EncryptedPostgres } from '../support/encrypted-postgres.js';
import { Authority } from '../support/link-certificates.js';
import { trust } from '../support/programs.js';

let authority: Authority;
let known: EncryptedPostgres;
let other: EncryptedPostgres;

beforeAll(async () => {
  authority = await Authority.make();
  known = await EncryptedPostgres.start(await authority.issue(['localhost'], 'serverAuth'));
  other = await EncryptedPostgres.start(await authority.issue(['elsewhere.example'], 'serverAuth'));
});
afterAll(() => Promise.all([known.stop(), other.stop()]));

/** Connects as the gateway does. @returns whether the connection is encrypted, or why there is none */
async function connect(server: EncryptedPostgres, mode: string): Promise<unknown> {
  const config = loadConfig({ NODE_ENV: 'test', AUTH_SECRET: 'x'.repeat(32), DATABASE_SSL_MODE: mode });
  const source = createDataSource(server.url('localhost'), config);
  try {
    await source.initialize();
    const [row] = await source.query<{ ssl: boolean }[]>('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
    return row?.ssl;
  } catch (error) {
    return (error as { code?: string }).code;
  } finally {
    if (source.isInitialized) await source.destroy();
  }
}

it('each mode of DATABASE_SSL_MODE makes sure of what it says, and no more', async () => {
  const outcomes = async (): Promise<unknown[]> => {
    const modes = ['disable', 'require', 'verify-ca', 'verify-full'];
    return Promise.all([known, other].map((server) => Promise.all(modes.map((mode) => connect(server, mode)))));
  };
  const [refused, unknown] = ['28000', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'];
  expect(await outcomes()).toEqual([
    [refused, true, unknown, unknown],
    [refused, true, unknown, unknown],
  ]);
  trust(authority.cert);
  expect(await outcomes()).toEqual([
    [refused, true, true, true],
    [refused, true, true, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ]);
});
