/**
 * The runner: holds the sessions of one machine, so that they outlive the gateways that steer them.
 *
 *     node runner/main.js --dir <socket directory> [--id-file path] [--ring-bytes n] [--rings-total-bytes n]
 *         [--max-sessions n] [--retention-seconds n]
 *
 * It listens on `control.sock` (gRPC) and `bytes.sock` (kernel/link.ts) in that directory, both for their owner only,
 * and knows no users. There is one runner for a directory; a second one exits at once.
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Server as NetServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import { pino } from 'pino';
import { randomToken } from '../kernel/ids.js';
import { BYTES_SOCKET, CONTROL_SOCKET } from '../kernel/link.js';
import { VERSION } from '../kernel/package.js';
import { claimSocket } from './claim.js';
import { createControlServer } from './control-server.js';
import { closeInherited } from './descriptors.js';
import { runnerId } from './identity.js';
import { endLeftovers } from './leftovers.js';
import { createLinkServer } from './link-server.js';
import { parseOptions, type RunnerOptions } from './options.js';
import { Registry } from './registry.js';
import { SessionGroups } from './session-groups.js';

/** How long clients have to read what was sent before the runner exits. */
const FAREWELL_MS = 1000;

const log = pino({ name: 'runner' });

interface Running {
  readonly registry: Registry;
  readonly control: Server;
  readonly link: NetServer;
  readonly groups: SessionGroups;
  /** Resolves when nothing is left of a runner before this one. */
  cleared: Promise<void>;
  /** What to remove at the end, beside the control socket. */
  readonly files: readonly string[];
}

async function main(options: RunnerOptions): Promise<void> {
  const directory = resolve(options.directory);
  const file = (name: string): string => join(directory, name);
  mkdirSync(directory, { recursive: true, mode: 0o700 });

  const epoch = randomToken(16);
  const id = runnerId(resolve(options.idFile));
  const groups = new SessionGroups(id);
  const registry = createRegistry(options, id, epoch, groups);
  const link = createLinkServer(registry, log);
  const control = createControlServer(registry, { id, epoch, version: VERSION }, log, async () => {
    await endAll(running);
    void leave(running);
  });
  const running: Running = {
    registry,
    control,
    link,
    groups,
    cleared: Promise.resolve(),
    files: [file(BYTES_SOCKET), file('runner.pid')],
  };
  handleSignals(running);
  const claimed = await claimSocket(file(CONTROL_SOCKET), async () => {
    track(groups);
    await bind(control, link, directory);
  });
  if (!claimed) return alreadyRunning();
  log.info({ directory, id, epoch }, 'listening');
  running.cleared = clearLeftovers(id, groups);
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

/** Both sockets are there, for their owner only, before the first call is answered. */
async function bind(control: Server, link: NetServer, directory: string): Promise<void> {
  const file = (name: string): string => join(directory, name);
  const unclaimed = file(`${BYTES_SOCKET}.${String(process.pid)}`);
  // For the sockets alone: the sessions inherit the usual one.
  const umask = process.umask(0o177);
  try {
    await new Promise<void>((done, fail) => link.once('error', fail).listen(unclaimed, done));
    // One connection that cannot be accepted, without descriptors left, is no reason to end every session.
    link.on('error', (error) => {
      log.error({ err: error }, 'link failed');
    });
    await promisify(control.bindAsync.bind(control))(
      `unix:${file(CONTROL_SOCKET)}`,
      ServerCredentials.createInsecure(),
    );
    renameSync(unclaimed, file(BYTES_SOCKET));
    writeFileSync(file('runner.pid'), `${String(process.pid)}\n`);
  } catch (error) {
    link.close();
    throw error;
  } finally {
    process.umask(umask);
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
async function leave({ control, link, groups, files }: Running): Promise<never> {
  const closed = Promise.all([
    new Promise((done) => link.close(done)),
    new Promise<void>((done) => {
      control.tryShutdown(() => {
        done();
      });
    }),
  ]);
  await Promise.race([closed, setTimeout(FAREWELL_MS)]);
  control.forceShutdown(); // removes its socket
  for (const path of files) rmSync(path, { force: true });
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
  process.exit(1);
}
