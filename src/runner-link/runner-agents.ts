import { type ClientReadableStream, loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { AnswerAgentResponse__Output } from '../generated/gatehouse/runner/v1/AnswerAgentResponse.js';
import type { DetectResponse__Output } from '../generated/gatehouse/runner/v1/DetectResponse.js';
import type { FoundProgram__Output } from '../generated/gatehouse/runner/v1/FoundProgram.js';
import type { ListAgentsResponse__Output } from '../generated/gatehouse/runner/v1/ListAgentsResponse.js';
import type { Program } from '../generated/gatehouse/runner/v1/Program.js';
import type { RunnerAgent__Output } from '../generated/gatehouse/runner/v1/RunnerAgent.js';
import type { RunnerAgentServiceClient } from '../generated/gatehouse/runner/v1/RunnerAgentService.js';
import type { StartAgentRequest } from '../generated/gatehouse/runner/v1/StartAgentRequest.js';
import type { StartAgentResponse__Output } from '../generated/gatehouse/runner/v1/StartAgentResponse.js';
import type { StopAgentResponse__Output } from '../generated/gatehouse/runner/v1/StopAgentResponse.js';
import type { WatchAgentsResponse__Output } from '../generated/gatehouse/runner/v1/WatchAgentsResponse.js';
import type { ProtoGrpcType } from '../generated/runner_agent.js';
import { DomainError } from '../kernel/errors.js';
import { PROTO_OPTIONS } from '../kernel/package.js';
import { callRunner, controlOptions } from './control-call.js';
import type { RunnerEndpoint } from './runner-endpoint.js';

/** Versions are asked of several programs, each with 5 s. */
const DETECT_DEADLINE_MS = 30_000;
/** The keys that ask it to end, then the grace of a kill. */
const STOP_DEADLINE_MS = 40_000;
const DEADLINE_MS = 10_000;

/** Agents on the runner. Every method rejects with the runner's own DomainError, or RUNNER_UNAVAILABLE. */
export class RunnerAgents {
  readonly #client: RunnerAgentServiceClient;

  /** @param endpoint where the runner is */
  constructor(endpoint: RunnerEndpoint) {
    const definition = loadSync('gatehouse/runner/v1/runner_agent.proto', PROTO_OPTIONS);
    const proto = loadPackageDefinition(definition) as unknown as ProtoGrpcType;
    const { address, credentials } = endpoint.control;
    this.#client = new proto.gatehouse.runner.v1.RunnerAgentService(address, credentials, controlOptions(endpoint));
  }

  /** Those of the programs that are installed. */
  async detect(programs: Program[]): Promise<FoundProgram__Output[]> {
    const { programs: found } = await callRunner<object, DetectResponse__Output>(
      this.#client.detect.bind(this.#client),
      { programs },
      DETECT_DEADLINE_MS,
    );
    return found ?? [];
  }

  start(request: StartAgentRequest): Promise<StartAgentResponse__Output> {
    return callRunner(this.#client.startAgent.bind(this.#client), request, DEADLINE_MS);
  }

  async list(): Promise<RunnerAgent__Output[]> {
    const { agents } = await callRunner<object, ListAgentsResponse__Output>(
      this.#client.listAgents.bind(this.#client),
      {},
      DEADLINE_MS,
    );
    return agents ?? [];
  }

  async message(sessionId: string, text: string, submit: boolean): Promise<void> {
    const request = { session_id: sessionId, text, submit };
    await callRunner(this.#client.messageAgent.bind(this.#client), request, DEADLINE_MS);
  }

  async answer(sessionId: string, promptId: string, optionId: string): Promise<RunnerAgent__Output> {
    const { agent } = await callRunner<object, AnswerAgentResponse__Output>(
      this.#client.answerAgent.bind(this.#client),
      { session_id: sessionId, prompt_id: promptId, option_id: optionId },
      DEADLINE_MS,
    );
    return given(agent);
  }

  /** @returns the agent once its processes are gone */
  async stop(sessionId: string): Promise<RunnerAgent__Output> {
    const { agent } = await callRunner<object, StopAgentResponse__Output>(
      this.#client.stopAgent.bind(this.#client),
      { session_id: sessionId },
      STOP_DEADLINE_MS,
    );
    return given(agent);
  }

  watch(): ClientReadableStream<WatchAgentsResponse__Output> {
    return this.#client.watchAgents({});
  }

  close(): void {
    this.#client.close();
  }
}

function given(agent: RunnerAgent__Output | null | undefined): RunnerAgent__Output {
  if (!agent) throw new DomainError('INTERNAL_ERROR', 'The runner gave no agent.');
  return agent;
}
