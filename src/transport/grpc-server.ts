import type { EventEmitter } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { Server, type ServerInterceptor } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { ServerGrpc } from '@nestjs/microservices';
import { PROTO_OPTIONS } from '../kernel/package.js';
import { BoundedHealth } from './bounded-health.js';
import { addReflection } from './grpc-reflection.js';
import type { GrpcTlsListener } from './tls/grpc-listener.js';
import { readTolerantly } from './unreadable-message.js';

/** 64 KiB of input, or the arguments and the environment of a program. */
const MAX_MESSAGE = 256 * 1024;
/** Calls and streams at once on one connection. */
const MAX_STREAMS = 200;
/** How long a connection may be there without a call. */
const MAX_IDLE_MS = 300_000;
/** How long what was answered may take to go out at a stop: the end of a stream waits behind all its output. */
const FAREWELL_MS = 1000;
/** What is served: the package of each, its file, and its service. */
const SERVED = [
  { name: 'gatehouse.pty.v1', file: 'gatehouse/pty/v1/pty.proto', service: 'PtyService' },
  { name: 'gatehouse.agent.v1', file: 'gatehouse/agent/v1/agent.proto', service: 'AgentService' },
  { name: 'gatehouse.worktree.v1', file: 'gatehouse/worktree/v1/worktree.proto', service: 'WorktreeService' },
] as const;
/** What probes can ask for: the server as a whole, and its services. */
const SERVICES = ['', ...SERVED.map(({ name, service }) => `${name}.${service}`)];

/** What the operator may choose. */
export interface GrpcServerOptions {
  /** What it listens with; null: by itself, without TLS. */
  readonly tls: GrpcTlsListener | null;
  /** Whether those with a credential may ask what is served. */
  readonly reflection: boolean;
  /** A connection takes no new calls after so long; 0: for ever. Clients go on with another connection by themselves. */
  readonly maxAgeSeconds: number;
  /** What is under way then has so long before the connection is closed. */
  readonly graceSeconds: number;
}

/** Where it listens. */
interface Place {
  readonly host: string;
  readonly port: number;
}

type ServeStream = ReturnType<ServerGrpc['createStreamCallMethod']>;

/**
 * Nest's gRPC server with one thing mended: when a guard refuses a `@GrpcStreamCall`, Nest gives the client no status
 * and leaves the rejection unhandled, which ends the process. Here the call ends with the error.
 */
export class GatehouseGrpcServer extends ServerGrpc {
  readonly health = new BoundedHealth(SERVICES);

  /** @param gates what every call goes through, the gate last */
  constructor(
    private readonly place: Place,
    private readonly gates: readonly ServerInterceptor[],
    private readonly chosen: GrpcServerOptions,
  ) {
    super({
      url: `${place.host.includes(':') ? `[${place.host}]` : place.host}:${place.port}`,
      package: SERVED.map(({ name }) => name),
      protoPath: SERVED.map(({ file }) => file),
      loader: PROTO_OPTIONS,
      channelOptions: channelOptions(gates, chosen),
      onLoadPackageDefinition: (definition: PackageDefinition, server: Server) => {
        if (chosen.reflection) addReflection(server, definition);
        this.health.addToServer(server);
      },
    });
  }

  /** Nest's own would open the port without TLS. */
  override async createClient(): Promise<Server> {
    const { tls } = this.chosen;
    const server =
      tls === null ? ((await super.createClient()) as Server) : new Server(channelOptions(this.gates, this.chosen));
    await tls?.open(server, this.place.host, this.place.port);
    readTolerantly(server);
    return server;
  }

  /** What was answered is let go out; who still watches the server's health is cut off. */
  override async close(): Promise<void> {
    this.chosen.tls?.close();
    const server = this.grpcClient as Server | undefined;
    const answered = new Promise<void>((resolve) => {
      server?.tryShutdown(() => {
        resolve();
      });
    });
    await Promise.race([answered, setTimeout(FAREWELL_MS)]);
    await super.close();
  }

  /** Tells probes whether calls are served. */
  setServing(serving: boolean): void {
    for (const service of SERVICES) this.health.setStatus(service, serving ? 'SERVING' : 'NOT_SERVING');
  }

  override createStreamCallMethod(...definition: Parameters<ServerGrpc['createStreamCallMethod']>): ServeStream {
    const serve = super.createStreamCallMethod(...definition);
    return async (call, callback) => {
      try {
        await serve(call, callback);
      } catch (refusal) {
        (call as unknown as EventEmitter).emit('error', refusal);
      }
    };
  }
}

const channelOptions = (gates: readonly ServerInterceptor[], options: GrpcServerOptions) => ({
  interceptors: [...gates],
  'grpc.max_receive_message_length': MAX_MESSAGE,
  'grpc.max_concurrent_streams': MAX_STREAMS,
  // Whoever has no call under way may connect again.
  'grpc.max_connection_idle_ms': MAX_IDLE_MS,
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.http2.min_time_between_pings_ms': 5000,
  ...ageOptions(options),
});

const ageOptions = ({ maxAgeSeconds, graceSeconds }: GrpcServerOptions): Record<string, number> =>
  maxAgeSeconds === 0
    ? {}
    : {
        'grpc.max_connection_age_ms': maxAgeSeconds * 1000,
        'grpc.max_connection_age_grace_ms': graceSeconds * 1000,
      };
