import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import type { ProtoGrpcType } from '../generated/runner.js';
import type { ProtoGrpcType as WorktreeGrpcType } from '../generated/runner_worktree.js';
import { PROTO_OPTIONS } from '../kernel/package.js';

/** Loads `gatehouse.runner.v1`, with the options that the generated types stand for. */
export function loadRunnerProto(): ProtoGrpcType['gatehouse']['runner']['v1'] {
  const definition = loadSync('gatehouse/runner/v1/runner.proto', PROTO_OPTIONS);
  return (loadPackageDefinition(definition) as unknown as ProtoGrpcType).gatehouse.runner.v1;
}

/** Loads the part of `gatehouse.runner.v1` that is about worktrees. */
export function loadWorktreeProto(): WorktreeGrpcType['gatehouse']['runner']['v1'] {
  const definition = loadSync('gatehouse/runner/v1/runner_worktree.proto', PROTO_OPTIONS);
  return (loadPackageDefinition(definition) as unknown as WorktreeGrpcType).gatehouse.runner.v1;
}
