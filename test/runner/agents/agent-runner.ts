/** A runner whose PATH has scripted agents, and a client of its agents' service. */
import { randomUUID } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { credentials, type ServiceError } from '@grpc/grpc-js';
import type { AgentSpec } from '../../../src/generated/gatehouse/runner/v1/AgentSpec.js';
import type { AnswerAgentResponse__Output } from '../../../src/generated/gatehouse/runner/v1/AnswerAgentResponse.js';
import type { DetectResponse__Output } from '../../../src/generated/gatehouse/runner/v1/DetectResponse.js';
import type { ListAgentsResponse__Output } from '../../../src/generated/gatehouse/runner/v1/ListAgentsResponse.js';
import type { Program } from '../../../src/generated/gatehouse/runner/v1/Program.js';
import type { RunnerAgent__Output } from '../../../src/generated/gatehouse/runner/v1/RunnerAgent.js';
import type { RunnerAgentServiceClient } from '../../../src/generated/gatehouse/runner/v1/RunnerAgentService.js';
import type { StartAgentResponse__Output } from '../../../src/generated/gatehouse/runner/v1/StartAgentResponse.js';
import type { StartRequest } from '../../../src/generated/gatehouse/runner/v1/StartRequest.js';
import type { StopAgentResponse__Output } from '../../../src/generated/gatehouse/runner/v1/StopAgentResponse.js';
import type { WatchAgentsResponse__Output } from '../../../src/generated/gatehouse/runner/v1/WatchAgentsResponse.js';
import { loadAgentProto } from '../../../src/runner/agent/proto.js';
import { RunnerProcess } from '../runner-process.js';
import { until } from '../until.js';

const SCRIPTS = fileURLToPath(new URL('../../support/agents/', import.meta.url));
/** Generous: the machine is slow at times. */
export const WAIT_MS = 30_000;

/** What the scripted agents understand. */
export const PLAIN: AgentSpec = {
  binary: 'plain-agent',
  delivery: 'typed',
  ready: ['^> $', '^>$'],
  waiting: ['\\[y/n\\] ?$'],
  login: ['not logged in'],
  approve_keys: Buffer.from('y\r'),
  deny_keys: Buffer.from('n\r'),
  stop_keys: [Buffer.from([4])],
  submit_keys: Buffer.from('\r'),
  quiet_ms: 0,
};

export class AgentRunner {
  readonly seen: RunnerAgent__Output[] = [];

  private constructor(
    readonly runner: RunnerProcess,
    readonly bin: string,
    readonly client: RunnerAgentServiceClient,
  ) {
    const watch = client.WatchAgents({});
    watch.on('data', ({ changed }: WatchAgentsResponse__Output) => changed && this.seen.push(changed));
    watch.on('error', () => undefined);
  }

  /**
   * @param scripts of test/support/agents, each in PATH under its name
   * @param flags of the runner; a sandbox is shown what they need
   */
  static async start(scripts: readonly string[], flags: readonly string[] = []): Promise<AgentRunner> {
    const bin = mkdtempSync(join(tmpdir(), 'gatehouse-agents-'));
    for (const name of scripts) {
      writeFileSync(join(bin, name), `#!/bin/sh\nexec '${process.execPath}' '${SCRIPTS}${name}.mjs' "$@"\n`);
      chmodSync(join(bin, name), 0o755);
    }
    const PATH = `${bin}:${process.env['PATH'] ?? ''}`;
    const shown = [bin, SCRIPTS, dirname(process.execPath)].flatMap((folder) => ['--sandbox-read-only', folder]);
    const runner = await RunnerProcess.start([...flags, ...shown], {
      ...process.env,
      PATH,
      SERVER_SECRET: 'of-the-server',
    });
    const { RunnerAgentService } = loadAgentProto();
    const address = `unix:${join(runner.directory, 'control.sock')}`;
    return new AgentRunner(runner, bin, new RunnerAgentService(address, credentials.createInsecure()));
  }

  detect(programs: Program[]): Promise<DetectResponse__Output> {
    return promised((done) => this.client.Detect({ programs }, done));
  }

  /** @returns the session's id, which names the agent, and the answer */
  async start(
    agent: AgentSpec,
    session: StartRequest = {},
  ): Promise<{ id: string; answer: StartAgentResponse__Output }> {
    const id = randomUUID();
    const asked = { id, cols: 80, rows: 24, cwd: '/', ...session };
    const answer = await promised<StartAgentResponse__Output>((done) =>
      this.client.StartAgent({ agent_id: randomUUID(), session: asked, agent }, done),
    );
    return { id, answer };
  }

  async list(): Promise<RunnerAgent__Output[]> {
    return (await promised<ListAgentsResponse__Output>((done) => this.client.ListAgents({}, done))).agents ?? [];
  }

  async agent(id: string): Promise<RunnerAgent__Output> {
    const agent = (await this.list()).find(({ session_id }) => session_id === id);
    if (!agent) throw new Error('the agent is not listed');
    return agent;
  }

  /** Waits for a state, and if asked for, for what it waits for. */
  async reaches(id: string, state: string, kind?: string): Promise<RunnerAgent__Output> {
    let last: RunnerAgent__Output | undefined;
    const reached = async (): Promise<boolean> => {
      last = await this.agent(id);
      return last.state === state && (kind === undefined || last.prompt?.kind === kind);
    };
    await until(reached, `the agent is ${state} ${kind ?? ''}`, WAIT_MS).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(last)}`);
    });
    return last ?? {};
  }

  message(id: string, text: string, submit = true): Promise<unknown> {
    return promised((done) => this.client.MessageAgent({ session_id: id, text, submit }, done));
  }

  async answer(id: string, prompt_id: string, option_id: string): Promise<RunnerAgent__Output> {
    const answer = await promised<AnswerAgentResponse__Output>((done) =>
      this.client.AnswerAgent({ session_id: id, prompt_id, option_id }, done),
    );
    return answer.agent ?? {};
  }

  async stopAgent(id: string): Promise<RunnerAgent__Output> {
    const answer = await promised<StopAgentResponse__Output>((done) => this.client.StopAgent({ session_id: id }, done));
    return answer.agent ?? {};
  }

  /** States of one agent, each as it was told. */
  states(id: string): string[] {
    return this.seen.filter(({ session_id }) => session_id === id).map(({ state }) => state ?? '');
  }

  shows(id: string, text: string): Promise<void> {
    return until(async () => (await this.runner.text(id)).includes(text), `the output shows ${text}`, WAIT_MS);
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.runner.stop();
    rmSync(this.bin, { recursive: true, force: true });
  }
}

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
