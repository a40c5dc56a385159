import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { postgresAccount } from '../../src/database/postgres-account.js';
import { postgresBinaries } from '../../src/database/postgres-binaries.js';
import { runProgram } from '../../src/database/run-program.js';
import { freePort, until } from './gateway.js';
import type { Issued } from './link-certificates.js';

/** A PostgreSQL on loopback that takes connections with TLS only, by this certificate. */
export class EncryptedPostgres {
  #process: ChildProcess | null = null;
  #said = '';

  private constructor(
    private readonly folder: string,
    private readonly port: number,
  ) {}

  static async start({ cert, key }: Issued): Promise<EncryptedPostgres> {
    const account = postgresAccount();
    // As the gateway does: the account cannot reach what lies below root's home.
    const { initdb } = postgresBinaries(account === null ? null : '/var/lib/gatehouse');
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-tls-postgres-'));
    const server = new EncryptedPostgres(folder, await freePort());
    const data = join(folder, 'data');
    const own = (path: string): void => {
      if (account) chownSync(path, account.uid, account.gid);
    };
    own(folder);
    await runProgram(initdb, [`--pgdata=${data}`, '--username=gatehouse', '--auth=trust'], account);
    const files = {
      'data/server.crt': cert,
      'data/server.key': key,
      'data/pg_hba.conf': 'hostssl all all 127.0.0.1/32 trust\n',
    };
    for (const [name, text] of Object.entries(files)) {
      const path = join(folder, name);
      writeFileSync(path, text);
      chmodSync(path, 0o600);
      own(path);
    }
    const settings = { listen_addresses: '127.0.0.1', unix_socket_directories: '', ssl: 'on', fsync: 'off' };
    const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const child = spawn(join(dirname(initdb), 'postgres'), ['-D', data, '-p', String(server.port), ...options], {
      ...{ cwd: folder, env: { LC_ALL: 'C' }, stdio: ['ignore', 'ignore', 'pipe'] },
      ...account,
    });
    child.stderr.on('data', (chunk: Buffer) => (server.#said += chunk.toString()));
    server.#process = child;
    await until('PostgreSQL with TLS', () => server.#said.includes('ready to accept connections')).catch(() => {
      throw new Error(server.#said);
    });
    return server;
  }

  /** @param host a name of this machine */
  url(host: string): string {
    return `postgres://gatehouse@${host}:${String(this.port)}/postgres`;
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child?.exitCode === null) {
      const gone = new Promise((done) => child.once('exit', done));
      child.kill('SIGQUIT');
      await gone;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
