import { type ChannelOptions, Server, type ServerWritableStream } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import type { RunnerServiceHandlers } from '../generated/gatehouse/runner/v1/RunnerService.js';
import type { ReadOutputRequest__Output } from '../generated/gatehouse/runner/v1/ReadOutputRequest.js';
import type { ReadOutputResponse } from '../generated/gatehouse/runner/v1/ReadOutputResponse.js';
import type { StartRequest__Output } from '../generated/gatehouse/runner/v1/StartRequest.js';
import type { StartResponse } from '../generated/gatehouse/runner/v1/StartResponse.js';
import type { WatchRequest__Output } from '../generated/gatehouse/runner/v1/WatchRequest.js';
import type { WatchResponse } from '../generated/gatehouse/runner/v1/WatchResponse.js';
import { DomainError } from '../kernel/errors.js';
import type { SandboxKind } from '../kernel/link.js';
import { SIGNALS } from '../kernel/terminal.js';
import { describe } from './describe.js';
import type { Worktrees } from './git/worktrees.js';
import { loadRunnerProto, loadWorktreeProto } from './proto.js';
import type { Registry } from './registry.js';
import { rpcError, unary } from './rpc.js';
import { confine, type Sandbox } from './sandbox/sandbox.js';
import { worktreeHandlers } from './worktree-handlers.js';

/** One answer of ReadOutput at most. */
const MAX_READ_BYTES = 1024 * 1024;
/** Changes a watcher may leave unread before it is dropped: it lists again when it comes back. */
const MAX_UNREAD = 10_000;

export interface RunnerInfo {
  /** Stays the same over restarts of the runner. */
  readonly id: string;
  readonly epoch: string;
  readonly version: string;
  readonly sandbox: SandboxKind;
}

/**
 * @param shutdown ends all sessions; the runner exits some time after it has resolved
 * @param places its worktrees, for the second service, and the sandbox that sessions run in, if any
 * @param options of grpc-js, for the connections
 */
export function createControlServer(
  registry: Registry,
  info: RunnerInfo,
  log: Logger,
  shutdown: () => Promise<void>,
  { worktrees, sandbox }: { readonly worktrees: Worktrees; readonly sandbox: Sandbox | undefined },
  options: ChannelOptions = {},
): Server {
  const server = new Server(options);
  const handlers: RunnerServiceHandlers = {
    Info: unary(log, () => ({ ...info, pid: process.pid })),
    Start: unary(log, (request) => start(registry, sandbox, request)),
    List: unary(log, () => ({ sessions: registry.list().map(describe) })),
    Write: unary(log, ({ id, data }) => {
      registry.get(id ?? '').write(data ?? Buffer.alloc(0));
      return {};
    }),
    Resize: unary(log, ({ id, cols, rows }) => {
      registry.get(id ?? '').resize(cols ?? 0, rows ?? 0);
      return {};
    }),
    Signal: unary(log, ({ id, signal }) => {
      registry.get(id ?? '').signal(parseSignal(signal ?? ''));
      return {};
    }),
    Kill: unary(log, async ({ id, reason }) => {
      const session = registry.get(id ?? '');
      await session.kill(reason ?? 'killed');
      return { session: describe(session) };
    }),
    ReadOutput: unary(log, (request) => readOutput(registry, request)),
    Watch: (call) => {
      watch(registry, call, log);
    },
    Shutdown: unary(log, async () => {
      await shutdown();
      return { sessions: registry.list().map(describe) };
    }),
  };
  server.addService(loadRunnerProto().RunnerService.service, handlers);
  server.addService(loadWorktreeProto().RunnerWorktreeService.service, worktreeHandlers(worktrees, log));
  return server;
}

async function start(
  registry: Registry,
  sandbox: Sandbox | undefined,
  request: StartRequest__Output,
): Promise<StartResponse> {
  const confinement = await confine(sandbox, request);
  const { session, command, cwd } = registry.start({
    id: request.id ?? '',
    command: request.command ?? [],
    cwd: request.cwd,
    env: request.env ?? {},
    cols: request.cols ?? 0,
    rows: request.rows ?? 0,
    lifetime: { idleSeconds: request.idle_timeout_seconds ?? 0, maxSeconds: request.max_duration_seconds ?? 0 },
    confinement,
  });
  return { session: describe(session), command, cwd };
}

function readOutput(registry: Registry, request: ReadOutputRequest__Output): ReadOutputResponse {
  const { ring } = registry.get(request.id ?? '');
  const offset = Math.max(request.from ?? 0, ring.start);
  if (offset > ring.end) throw new DomainError('OFFSET_OUT_OF_RANGE', 'The session has no output there yet.');
  const limit = Math.min(request.limit ?? MAX_READ_BYTES, MAX_READ_BYTES);
  return { offset, data: ring.read(offset, limit), dropped_before: ring.start, output_next: ring.end };
}

function watch(registry: Registry, call: ServerWritableStream<WatchRequest__Output, WatchResponse>, log: Logger): void {
  const stop = registry.follow({
    changed: (session) => {
      if (call.writableLength < MAX_UNREAD) {
        call.write({ changed: describe(session) });
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

function parseSignal(name: string): NodeJS.Signals {
  if (!SIGNALS.some((known) => known === name))
    throw new DomainError('INVALID_ARGUMENT', 'The signal is not one that can be sent.');
  return `SIG${name}` as NodeJS.Signals;
}
