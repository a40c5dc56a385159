import type { Server, ServerWritableStream } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { RunnerAgentServiceHandlers } from '../../generated/gatehouse/runner/v1/RunnerAgentService.js';
import type { StartAgentRequest__Output } from '../../generated/gatehouse/runner/v1/StartAgentRequest.js';
import type { StartAgentResponse } from '../../generated/gatehouse/runner/v1/StartAgentResponse.js';
import type { WatchAgentsRequest__Output } from '../../generated/gatehouse/runner/v1/WatchAgentsRequest.js';
import type { WatchAgentsResponse } from '../../generated/gatehouse/runner/v1/WatchAgentsResponse.js';
import { DomainError } from '../../kernel/errors.js';
import { describe } from '../describe.js';
import { rpcError, unary } from '../rpc.js';
import type { Agents } from './agents.js';
import type { Detector } from './detect.js';
import { loadAgentProto } from './proto.js';

/** Changes a watcher may leave unread before it is dropped: it lists again when it comes back. */
const MAX_UNREAD = 10_000;

/** Adds the service of agents to a server of the control service. */
export function serveAgents(server: Server, agents: Agents, detector: Detector, log: Logger): void {
  const handlers: RunnerAgentServiceHandlers = {
    Detect: unary(log, async ({ programs = [] }) => {
      const wanted = programs.map(({ id = '', binary = '', version_args = [] }) => ({
        id,
        binary,
        versionArgs: version_args,
      }));
      return { programs: await detector.detect(wanted) };
    }),
    StartAgent: unary(log, (request) => start(agents, request)),
    ListAgents: unary(log, () => ({ agents: agents.list().map((agent) => agent.describe()) })),
    MessageAgent: unary(log, async ({ session_id, text, submit }) => {
      await agents.get(session_id ?? '').steering.message(text ?? '', submit ?? false);
      return {};
    }),
    AnswerAgent: unary(log, async ({ session_id, prompt_id, option_id }) => {
      const { agent, steering } = agents.get(session_id ?? '');
      await steering.answer(prompt_id ?? '', option_id ?? '');
      return { agent: agent.describe() };
    }),
    StopAgent: unary(log, async ({ session_id }) => {
      const { agent, steering } = agents.get(session_id ?? '');
      if (!agent.isOver) await steering.stop();
      return { agent: agent.describe() };
    }),
    WatchAgents: (call) => {
      watch(agents, call, log);
    },
  };
  server.addService(loadAgentProto().RunnerAgentService.service, handlers);
}

async function start(agents: Agents, request: StartAgentRequest__Output): Promise<StartAgentResponse> {
  const { session, command, cwd, agent, notApplied } = await agents.start(request);
  return { session: describe(session), command, cwd, agent: agent.describe(), not_applied: [...notApplied] };
}

function watch(
  agents: Agents,
  call: ServerWritableStream<WatchAgentsRequest__Output, WatchAgentsResponse>,
  log: Logger,
): void {
  const stop = agents.follow({
    changed: (agent) => {
      if (call.writableLength < MAX_UNREAD) {
        call.write({ changed: agent.describe() });
        return;
      }
      stop();
      call.emit('error', rpcError(new DomainError('LAGGING', 'The watcher does not read.'), log));
    },
    closed: () => call.end(),
  });
  call.on('cancelled', stop).on('close', stop).on('error', stop);
  call.write({});
}
