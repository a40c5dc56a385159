import {
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Client } from 'pg';
import { localSecret, readSecret } from '../config/local-secret.js';
import { shortHash, socketDirectory, socketDirectoryPath } from '../kernel/private-directory.js';
import { type Account, postgresAccount } from './postgres-account.js';
import { releaseStaleLock, serves } from './postgres-presence.js';
import { type PostgresBinaries, postgresBinaries } from './postgres-binaries.js';
import { runProgram } from './run-program.js';

/** Where root keeps clusters: PostgreSQL's account must reach them, and a clone under /root it cannot. */
const ROOT_PLACE = '/var/lib/gatehouse';
const USER = 'gatehouse';
const DATABASE = 'gatehouse';
const SOCKET_NAME = '.s.PGSQL.5432';
const MAX_LOG_BYTES = 10 * 1024 * 1024;
const START_SECONDS = 30;

export interface EmbeddedOptions {
  /** DATA_DIR: exists, ours, writable. */
  readonly dataDir: string;
  readonly log: (message: string) => void;
}

/** Everything that is needed to run one cluster. */
interface Cluster {
  readonly data: string;
  readonly sockets: string;
  readonly logFile: string;
  /** The superuser's password; beside the cluster, so that one is never there without the other. */
  readonly passwordFile: string;
  readonly account: Account | null;
  readonly binaries: PostgresBinaries;
}

/**
 * A real PostgreSQL from an npm package, for machines that have none. It listens on a Unix socket only, runs detached
 * from this process, and is adopted by the next start when this process was killed.
 *
 * The cluster is `<dataDir>/postgres`; for root it is under /var/lib/gatehouse, named after dataDir, because PostgreSQL
 * then runs as another account.
 */
export class EmbeddedPostgres {
  private constructor(
    private readonly cluster: Cluster,
    private readonly password: string,
    /** Whether this call started it, rather than finding it running. */
    readonly owned: boolean,
  ) {}

  /** @throws Error with a sentence for the operator */
  static async open({ dataDir, log }: EmbeddedOptions): Promise<EmbeddedPostgres> {
    const cluster = locate(dataDir);
    const password = passwordOf(cluster, dataDir);
    if (!isCreated(cluster)) {
      log('creating the embedded PostgreSQL');
      await create(cluster, password);
    }
    const owned = !(await serves(addressOf(cluster, password, 'postgres')));
    if (owned) await start(cluster);
    const postgres = new EmbeddedPostgres(cluster, password, owned);
    await postgres.#createDatabase();
    return postgres;
  }

  /**
   * The address of the one that belongs to a DATA_DIR, whether it runs or not. Nothing is made.
   * @returns null where none was made yet
   * @throws ConfigurationError when its password cannot be read
   */
  static addressIn(dataDir: string): string | null {
    if (!existsSync(dataDir)) return null;
    const places = process.getuid?.() === 0 ? rootPlaces(dataDir) : ownPlaces(dataDir);
    const password = isCreated(places) ? readSecret(places.passwordFile) : null;
    return password === null ? null : addressOf(places, password, DATABASE);
  }

  /** Where the cluster's files are. */
  get directory(): string {
    return this.cluster.data;
  }

  /** The address for `pg` and TypeORM. */
  get url(): string {
    return this.#urlOf(DATABASE);
  }

  /** Stops it, adopted or not; connections are ended. */
  async stop(): Promise<void> {
    const { binaries, data, account } = this.cluster;
    await runProgram(binaries.pgCtl, ['stop', '-w', '-m', 'fast', '-t', String(START_SECONDS), '-D', data], account);
  }

