import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, until } from './gateway.js';
import { Authority } from './link-certificates.js';

const PROGRAM = '/usr/bin/redis-server';

/**
 * Whether there is a Redis on this machine. Where there is none its tests are skipped, and say so.
 * @throws Error where none may be skipped
 */
export function hasRedis(): boolean {
  const there = existsSync(PROGRAM);
  const message = `the tests with a real Redis need ${PROGRAM} (apt-get install redis-server)`;
  if (!there && process.env['CI'] !== undefined) throw new Error(`${message}, and may not be skipped here`);
  if (!there) console.warn(`SKIPPED: ${message}`);
  return there;
}

/** A real Redis with a password, on loopback, with and without TLS, that keeps nothing on disk. */
export class TestRedis {
  #process: ChildProcess | null = null;

  private constructor(
    private readonly port: number,
    private readonly tlsPort: number,
    private readonly password: string,
    private readonly folder: string,
  ) {}

  /** Everything but the process. */
  static async prepare(): Promise<TestRedis> {
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-redis-'));
    const authority = await Authority.make();
    const { cert, key } = await authority.issue(['localhost'], 'serverAuth', ['127.0.0.1']);
    for (const [name, text] of Object.entries({ ca: authority.cert, cert, key }))
      writeFileSync(join(folder, name), text);
    return new TestRedis(await freePort(), await freePort(), 'the-password-of-redis', folder);
  }

  get url(): string {
    return `redis://:${this.password}@127.0.0.1:${this.port}`;
  }

  /** The same with TLS, by a certificate of the authority in {@link authorityFile}. */
  get tlsUrl(): string {
    return `rediss://:${this.password}@127.0.0.1:${this.tlsPort}`;
  }

  get authorityFile(): string {
    return join(this.folder, 'ca');
  }

  /** What a gateway must never show. */
  get secret(): string {
    return this.password;
  }

  async launch(): Promise<void> {
    const options = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--dir', this.folder];
    const [cert, key] = ['cert', 'key'].map((name) => join(this.folder, name));
    const tls = ['--tls-port', String(this.tlsPort), '--tls-cert-file', cert ?? '', '--tls-key-file', key ?? ''];
    const closed = ['--tls-auth-clients', 'no', '--requirepass', this.password];
    this.#process = spawn(PROGRAM, [...options, ...tls, ...closed], { stdio: 'ignore' });
    await until('Redis', () => this.#answers());
  }

  /** It is there and does not answer any more. */
  hang(): void {
    this.#process?.kill('SIGSTOP');
  }

  goOn(): void {
    this.#process?.kill('SIGCONT');
  }

  async stop(): Promise<void> {
    const child = this.#process;
    this.#process = null;
    if (child === null || child.exitCode !== null) return;
    const gone = new Promise((done) => child.once('exit', done));
    child.kill('SIGKILL');
    await gone;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** The answer to one command, as it is on the wire. */
  ask(...words: string[]): Promise<string> {
    const lines = [`AUTH ${this.password}`, words.join(' ')].map((line) => `${line}\r\n`).join('');
    return new Promise((done, reject) => {
      let heard = '';
      const socket = connect(this.port, '127.0.0.1', () => socket.write(`${lines}QUIT\r\n`));
      socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
      socket.on('error', reject);
      socket.on('close', () => {
        done(heard.replace(/^\+OK\r\n/, '').replace(/\+OK\r\n$/, ''));
      });
    });
  }

  async #answers(): Promise<boolean> {
    return this.ask('PING').then(
      (answer) => answer.includes('PONG'),
      () => false,
    );
  }
}
