/**
 * The runner: holds the sessions of one machine, so that they outlive the gateways that steer them.
 *
 *     node runner/main.js --dir <socket directory> [--id-file path] [--ring-bytes n] [--rings-total-bytes n]
 *         [--max-sessions n] [--retention-seconds n]
 *         [--project-root folder]… [--trusted-repository folder]… [--worktree-root folder]
 *         [--sockets-for-group name]
 *         [--sandbox none|bwrap] [--sandbox-read-only path]…
 *         [--listen address --control-port n --bytes-port n --tls-cert file --tls-key file --tls-ca file
 *         [--tls-gateways name,…]]
 *
 * It listens on `control.sock` (gRPC) and `bytes.sock` (kernel/link.ts) in that directory, both for their owner only,
 * or for one group too, in which the gateway of another user is (docs/two-users.md),
 * and where it is told to, on two ports for gateways of other machines, with TLS on both sides (docs/remote-runner.md).
 * It knows no users. There is one runner for a directory; a second one exits at once.
 */
import { mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { pino } from 'pino';
import { randomToken } from '../kernel/ids.js';
import { closeInherited } from '../kernel/inherited-descriptors.js';
import { CONTROL_SOCKET } from '../kernel/link.js';
import { maskLine } from '../kernel/mask-line.js';
import { VERSION } from '../kernel/package.js';
import { serveAgents } from './agent/agent-server.js';
import { Agents } from './agent/agents.js';
import { Detector } from './agent/detect.js';
import { claimSocket } from './claim.js';
import { createControlServer } from './control-server.js';
import { RUNNER_MARKER } from './environment.js';
import { Places } from './git/places.js';
import { baseEnvironment } from './git/settings.js';
import { Worktrees } from './git/worktrees.js';
import { runnerId } from './identity.js';
import { endLeftovers } from './leftovers.js';
import { acceptLink } from './link-server.js';
import type { Listener, Services } from './listeners.js';
import { parseOptions, type RunnerOptions } from './options.js';
import { runnerMark } from './processes.js';
import { Registry } from './registry.js';
import { Sandbox, SandboxUnavailable } from './sandbox/sandbox.js';
import { SessionGroups } from './session-groups.js';
import { TlsListener } from './tls-listener.js';
import { UnixListener } from './unix-listener.js';

/** How long clients have to read what was sent before the runner exits. */
const FAREWELL_MS = 1000;

const output = pino.destination(1);
const log = pino(
  { name: 'runner' },
  {
    write: (line) => {
      output.write(maskLine(line));
    },
  },
);

interface Running {
  readonly registry: Registry;
  readonly listeners: readonly Listener[];
  readonly groups: SessionGroups;
  /** Resolves when nothing is left of a runner before this one. */
  cleared: Promise<void>;
}

async function main(options: RunnerOptions): Promise<void> {
  const directory = resolve(options.directory);
  mkdirSync(directory, { recursive: true, mode: 0o700 });

  const epoch = randomToken(16);
  const id = runnerId(resolve(options.idFile));
  const groups = new SessionGroups(id);
  const registry = createRegistry(options, id, epoch, groups);
  const worktrees = createWorktrees(options, id, registry);
  const sandbox = await openSandbox(options, directory, worktrees);
  const agents = new Agents(registry, { directory, baseEnvironment: process.env, log, sandbox });
  const detector = new Detector(process.env);
  const shutdown = async (): Promise<void> => {
    await endAll(running);
    void leave(running);
  };
  const info = { id, epoch, version: VERSION, sandbox: options.sandbox };
  const listeners = createListeners(options, directory, {
    control: (channel) => {
      const server = createControlServer(registry, info, log, shutdown, { worktrees, sandbox }, channel);
      serveAgents(server, agents, detector, log);
      return server;
    },
    link: (socket) => {
      acceptLink(socket, registry, log);
    },
  });
  const running: Running = { registry, listeners, groups, cleared: Promise.resolve() };
  handleSignals(running);
  const claimed = await claimSocket(join(directory, CONTROL_SOCKET), async () => {
    track(groups);
    agents.open();
    for (const listener of listeners) await listener.open();
  });
  if (!claimed) return alreadyRunning();
  log.info({ directory, id, epoch }, 'listening');
  running.cleared = clearLeftovers(id, groups);
  // What a dead runner's git still wrote would be written again.
  await running.cleared;
  await worktrees.open();
}

/** @throws SandboxUnavailable when one is asked for that this machine cannot make */
async function openSandbox(
  { sandbox, sandboxReadOnly, projectRoots, idFile, worktreeRoot }: RunnerOptions,
  directory: string,
  worktrees: Worktrees,
): Promise<Sandbox | undefined> {
  if (sandbox === 'none') return undefined;
  return Sandbox.open({
    projectRoots,
    readOnly: sandboxReadOnly,
    hidden: ownFolders({ idFile, worktreeRoot }, directory),
    home: process.env['HOME'],
    worktree: (id) => worktrees.read(id, ({ entry }) => Promise.resolve(entry)),
  });
}

/** What no sandbox shows. The id of a gateway's own runner lies in the gateway's DATA_DIR, with its secrets. */
const ownFolders = (
  { idFile, worktreeRoot }: Pick<RunnerOptions, 'idFile' | 'worktreeRoot'>,
  directory: string,
): string[] => [directory, dirname(resolve(idFile)), worktreeRoot];

/** The sockets of the folder come last: what cannot listen elsewhere leaves none behind. */
function createListeners(options: RunnerOptions, directory: string, services: Services): Listener[] {
  const unix = new UnixListener(directory, options.socketsForGroup, services, log);
  return options.tls ? [new TlsListener(options.tls, services, log), unix] : [unix];
}

/** Before the first session starts, and only once it is known that this is the one runner of its directory. */
function track(groups: SessionGroups): void {
  if (groups.open()) log.info('sessions are tracked by control groups');
  else log.info('sessions are tracked by descent, kernel session and environment: no control group can be made');
}

async function clearLeftovers(id: string, groups: SessionGroups): Promise<void> {
  try {
    const { found, left } = await endLeftovers(id, groups.abandoned);
    groups.removeAbandoned();
    if (left > 0) log.error({ count: left }, 'processes that a runner left when it died could not be ended');
    else if (found > 0) log.warn({ count: found }, 'processes that a runner left when it died were ended');
    else log.info('no leftovers of another runner');
  } catch (error) {
    log.error({ err: error }, 'processes that a runner left when it died could not be looked for');
  }
}

function createRegistry(options: RunnerOptions, id: string, epoch: string, groups: SessionGroups): Registry {
  return new Registry({
    ...options,
    ...{ id, epoch, groups },
    baseEnvironment: process.env,
    onSurvivors: ({ id }, count) => {
      log.error({ session: id, count }, 'processes of a session could not be ended');
    },
  });
}

function createWorktrees(options: RunnerOptions, id: string, registry: Registry): Worktrees {
  const { projectRoots, trustedRepositories, worktreeRoot } = options;
  const env = baseEnvironment(process.env, { [RUNNER_MARKER]: runnerMark(id) });
  const around = {
    readOnly: [...projectRoots, ...options.sandboxReadOnly],
    hidden: ownFolders(options, resolve(options.directory)),
  };
  const confined = options.sandbox === 'none' ? null : around;
  const places = new Places(projectRoots, trustedRepositories, { env, confined });
  return new Worktrees(worktreeRoot, { places, base: process.env }, log, (folder) => registry.workingIn(folder));
}

function handleSignals(running: Running): void {
  // A Ctrl-C in the gateway's terminal, and the end of that terminal, are not meant for the sessions.
  process.on('SIGINT', ignore).on('SIGHUP', ignore);
  process.once('SIGTERM', () => {
    process.on('SIGTERM', ignore);
    log.info('shutting down');
    void endAll(running).then(() => leave(running));
  });
}

/** Ends all sessions, and what an earlier runner left: nobody may come after this one who would. */
async function endAll({ registry, cleared }: Running): Promise<void> {
  await Promise.all([registry.close('shutdown'), cleared]);
}

/** Lets clients read what was sent, then exits. */
async function leave({ listeners, groups }: Running): Promise<never> {
  const closed = Promise.all(listeners.map((listener) => listener.close()));
  await Promise.race([closed, setTimeout(FAREWELL_MS)]);
  for (const listener of listeners) listener.destroy();
  groups.close();
  log.info('ended');
  process.exit(0);
}

function alreadyRunning(): never {
  log.info('already running');
  process.exit(0);
}

function ignore(): void {
  // nothing to do
}

process.on('uncaughtException', (error) => {
  log.fatal({ err: error }, 'the runner failed');
  process.exit(1);
});

try {
  closeInherited();
  await main(parseOptions(process.argv.slice(2)));
} catch (error) {
  log.fatal({ err: error }, 'the runner could not start');
  process.exit(error instanceof SandboxUnavailable ? error.exitCode : 1);
}
