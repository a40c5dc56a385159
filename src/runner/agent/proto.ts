import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ProtoGrpcType } from '../../generated/runner_agent.js';
import { PROTO_OPTIONS } from '../../kernel/package.js';

/** Loads the agents' part of `gatehouse.runner.v1`. */
export function loadAgentProto(): ProtoGrpcType['gatehouse']['runner']['v1'] {
  const definition = loadSync('gatehouse/runner/v1/runner_agent.proto', PROTO_OPTIONS);
  return (loadPackageDefinition(definition) as unknown as ProtoGrpcType).gatehouse.runner.v1;
}