  #urlOf(database: string): string {
    return addressOf(this.cluster, this.password, database);
  }

  async #createDatabase(): Promise<void> {
    const client = new Client({ connectionString: this.#urlOf('postgres'), connectionTimeoutMillis: 10_000 });
    await client.connect();
    try {
      const { rowCount } = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
      if (rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE}`);
    } finally {
      await client.end();
    }
  }
}

/** The folders are made; the cluster is not. */
function locate(dataDir: string): Cluster {
  const account = postgresAccount();
  if (account === null) {
    socketDirectory(dataDir, SOCKET_NAME.length);
    return { ...ownPlaces(dataDir), account, binaries: postgresBinaries(null) };
  }
  const places = rootPlaces(dataDir);
  mkdirSync(ROOT_PLACE, { recursive: true, mode: 0o755 });
  for (const folder of [dirname(places.data), places.sockets]) {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chownSync(folder, account.uid, account.gid);
  }
  return { ...places, account, binaries: postgresBinaries(ROOT_PLACE) };
}

type Places = Pick<Cluster, 'data' | 'sockets' | 'logFile' | 'passwordFile'>;

const ownPlaces = (dataDir: string): Places => ({
  data: join(dataDir, 'postgres'),
  sockets: socketDirectoryPath(dataDir, SOCKET_NAME.length),
  logFile: join(dataDir, 'postgres.log'),
  passwordFile: join(dataDir, 'postgres-password'),
});

function rootPlaces(dataDir: string): Places {
  const place = join(ROOT_PLACE, shortHash(realpathSync(dataDir)));
  return {
    data: join(place, 'postgres'),
    sockets: join(place, 'run'),
    logFile: join(place, 'postgres.log'),
    // In root's own folder: not even PostgreSQL's account needs to read it.
    passwordFile: `${place}.password`,
  };
}

const isCreated = ({ data }: Places): boolean => existsSync(join(data, 'PG_VERSION'));

const addressOf = ({ sockets }: Places, password: string, database: string): string =>
  `postgres://${USER}:${password}@localhost/${database}?host=${encodeURIComponent(sockets)}`;

/**
 * The password, made with the cluster and never after: a new one would not open it.
 * @throws Error when the cluster is there and its password is not
 */
function passwordOf(cluster: Cluster, dataDir: string): string {
  const { data, passwordFile } = cluster;
  // Root's was kept in DATA_DIR once.
  const known = readSecret(passwordFile) ?? readSecret(join(dataDir, 'postgres-password'));
  if (known === null && isCreated(cluster)) {
    throw new Error(`the password of ${data} is gone: put ${passwordFile} back, or remove ${data} with all its data`);
  }
  return localSecret(passwordFile, known ?? undefined).value;
}

/** Runs initdb beside the final place and renames, so that a cluster is whole or not there. */
async function create({ data, account, binaries }: Cluster, password: string): Promise<void> {
  const partial = `${data}.new`;
  const passwordFile = `${data}.password`;
  rmSync(partial, { recursive: true, force: true });
  rmSync(data, { recursive: true, force: true });
  try {
    writeFileSync(passwordFile, password, { mode: 0o600 });
    if (account) chownSync(passwordFile, account.uid, account.gid);
    const encoding = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
    const access = ['--auth=scram-sha-256', `--username=${USER}`, `--pwfile=${passwordFile}`];
    await runProgram(binaries.initdb, [`--pgdata=${partial}`, ...encoding, ...access], account);
    renameSync(partial, data);
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

/** pg_ctl gives the server a session of its own, so that a Ctrl-C in our terminal does not reach it. */
async function start(cluster: Cluster): Promise<void> {
  const { data, sockets, logFile, account, binaries } = cluster;
  writeSettings(cluster);
  for (const lock of [join(data, 'postmaster.pid'), join(sockets, `${SOCKET_NAME}.lock`)]) releaseStaleLock(lock, data);
  if (existsSync(logFile) && statSync(logFile).size > MAX_LOG_BYTES) truncateSync(logFile);
  // pg_ctl passes these two on through a shell: relative names, so that nothing in our own path is read by it.
  const names = ['-D', basename(data), '-l', basename(logFile)];
  await runProgram(
    binaries.pgCtl,
    ['start', '-w', '-s', '-t', String(START_SECONDS), ...names],
    account,
    dirname(data),
  );
}

/** Settings go into a file: pg_ctl would hand options on its command line to a shell. */
function writeSettings({ data, sockets, account }: Cluster): void {
  const settings = [
    `listen_addresses = ''`,
    // A list: the double quotes keep a comma or a space in the path from ending an entry.
    `unix_socket_directories = '"${sockets.replaceAll('"', '""').replaceAll("'", "''")}"'`,
    'unix_socket_permissions = 0700',
    'port = 5432',
    'max_connections = 200',
    'shared_buffers = 64MB',
    // A log line must not carry what a query carried.
    'log_parameter_max_length_on_error = 0',
    `log_min_error_statement = 'panic'`,
  ];
  const file = join(data, 'gatehouse.conf');
  writeFileSync(file, `${settings.join('\n')}\n`, { mode: 0o600 });
  if (account) chownSync(file, account.uid, account.gid);
  const main = join(data, 'postgresql.conf');
  const include = `include = 'gatehouse.conf'\n`;
  const text = readFileSync(main, 'utf8');
  if (!text.includes(include)) writeFileSync(main, text + include);
}
