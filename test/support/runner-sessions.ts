import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import type { RunnerSession__Output } from '../../src/generated/gatehouse/runner/v1/RunnerSession.js';
import { loadRunnerProto } from '../../src/runner/proto.js';
import type { TestGateway } from './gateway.js';

/** What the runner of a gateway says it holds, by session. */
export function runnerSessions(gateway: TestGateway): Promise<Map<string, RunnerSession__Output>> {
  const { RunnerService } = loadRunnerProto();
  const address = `unix:${join(gateway.dataDir, 'run', 'control.sock')}`;
  const client = new RunnerService(address, credentials.createInsecure());
  return new Promise((resolve, reject) => {
    client.List({}, (error, answer) => {
      client.close();
      if (error) reject(error);
      else resolve(new Map((answer?.sessions ?? []).map((session) => [session.id ?? '', session])));
    });
  });
}
