/** A gateway whose runner finds scripted agents, a repository for them to work in, and clients of all three transports. */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { AgentServiceClient } from '../../src/generated/gatehouse/agent/v1/AgentService.js';
import type { WatchAgentResponse__Output } from '../../src/generated/gatehouse/agent/v1/WatchAgentResponse.js';
import type { ProtoGrpcType } from '../../src/generated/agent.js';
import { TestGateway, token, until } from './gateway.js';
import { git } from './worktrees.js';
import { scriptedAgents } from './scripted-agents.js';
import { type Answer, rest } from './rest.js';

const proto = loadPackageDefinition(
  loadSync('gatehouse/agent/v1/agent.proto', { keepCase: true, longs: Number, enums: String, includeDirs: ['proto'] }),
) as unknown as ProtoGrpcType;

export type Agent = Record<string, unknown> & { readonly id: string; readonly session_id: string };

/** Claims of people of the tests. */
export const ALICE = token({ sub: 'alice' });
export const BOB = token({ sub: 'bob' });
export const OPERATOR = token({ sub: 'olga', roles: ['operator'] });
export const VIEWER = token({ sub: 'vera', roles: ['viewer'] });

export class AgentWorld {
  private constructor(
    readonly folder: string,
    readonly gateway: TestGateway,
  ) {}

  /** @param environment more of the gateway's */
  static async start(environment: Record<string, string> = {}): Promise<AgentWorld> {
    const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-agents-')));
    git(folder, 'init', '--quiet', '--initial-branch=main', 'projects/app');
    git(join(folder, 'projects/app'), 'commit', '--quiet', '--allow-empty', '-m', 'first');
    const gateway = await TestGateway.start({
      ...scriptedAgents(folder),
      PROJECT_ROOTS: join(folder, 'projects'),
      SESSIONS_PER_USER: '50',
      AGENTS_PER_USER: '20',
      ...environment,
    });
    return new AgentWorld(folder, gateway);
  }

  async remove(): Promise<void> {
    await this.gateway.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }

  call(who: string | null, method: string, path: string, body?: unknown): Promise<Answer> {
    return rest(this.gateway, who, method, `/api/v1${path}`, body);
  }

  /** Starts an agent over REST, which must succeed. */
  async begin(who: string, request: object = {}): Promise<Agent> {
    const answer = await this.call(who, 'POST', '/agents', { provider: 'plain', ...request });
    if (answer.status !== 201) throw new Error(`not started: ${answer.text}`);
    return answer.body as Agent;
  }

  async agent(who: string, id: string): Promise<Agent> {
    return (await this.call(who, 'GET', `/agents/${id}`)).body as Agent;
  }

  /** Waits for a state, and if asked for, for what it waits for. */
  async reaches(id: string, state: string, kind?: string, who = OPERATOR): Promise<Agent> {
    let agent: Agent | undefined;
    const reached = async (): Promise<boolean> => {
      agent = await this.agent(who, id);
      const prompt = agent['prompt'] as { kind?: string } | null;
      return agent['state'] === state && (kind === undefined || prompt?.kind === kind);
    };
    await until(`the agent is ${state} ${kind ?? ''}`, reached, 30_000).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(agent)}`);
    });
    if (agent === undefined) throw new Error('impossible');
    return agent;
  }

  /** What the terminal of an agent has shown. */
  async shown(who: string, { session_id }: Agent): Promise<string> {
    return (await this.call(who, 'GET', `/sessions/${session_id}/output?limit=1048576`)).text;
  }

  shows(who: string, agent: Agent, text: string): Promise<void> {
    return until(`the agent shows ${text}`, async () => (await this.shown(who, agent)).includes(text), 30_000);
  }

  /** @param gateway another one than the world's */
  grpc(who: string | null, gateway = this.gateway): AgentGrpcClient {
    return new AgentGrpcClient(gateway, who);
  }
}

/** The id of what an agent waits for. */
export const promptOf = (agent: Agent): string => (agent['prompt'] as { id: string }).id;

type Method = 'start' | 'get' | 'list' | 'message' | 'answer' | 'stop' | 'resume' | 'listProviders';

/** A gRPC client of agents with one credential. */
export class AgentGrpcClient {
  readonly #client: AgentServiceClient;
  readonly #metadata = new Metadata();

  constructor(gateway: TestGateway, who: string | null) {
    this.#client = new proto.gatehouse.agent.v1.AgentService(gateway.grpcAddress, credentials.createInsecure());
    if (who !== null) this.#metadata.set('authorization', `Bearer ${who}`);
  }

  /** One unary call; rejects with the ServiceError. */
  call(method: Method, request: object): Promise<Record<string, unknown>> {
    const invoke = this.#client[method].bind(this.#client) as unknown as (
      request: object,
      metadata: Metadata,
      callback: (error: ServiceError | null, response?: unknown) => void,
    ) => void;
    return new Promise((done, reject) => {
      invoke(request, this.#metadata, (error, response) => {
        if (error) reject(error);
        else done(response as Record<string, unknown>);
      });
    });
  }

  watch(request: { id?: string } = {}): ClientReadableStream<WatchAgentResponse__Output> {
    return this.#client.watchAgent(request, this.#metadata);
  }

  close(): void {
    this.#client.close();
  }
}
