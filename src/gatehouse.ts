import 'reflect-metadata';
import { createServer, type Server } from 'node:net';
import { hostname } from 'node:os';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Logger } from 'pino';
import { FirstAdminKey } from './api-keys/first-admin-key.js';
import { AgentStreams } from './agent/agent-streams.js';
import { EventStreams } from './audit/read/event-streams.js';
import { DeclaredAccess } from './authorization/declared-access.js';
import { type Config, ConfigurationError } from './config/load.js';
import { Database } from './database/database.js';
import { Edges } from './edges.js';
import { GatewayModule, type GatewayParts } from './gateway.module.js';
import { AuditTrail } from './kernel/audit.js';
import { Authenticator } from './kernel/authenticator.js';
import { InFlight } from './kernel/in-flight.js';
import { RateLimits } from './kernel/rate-limits.js';
import { Metrics } from './kernel/metrics.js';
import { VERSION } from './kernel/package.js';
import { systemContext } from './kernel/request-context.js';
import { GrpcAttachments } from './pty/grpc-attachments.js';
import { RunnerClient } from './runner-link/runner-client.js';
import { SessionFollower } from './pty/session-follower.js';
import { SessionWaits } from './pty/session-waits.js';
import { endRunnerProcess, ensureRunner, runnerEndpoint } from './runner-link/runner-process.js';
import { ClientAddresses } from './transport/client-address.js';
import { grpcGate } from './transport/grpc-edge.js';
import { GatehouseGrpcServer } from './transport/grpc-server.js';
import { createLogger, nestLogger } from './transport/logging.js';
import { guardRest } from './transport/rest-edge.js';
import { measureGrpc, measureRest } from './transport/traffic-metrics.js';
import { GatehouseWsAdapter } from './transport/ws-adapter.js';
import { showFirstKey, welcome } from './welcome.js';

/** How long a stop waits for calls under way: a program that is killed has five seconds to end. */
const CALLS_MS = 6000;
/** A stop that takes longer is cut off: calls, then sessions that do not end at once, then the record. */
const STOP_MS = 30_000;

/** The running gateway. */
export interface Gatehouse {
  /** Drains clients, ends what this gateway embeds when nobody else uses it, flushes the audit trail. */
  stop(): Promise<void>;
}

/**
 * Starts everything a gateway needs, in order: ports, database, runner, edges.
 * @param config its data folder is there
 * @throws ConfigurationError or Error with a sentence for the operator
 */
export async function startGatehouse(config: Config): Promise<Gatehouse> {
  await requireFreePort('HTTP_PORT', config.HOST, config.HTTP_PORT);
  await requireFreePort('GRPC_PORT', config.HOST, config.GRPC_PORT);
  const runner = new RunnerClient(runnerEndpoint(config));
  const logger = createLogger(config);
  const edges = new Edges(config, logger);
  const database = await Database.open(config, (message) => {
    logger.info(message);
  });
  let startedRunner = false;
  try {
    startedRunner = await ensureRunner(runner, config);
    return await serve({ config, logger, edges, database }, runner);
  } catch (error) {
    const alone = await database.leave();
    if (alone && startedRunner) await attempt(endRunnerProcess(runner), logger);
    await database.close({ alone: alone && database.startedEmbedded });
    throw error;
  }
}

async function serve(parts: Parts, runner: RunnerClient): Promise<Gatehouse> {
  const { config, logger, edges, database } = parts;
  const { id: runnerId = '' } = await runner.info();
  const node = await database.announce(runnerId, config.NODE_NAME ?? hostname());
  const { dataSource, trail, connection } = database;
  const app = await createApp(edges, { config, dataSource, trail, connection, runner, runnerId, node, logger });
  try {
    return await listen(app, parts);
  } catch (error) {
    edges.close();
    // Nobody may look after the runner any more when it is ended.
    await app.close().catch(() => undefined);
    throw error;
  }
}

