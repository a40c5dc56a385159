import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import jwt from 'jsonwebtoken';
import { Client } from 'pg';
import { neverPrinted, requireNoSecrets, secretsOf } from './log-scan.js';

const MAIN = resolve('dist/src/main.js');
export const SECRET = 'a-secret-for-tests-that-is-long-enough-0123456789';
const READY_MS = 50_000;
/** How long a row is waited for: edits of files are looked for every few seconds. */
const AUDIT_MS = 20_000;
/**
 * Hundreds of calls a minute are normal in a test. One about a limit sets that one; `PRODUCT_LIMITS` are those of .env.example.
 */
const FAR_LIMITS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['STRANGER', 'HEALTH', 'AUTH', 'PRINCIPAL'].flatMap((level) => [
      [`RATE_LIMIT_${level}_PER_MINUTE`, '1000000'],
      [`RATE_LIMIT_${level}_BURST`, '1000000'],
    ]),
  ),
  ...{ RATE_LIMIT_CREATE_PER_HOUR: '1000000', RATE_LIMIT_CREATE_BURST: '1000000' },
  ...{ RATE_LIMIT_MESSAGES_PER_SECOND: '1000000', RATE_LIMIT_MESSAGES_BURST: '1000000' },
  RATE_LIMIT_INPUT_BYTES_PER_SECOND: '1073741824',
  ...{ LOCKOUT_FAILURES: '10000', LOCKOUT_ADDRESS_FAILURES: '10000', CONNECTIONS_PER_PRINCIPAL: '10000' },
};
/** As if no limit was set: an empty variable is none. */
export const PRODUCT_LIMITS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.keys(FAR_LIMITS).map((name) => [name, '']),
);

/** One line of the gateway's log. */
export type LogLine = Record<string, unknown>;

/** A gateway process of its own, its runner, and a database that nobody else uses. */
export class TestGateway {
  stdout = '';
  #process: ChildProcess | null = null;

  private constructor(
    readonly dataDir: string,
    readonly databaseUrl: string | null,
    readonly httpPort: number,
    readonly grpcPort: number,
    readonly environment: Record<string, string>,
  ) {}

  /** Starts one on free ports. With `embedded` it brings its own PostgreSQL, as `npm start` does. */
  static async start(environment: Record<string, string> = {}, { embedded = false } = {}): Promise<TestGateway> {
    const gateway = await TestGateway.prepare(environment, { embedded });
    await gateway.launch();
    return gateway;
  }

  /** Everything but the process. */
  static async prepare(environment: Record<string, string> = {}, { embedded = false } = {}): Promise<TestGateway> {
    const dataDir = join(mkdtempSync(join(tmpdir(), 'gatehouse-')), 'data');
    const database = embedded ? null : await createDatabase();
    return new TestGateway(dataDir, database, await freePort(), await freePort(), environment);
  }

  /** A second gateway on the same database and runner. */
  async sibling(environment: Record<string, string> = {}): Promise<TestGateway> {
    const [http, grpc] = [await freePort(), await freePort()];
    const other = new TestGateway(this.dataDir, this.databaseUrl, http, grpc, { ...this.environment, ...environment });
    await other.launch();
    return other;
  }

  /** A gateway on the same database with a runner of its own. */
  async stranger(): Promise<TestGateway> {
    const dataDir = join(mkdtempSync(join(tmpdir(), 'gatehouse-')), 'data');
    const other = new TestGateway(dataDir, this.databaseUrl, await freePort(), await freePort(), this.environment);
    await other.launch();
    return other;
  }

  /** Whether it speaks TLS. Its certificate has to be trusted, see `trust`. */
  get secure(): boolean {
    return this.environment['TLS_ENABLED'] === 'true';
  }

  get url(): string {
    return `${this.secure ? 'https' : 'http'}://127.0.0.1:${this.httpPort}`;
  }

  get wsUrl(): string {
    return this.url.replace(/^http/, 'ws');
  }

