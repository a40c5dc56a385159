import { type ClientReadableStream, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ProtoGrpcType } from '../generated/runner.js';
import type { InfoResponse__Output } from '../generated/gatehouse/runner/v1/InfoResponse.js';
import type { KillRequest } from '../generated/gatehouse/runner/v1/KillRequest.js';
import type { KillResponse__Output } from '../generated/gatehouse/runner/v1/KillResponse.js';
import type { ListResponse__Output } from '../generated/gatehouse/runner/v1/ListResponse.js';
import type { ReadOutputResponse__Output } from '../generated/gatehouse/runner/v1/ReadOutputResponse.js';
import type { RunnerServiceClient } from '../generated/gatehouse/runner/v1/RunnerService.js';
import type { RunnerSession__Output } from '../generated/gatehouse/runner/v1/RunnerSession.js';
import type { ShutdownResponse__Output } from '../generated/gatehouse/runner/v1/ShutdownResponse.js';
import type { StartRequest } from '../generated/gatehouse/runner/v1/StartRequest.js';
import type { StartResponse__Output } from '../generated/gatehouse/runner/v1/StartResponse.js';
import type { WatchResponse__Output } from '../generated/gatehouse/runner/v1/WatchResponse.js';
import { DomainError } from '../kernel/errors.js';
import { PROTO_OPTIONS } from '../kernel/package.js';
import { callRunner, controlOptions, type Unary } from './control-call.js';
import type { RunnerEndpoint } from './runner-endpoint.js';

const DEADLINE_MS = 10_000;
/** A kill waits for 5 s of grace and the processes' end. */
const KILL_DEADLINE_MS = 20_000;
/** The same grace, for all sessions at once, within the time of a stop. */
const SHUTDOWN_DEADLINE_MS = 10_000;

/** Control of the runner. Every method rejects with the runner's own DomainError, or RUNNER_UNAVAILABLE. */
export class RunnerClient {
  readonly #client: RunnerServiceClient;

  /** @param endpoint where the runner is */
  constructor(readonly endpoint: RunnerEndpoint) {
    const definition = loadSync('gatehouse/runner/v1/runner.proto', PROTO_OPTIONS);
    const proto = loadPackageDefinition(definition) as unknown as ProtoGrpcType;
    const { address, credentials } = endpoint.control;
    this.#client = new proto.gatehouse.runner.v1.RunnerService(address, credentials, controlOptions(endpoint));
  }

  info(deadlineMs = DEADLINE_MS): Promise<InfoResponse__Output> {
    return this.#call(this.#client.info.bind(this.#client), {}, deadlineMs);
  }

  start(request: StartRequest): Promise<StartResponse__Output> {
    return this.#call(this.#client.start.bind(this.#client), request);
  }

  async list(): Promise<RunnerSession__Output[]> {
    const { sessions } = await this.#call<object, ListResponse__Output>(this.#client.list.bind(this.#client), {});
    return sessions ?? [];
  }

  async write(id: string, data: Uint8Array): Promise<void> {
    await this.#call(this.#client.write.bind(this.#client), { id, data });
  }

  async resize(id: string, cols: number, rows: number): Promise<void> {
    await this.#call(this.#client.resize.bind(this.#client), { id, cols, rows });
  }

  async signal(id: string, signal: string): Promise<void> {
    await this.#call(this.#client.signal.bind(this.#client), { id, signal });
  }

  async kill(id: string, reason: string): Promise<RunnerSession__Output> {
    const { session } = await this.#call<KillRequest, KillResponse__Output>(
      this.#client.kill.bind(this.#client),
      { id, reason },
      KILL_DEADLINE_MS,
    );
    if (!session) throw new DomainError('INTERNAL_ERROR', 'The runner gave no session.');
    return session;
  }

  readOutput(id: string, from: number | undefined, limit: number): Promise<ReadOutputResponse__Output> {
    const request = { id, limit, ...(from === undefined ? {} : { from }) };
    return this.#call(this.#client.readOutput.bind(this.#client), request);
  }

  watch(): ClientReadableStream<WatchResponse__Output> {
    return this.#client.watch({});
  }

  /** Ends every session and then the runner. @returns the sessions as they ended */
  async shutdown(): Promise<RunnerSession__Output[]> {
    const { sessions } = await this.#call<object, ShutdownResponse__Output>(
      this.#client.shutdown.bind(this.#client),
      {},
      SHUTDOWN_DEADLINE_MS,
    );
    return sessions ?? [];
  }

  close(): void {
    this.#client.close();
  }

  #call<Request, Response>(method: Unary<Request, Response>, request: Request, ms = DEADLINE_MS): Promise<Response> {
    return callRunner(method, request, ms);
  }
}