async function listen(app: NestFastifyApplication, parts: Parts): Promise<Gatehouse> {
  const { config, logger, edges, database } = parts;
  const { site } = edges;
  const websocket = new GatehouseWsAdapter(app, app.getHttpServer(), logger, site);
  app.useWebSocketAdapter(websocket);
  const authenticator = app.get(Authenticator);
  const inFlight = app.get(InFlight);
  const addresses = app.get(ClientAddresses);
  const limits = app.get(RateLimits);
  const metrics = app.get(Metrics);
  const audit = app.get(AuditTrail);
  const gate = { authenticator, inFlight, addresses, limits, site, audit };
  websocket.traffic.show(metrics);
  const grpc = new GatehouseGrpcServer(
    { host: config.HOST, port: config.GRPC_PORT },
    [measureGrpc(metrics), grpcGate({ ...gate, logger })],
    {
      tls: edges.guard(app),
      reflection: config.grpcReflection,
      maxAgeSeconds: config.GRPC_MAX_CONNECTION_AGE_SECONDS,
      graceSeconds: config.GRPC_MAX_CONNECTION_AGE_GRACE_SECONDS,
    },
  );
  app.connectMicroservice({ strategy: grpc }, { inheritAppConfig: true });
  measureRest(app.getHttpAdapter().getInstance(), metrics);
  guardRest(app.getHttpAdapter().getInstance(), { ...gate, publicRoutes: app.get(DeclaredAccess).publicRoutes() });
  await app.init();
  await app.startAllMicroservices();
  await app.listen(config.HTTP_PORT, config.HOST);
  grpc.setServing(true);
  await audit.record(systemContext(), {
    action: 'server.started',
    resource: null,
    success: true,
    metadata: { version: VERSION },
  });
  const firstKey = await app.get(FirstAdminKey).create(systemContext(), showFirstKey);
  welcome({
    ...{ config, http: edges.url(await app.getUrl()), ownAuthority: edges.ownAuthority },
    ...{ firstKey, database: database.place },
  });
  return { stop: () => stop({ app, websocket, grpc, ...parts }) };
}

async function createApp(edges: Edges, parts: GatewayParts): Promise<NestFastifyApplication> {
  const app = await NestFactory.create<NestFastifyApplication>(GatewayModule.with(parts), edges.adapter(), {
    bufferLogs: true,
    abortOnError: false,
    bodyParser: false,
    forceCloseConnections: true,
  });
  app.useLogger(nestLogger(parts.logger));
  return app;
}

interface Parts {
  readonly config: Config;
  readonly database: Database;
  readonly edges: Edges;
  readonly logger: Logger;
}

interface Running extends Parts {
  readonly app: NestFastifyApplication;
  readonly websocket: GatehouseWsAdapter;
  readonly grpc: GatehouseGrpcServer;
}

async function stop(running: Running): Promise<void> {
  const { app, websocket, grpc, config, database, edges, logger } = running;
  const cut = setTimeout(() => {
    logger.error('the stop took too long and was cut off');
    process.exit(1);
  }, STOP_MS);
  // Nobody new comes in; who is in is told to come back elsewhere; what was begun is finished, and on record.
  edges.close();
  app.get(InFlight).close();
  (app.getHttpServer() as Server).close();
  grpc.setServing(false);
  app.get(GrpcAttachments).drain();
  app.get(AgentStreams).drain();
  app.get(SessionWaits).drain();
  app.get(EventStreams).drain();
  await websocket.drain();
  if (!(await app.get(InFlight).idle(CALLS_MS))) logger.warn('calls were cut off by the stop');
  const alone = await database.leave();
  if (alone && app.get(RunnerClient).endpoint.own !== null && !config.RUNNER_PERSIST) {
    await attempt(app.get(SessionFollower).endRunner(), logger);
  }
  app.get(AuditTrail).note(systemContext(), { action: 'server.stopped', resource: null, success: true });
  try {
    await app.close();
  } finally {
    await database.close({ alone: alone && !config.RUNNER_PERSIST });
    clearTimeout(cut);
  }
}

/** A runner that does not end is no reason to leave the rest undone. */
async function attempt(ending: Promise<unknown>, logger: Logger): Promise<void> {
  await ending.catch((error: unknown) => {
    logger.warn({ err: error }, 'the runner was not ended in order');
  });
}

/** A port in use is said before anything is started for nothing. */
function requireFreePort(variable: string, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      reject(new ConfigurationError([describeListenError(error, variable, host, port)]));
    });
    probe.listen(port, host, () =>
      probe.close(() => {
        resolve();
      }),
    );
  });
}

function describeListenError({ code }: NodeJS.ErrnoException, variable: string, host: string, port: number): string {
  if (code === 'EADDRINUSE') {
    return `${variable}: ${host}:${port} is in use, perhaps by a Gatehouse that is running already; expected a free port`;
  }
  return `${variable}: cannot listen on ${host}:${port} (${code ?? 'unknown'})`;
}