  get grpcAddress(): string {
    return `127.0.0.1:${this.grpcPort}`;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Starts the process and waits until it says that it is ready. */
  async launch(): Promise<void> {
    const child = this.spawn();
    this.#process = child;
    const deadline = Date.now() + READY_MS;
    const from = this.stdout.length;
    while (!this.stdout.slice(from).includes('Gatehouse is ready')) {
      if (child.exitCode !== null || Date.now() > deadline) {
        child.kill('SIGKILL');
        throw new Error(`The gateway did not start: ${this.stdout}`);
      }
      await pause(20);
    }
  }

  /**
   * The process, its output collected, not waited for.
   * @param behind a command that runs it
   */
  spawn(behind: readonly string[] = []): ChildProcess {
    // Room for what a start makes: a fifth of it would be spent on collecting that.
    const command = [...behind, process.execPath, '--disable-sigusr1', '--min-semi-space-size=16', MAIN];
    const child = spawn(command[0] ?? '', command.slice(1), {
      cwd: this.dataDir.slice(0, this.dataDir.lastIndexOf('/')),
      env: {
        PATH: process.env['PATH'],
        // Without anybody's start-up files, which a login shell would read.
        HOME: this.dataDir.slice(0, this.dataDir.lastIndexOf('/')),
        NODE_ENV: 'test',
        DATA_DIR: this.dataDir,
        HTTP_PORT: String(this.httpPort),
        GRPC_PORT: String(this.grpcPort),
        AUTH_SECRET: SECRET,
        LOG_FORMAT: 'json',
        ...FAR_LIMITS,
        ...(this.databaseUrl === null ? {} : { DATABASE_URL: this.databaseUrl }),
        ...this.environment,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const keep = (chunk: Buffer): void => {
      this.stdout += chunk.toString('utf8');
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    return child;
  }

  /**
   * Sends a signal and waits for the end; the exit status, or the signal's name.
   * @throws Error when it has printed a secret
   */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    const child = this.#process;
    if (child === null) return 0;
    this.#process = null;
    const ended =
      child.exitCode ??
      (await new Promise<number | string>((done) => {
        child.once('exit', (code, by) => {
          done(code ?? by ?? 0);
        });
        child.kill(signal);
      }));
    this.requireNoSecrets();
    return ended;
  }

  /** Nothing that it has printed so far is a secret, but for the first key in its welcome. @throws Error */
  requireNoSecrets(): void {
    const { databaseUrl, environment } = this;
    const variables = { AUTH_SECRET: SECRET, DATABASE_URL: databaseUrl ?? undefined, ...environment };
    requireNoSecrets(this.stdout, secretsOf(variables));
  }

  /** Ends everything and removes what it left. @throws Error when it has printed a secret, or its runner has */
  async remove(): Promise<void> {
    await this.end();
    for (const pid of this.runnerPids()) process.kill(pid, 'SIGTERM');
    await until('the end of the runner', () => this.runnerPids().length === 0);
    const runnerLog = readLog(join(this.dataDir, 'runner.log'));
    rmSync(resolve(this.dataDir, '..'), { recursive: true, force: true });
    this.requireNoSecrets();
    requireNoSecrets(runnerLog, secretsOf({ AUTH_SECRET: SECRET, ...this.environment }));
  }

  /** The runner of this gateway, if one runs. */
  runnerPids(): number[] {
    try {
      const pid = Number(readFileSync(join(this.dataDir, 'run', 'runner.pid'), 'utf8'));
      process.kill(pid, 0);
      return [pid];
    } catch {
      return [];
    }
  }

  /** The administrator's key that the first start printed. */
  get adminKey(): string {
    const key = /gh_(?:test|live)_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}/.exec(this.stdout)?.[0];
    if (key === undefined) throw new Error('no key was printed');
    return key;
  }

  /** The log so far. */
  get log(): LogLine[] {
    return this.stdout
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as LogLine);
  }

  /** Rows of the audit trail, oldest first; waits until there are some that match. */
  async audit(match: Record<string, unknown>, atLeast = 1): Promise<Record<string, unknown>[]> {
    const wanted = Object.entries(match);
    for (const deadline = Date.now() + AUDIT_MS; ;) {
      const all = await this.query('SELECT * FROM audit_trail ORDER BY timestamp, id');
      const rows = all.filter((row) => wanted.every(([name, value]) => row[name] === value));
      if (rows.length >= atLeast || Date.now() > deadline) return rows;
      await pause(50);
    }
  }

  async query(sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    // The database that it really uses: a test may have led it there by another way.
    const client = new Client({ connectionString: this.environment['DATABASE_URL'] ?? this.databaseUrl ?? '' });
    await client.connect();
    try {
      return (await client.query<Record<string, unknown>>(sql, values)).rows;
    } finally {
      await client.end();
    }
  }
}

/** A local token. Claims given here win; `undefined` removes one. */
export function token(claims: Record<string, unknown> = {}, secret = SECRET): string {
  const now = Math.floor(Date.now() / 1000);
  const all = {
    sub: 'alice',
    roles: ['user'],
    iat: now,
    exp: now + 600,
    iss: 'gatehouse',
    aud: 'gatehouse',
    ...claims,
  };
  const signed = jwt.sign(JSON.parse(JSON.stringify(all)) as object, secret, {
    algorithm: 'HS256',
    noTimestamp: 'iat' in claims && claims['iat'] === undefined,
  });
  return neverPrinted('a token of a test', signed);
}

/** What is in a log, nothing where there is none. */
function readLog(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}

/** @param template the address of a database to begin as a copy of, to which nobody is connected */
export async function createDatabase(template?: string): Promise<string> {
  const url = new URL(process.env['TEST_POSTGRES_URL'] ?? '');
  const name = `t_${process.hrtime.bigint().toString(36)}_${String(process.pid)}`;
  const client = new Client({ connectionString: url.href });
  await client.connect();
  const from = template === undefined ? '' : ` TEMPLATE ${new URL(template).pathname.slice(1)}`;
  await client.query(`CREATE DATABASE ${name}${from}`);
  await client.end();
  url.pathname = `/${name}`;
  return url.href;
}

/** @param database its address; nobody is connected to it */
export async function dropDatabase(database: string): Promise<void> {
  const client = new Client({ connectionString: process.env['TEST_POSTGRES_URL'] ?? '' });
  await client.connect();
  await client.query(`DROP DATABASE ${new URL(database).pathname.slice(1)} WITH (FORCE)`);
  await client.end();
}

/**
 * Ports below those that Linux gives to outgoing connections (32768 and up), so that nothing takes one between this look
 * and its use; each Jest worker has its own thousand.
 */
const FIRST_PORT = 16_000;
const PORTS = 1000;
const WORKERS = 16;
const ownPorts = FIRST_PORT + (Number(process.env['JEST_WORKER_ID'] ?? 1) % WORKERS) * PORTS;
/** Another beginning for each file: what an earlier one used may still be closing. */
let portsTaken = Math.floor(Math.random() * PORTS);

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < PORTS; tries += 1) {
    portsTaken += 1;
    const port = ownPorts + (portsTaken % PORTS);
    if (await isFree(port)) return port;
  }
  throw new Error('no port is free');
}

function isFree(port: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => {
      done(false);
    });
    server.listen(port, '127.0.0.1', () => {
      server.close(() => {
        done(true);
      });
    });
  });
}

export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Waits until the condition holds. @throws Error when it does not in time */
export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited in vain for: ${what}`);
    await pause(20);
  }
}
