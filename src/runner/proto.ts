import { join } from 'node:path';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ProtoGrpcType } from '../generated/runner.js';
import { packageRoot } from './package-root.js';

/** Loads `gatehouse.runner.v1`, with the options that the generated types stand for. */
export function loadRunnerProto(): ProtoGrpcType['gatehouse']['runner']['v1'] {
  const definition = loadSync('gatehouse/runner/v1/runner.proto', {
    keepCase: true,
    longs: Number,
    enums: String,
    includeDirs: [join(packageRoot(), 'proto')],
  });
  return (loadPackageDefinition(definition) as unknown as ProtoGrpcType).gatehouse.runner.v1;
}
