/** A real runner process, from the project's build output, and a client of its control service. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { credentials, type Metadata, type ServiceError } from '@grpc/grpc-js';
import type { InfoResponse__Output } from '../../src/generated/gatehouse/runner/v1/InfoResponse.js';
import type { KillResponse__Output } from '../../src/generated/gatehouse/runner/v1/KillResponse.js';
import type { ListResponse__Output } from '../../src/generated/gatehouse/runner/v1/ListResponse.js';
import type { ReadOutputRequest } from '../../src/generated/gatehouse/runner/v1/ReadOutputRequest.js';
import type { ReadOutputResponse__Output } from '../../src/generated/gatehouse/runner/v1/ReadOutputResponse.js';
import type { RunnerServiceClient } from '../../src/generated/gatehouse/runner/v1/RunnerService.js';
import type { RunnerSession__Output } from '../../src/generated/gatehouse/runner/v1/RunnerSession.js';
import type { StartRequest } from '../../src/generated/gatehouse/runner/v1/StartRequest.js';
import type { StartResponse__Output } from '../../src/generated/gatehouse/runner/v1/StartResponse.js';
import { loadRunnerProto } from '../../src/runner/proto.js';
import { LinkClient } from './link-client.js';
import { until } from './until.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const MAIN = join(ROOT, 'dist', 'src', 'runner', 'main.js');

/** What a failed call says: our code. */
export function codeOf(error: unknown): string {
  const metadata = (error as { metadata?: Metadata }).metadata;
  return String(metadata?.get('gatehouse-code')[0] ?? error);
}

export class RunnerProcess {
  readonly output: string[] = [];
  readonly exited: Promise<number | null>;
  #client: RunnerServiceClient | undefined;
  readonly #links: LinkClient[] = [];

  private constructor(
    readonly directory: string,
    readonly child: ChildProcess,
  ) {
    child.stdout?.on('data', (chunk: Buffer) => this.output.push(chunk.toString()));
    child.stderr?.on('data', (chunk: Buffer) => this.output.push(chunk.toString()));
    this.exited = new Promise((resolve) => child.once('exit', resolve));
  }

  /** Starts a runner without waiting for it. */
  static spawn(directory: string, flags: readonly string[] = [], env: NodeJS.ProcessEnv = process.env): RunnerProcess {
    if (!existsSync(MAIN)) throw new Error('dist is missing: run `npm run build` first');
    // A home without anybody's start-up files: what a login shell reads there is none of the test's.
    const rest: NodeJS.ProcessEnv = { ...env, HOME: dirname(directory) };
    delete rest['NODE_OPTIONS']; // Jest's, not the runner's
    // With a descriptor that it did not ask for, as a careless parent leaves one: no session may see that.
    const careless = ['-c', 'exec 60</dev/null; exec "$@"', 'bash'];
    const child = spawn('bash', [...careless, process.execPath, MAIN, '--dir', directory, ...flags], { env: rest });
    return new RunnerProcess(directory, child);
  }

  /** Starts a runner in a directory of its own and waits until it listens. */
  static async start(flags: readonly string[] = [], env: NodeJS.ProcessEnv = process.env): Promise<RunnerProcess> {
    const runner = RunnerProcess.spawn(join(mkdtempSync(join(tmpdir(), 'gatehouse-runner-')), 'run'), flags, env);
    await until(() => runner.output.join('').includes('"listening"'), 'the runner listens');
    return runner;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get client(): RunnerServiceClient {
    const { RunnerService } = loadRunnerProto();
    const address = `unix:${join(this.directory, 'control.sock')}`;
    this.#client ??= new RunnerService(address, credentials.createInsecure());
    return this.#client;
  }

  async startSession(command: string[], rest: StartRequest = {}): Promise<RunnerSession__Output & { id: string }> {
    const request = { id: randomUUID(), command, cols: 80, rows: 24, cwd: '/', ...rest };
    const { session } = await promised<StartResponse__Output>((done) => this.client.Start(request, done));
    return { ...session, id: request.id };
  }

  /** Starts what runs when nothing is asked for. */
  startDefault(id: string): Promise<StartResponse__Output> {
    return promised((done) => this.client.Start({ id, cols: 80, rows: 24 }, done));
  }

  async session(id: string): Promise<RunnerSession__Output> {
    const { sessions = [] } = await promised<ListResponse__Output>((done) => this.client.List({}, done));
    const session = sessions.find((candidate) => candidate.id === id);
    if (!session) throw new Error('session is not listed');
    return session;
  }

  async ended(id: string): Promise<RunnerSession__Output> {
    await until(async () => (await this.session(id)).state !== 'running', 'the session ends');
    return this.session(id);
  }

  read(request: ReadOutputRequest): Promise<ReadOutputResponse__Output> {
    return promised((done) => this.client.ReadOutput(request, done));
  }

  async text(id: string): Promise<string> {
    return (await this.read({ id })).data?.toString() ?? '';
  }

  /** Waits until the session's output contains a text. */
  async shows(id: string, text: string): Promise<void> {
    await until(async () => (await this.text(id)).includes(text), `the output shows ${text}`);
  }

  write(id: string, text: string): Promise<unknown> {
    return promised((done) => this.client.Write({ id, data: Buffer.from(text) }, done));
  }

  resize(id: string, cols: number, rows: number): Promise<unknown> {
    return promised((done) => this.client.Resize({ id, cols, rows }, done));
  }

  signal(id: string, signal: string): Promise<unknown> {
    return promised((done) => this.client.Signal({ id, signal }, done));
  }

  async kill(id: string, reason = 'test'): Promise<RunnerSession__Output | undefined> {
    return (await promised<KillResponse__Output>((done) => this.client.Kill({ id, reason }, done))).session;
  }

  info(): Promise<InfoResponse__Output> {
    return promised((done) => this.client.Info({}, done));
  }

  shutdown(): Promise<unknown> {
    return promised((done) => this.client.Shutdown({}, done));
  }

  async link(): Promise<LinkClient> {
    const link = await LinkClient.connect(join(this.directory, 'bytes.sock'));
    this.#links.push(link);
    return link;
  }

  /** Memory that the runner takes, bytes. */
  residentBytes(): number {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${String(this.pid)}/status`, 'utf8'))?.[1]) * 1024;
  }

  /** Ends runner and sessions. */
  async stop(): Promise<void> {
    this.#client?.close();
    for (const link of this.#links) link.close();
    this.child.kill('SIGTERM');
    await this.exited;
    rmSync(join(this.directory, '..'), { recursive: true, force: true });
  }
}

/** Turns a call with a callback into a promise of its answer. */
function promised<Answer>(
  begin: (callback: (error: ServiceError | null, answer?: Answer) => void) => unknown,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    begin((error, answer) => {
      if (error) reject(error);
      else resolve(answer as Answer);
    });
  });
}
