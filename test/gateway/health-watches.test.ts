import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type ClientReadableStream, credentials, loadPackageDefinition, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { protoPath } from 'grpc-health-check';
import { TestGateway, until } from '../support/gateway.js';

interface HealthClient {
  check(request: object, answer: (error: ServiceError | null) => void): void;
  watch(request: object): ClientReadableStream<{ status: string | number }>;
  close(): void;
}
const { grpc } = loadPackageDefinition(loadSync(protoPath, { enums: String })) as unknown as {
  grpc: { health: { v1: { Health: new (address: string, by: unknown) => HealthClient } } };
};

describe('health watches, which need no credential', () => {
  let gateway: TestGateway;
  let client: HealthClient;

  beforeAll(async () => {
    gateway = await TestGateway.start();
    client = new grpc.health.v1.Health(gateway.grpcAddress, credentials.createInsecure());
  });
  afterAll(async () => {
    client.close();
    await gateway.remove();
  });

  it('are 100 at most, whatever they ask for; those that left make room', async () => {
    const heard: string[] = [];
    const watch = (service: string): ClientReadableStream<unknown> =>
      client
        .watch({ service })
        .on('data', ({ status }: { status: string }) => heard.push(status))
        .on('error', ({ code }: ServiceError) => heard.push(String(code)));
    const watches = Array.from({ length: 150 }, (_, index) => watch(index % 2 ? '' : `invented-${String(index)}`));
    const count = (what: string): number => heard.filter((each) => each === what).length;
    await until('answers to all', () => heard.length === 150);
    expect([count('SERVING'), count('SERVICE_UNKNOWN'), count('8')]).toEqual([50, 50, 50]);
    for (const each of watches) each.cancel();
    await until('room', async () => {
      heard.length = 0;
      const again = watch('');
      await until('an answer', () => heard.length > 0);
      again.cancel();
      return heard[0] === 'SERVING';
    });
  });

  it('a name of any length is refused with a status that arrives', async () => {
    const error = await new Promise<ServiceError | null>((resolve) => {
      client.check({ service: 'x'.repeat(60_000) }, resolve);
    });
    expect([error?.code, error?.details]).toEqual([5, 'There is no such service.']);
  });
});
