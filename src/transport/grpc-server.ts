import type { EventEmitter } from 'node:events';
import type { Server, ServerInterceptor } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { ServerGrpc } from '@nestjs/microservices';
import { HealthImplementation } from 'grpc-health-check';
import { PROTO_OPTIONS } from '../kernel/package.js';

const MAX_MESSAGE = 4 * 1024 * 1024;
const PACKAGE = 'gatehouse.pty.v1';

type ServeStream = ReturnType<ServerGrpc['createStreamCallMethod']>;

/**
 * Nest's gRPC server with one thing mended: when a guard refuses a `@GrpcStreamCall`, Nest gives the client no status
 * and leaves the rejection unhandled, which ends the process. Here the call ends with the error.
 */
export class GatehouseGrpcServer extends ServerGrpc {
  readonly health = new HealthImplementation({ '': 'NOT_SERVING', [`${PACKAGE}.PtyService`]: 'NOT_SERVING' });

  /** @param url `host:port` */
  constructor(url: string, gate: ServerInterceptor) {
    super({
      url,
      package: PACKAGE,
      protoPath: 'gatehouse/pty/v1/pty.proto',
      loader: PROTO_OPTIONS,
      maxReceiveMessageLength: MAX_MESSAGE,
      maxMetadataSize: 16 * 1024,
      keepalive: { keepaliveTimeMs: 20_000, keepaliveTimeoutMs: 10_000, http2MinTimeBetweenPingsMs: 5000 },
      channelOptions: { interceptors: [gate], 'grpc.max_concurrent_streams': 1000 },
      onLoadPackageDefinition: (definition: PackageDefinition, server: Server) => {
        new ReflectionService(definition).addToServer(server);
        this.health.addToServer(server);
      },
    });
  }

  /** Tells probes whether calls are served. */
  setServing(serving: boolean): void {
    for (const service of ['', `${PACKAGE}.PtyService`])
      this.health.setStatus(service, serving ? 'SERVING' : 'NOT_SERVING');
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
