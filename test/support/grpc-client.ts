import {
  type ChannelOptions,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { Readable } from 'node:stream';
import protobuf from 'protobufjs';
import type { AttachRequest } from '../../src/generated/gatehouse/pty/v1/AttachRequest.js';
import type { AttachResponse__Output } from '../../src/generated/gatehouse/pty/v1/AttachResponse.js';
import type { StreamOutputRequest } from '../../src/generated/gatehouse/pty/v1/StreamOutputRequest.js';
import type { StreamOutputResponse__Output } from '../../src/generated/gatehouse/pty/v1/StreamOutputResponse.js';
import type { PtyServiceClient } from '../../src/generated/gatehouse/pty/v1/PtyService.js';
import type { ProtoGrpcType } from '../../src/generated/pty.js';
import type { TestGateway } from './gateway.js';
import { trustedRoots } from './programs.js';

const proto = loadPackageDefinition(
  loadSync('gatehouse/pty/v1/pty.proto', { keepCase: true, longs: Number, enums: String, includeDirs: ['proto'] }),
) as unknown as ProtoGrpcType;

export type AttachStream = ClientDuplexStream<AttachRequest, AttachResponse__Output>;
export type OutputCall = ClientReadableStream<StreamOutputResponse__Output>;
type Session = 'start' | 'get' | 'list' | 'write' | 'resize' | 'signal' | 'kill' | 'waitExit';
type Method = Session | 'share' | 'listShares' | 'unshare';

/** A gRPC client of one gateway with one credential. */
export class GrpcClient {
  readonly client: PtyServiceClient;

  constructor(
    gateway: TestGateway,
    private readonly credential: string | null,
    options: ChannelOptions = {},
    secure = gateway.secure ? credentials.createSsl(trustedRoots()) : credentials.createInsecure(),
  ) {
    this.client = new proto.gatehouse.pty.v1.PtyService(gateway.grpcAddress, secure, options);
  }

  get metadata(): Metadata {
    const metadata = new Metadata();
    if (this.credential !== null) metadata.set('authorization', `Bearer ${this.credential}`);
    return metadata;
  }

  /** One unary call; rejects with the ServiceError. */
  call(method: Method, request: object, metadata = this.metadata): Promise<Record<string, unknown>> {
    const invoke = this.client[method].bind(this.client) as unknown as (
      request: object,
      metadata: Metadata,
      callback: (error: ServiceError | null, response?: unknown) => void,
    ) => void;
    return new Promise((resolve, reject) => {
      invoke(request, metadata, (error, response) => {
        if (error) reject(error);
        else resolve(response as Record<string, unknown>);
      });
    });
  }

  attach(metadata = this.metadata): AttachStream {
    return this.client.attach(metadata);
  }

  streamOutput(request: StreamOutputRequest): OutputCall {
    return this.client.streamOutput(request, this.metadata);
  }

  close(): void {
    this.client.close();
  }
}

const errorInfo = new protobuf.Type('ErrorInfo')
  .add(new protobuf.Field('reason', 1, 'string'))
  .add(new protobuf.Field('domain', 2, 'string'));
const any = new protobuf.Type('Any')
  .add(new protobuf.Field('type_url', 1, 'string'))
  .add(new protobuf.Field('value', 2, 'bytes'));
const status = new protobuf.Type('Status').add(new protobuf.Field('details', 3, 'Any', 'repeated'));
new protobuf.Root().define('t').add(errorInfo).add(any).add(status);

/** The ErrorInfo of a gRPC error, as a client of google.rpc reads it. */
export function reasonOf(error: ServiceError): string {
  const [encoded] = error.metadata.get('grpc-status-details-bin');
  if (!Buffer.isBuffer(encoded)) return 'no details';
  const { details } = status.toObject(status.decode(encoded)) as { details: { value: Buffer }[] };
  const [first] = details;
  return first ? (errorInfo.toObject(errorInfo.decode(first.value)) as { reason: string }).reason : 'no details';
}

/** The error of a call that must fail. */
export async function refused(call: Promise<unknown>): Promise<ServiceError> {
  try {
    await call;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error('the call was not refused');
}

/** How a stream ended: its error, or null. */
export function endOf(stream: Readable): Promise<ServiceError | null> {
  return new Promise((resolve) => {
    stream.on('data', () => undefined);
    stream.on('error', (error) => {
      resolve(error as ServiceError);
    });
    stream.on('end', () => {
      setTimeout(() => {
        resolve(null);
      }, 200);
    });
  });
}
