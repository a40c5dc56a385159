import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ProtoGrpcType } from '../generated/runner.js';
import { PROTO_OPTIONS } from '../kernel/package.js';

/** Loads `gatehouse.runner.v1`, with the options that the generated types stand for. */
export function loadRunnerProto(): ProtoGrpcType['gatehouse']['runner']['v1'] {
  const definition = loadSync('gatehouse/runner/v1/runner.proto', PROTO_OPTIONS);
  return (loadPackageDefinition(definition) as unknown as ProtoGrpcType).gatehouse.runner.v1;
}
