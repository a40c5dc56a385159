import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { protoPath } from 'grpc-health-check';
import { BEHIND_PROXY } from '../support/attempts.js';
import { TestGateway, until } from '../support/gateway.js';

interface HealthClient {
  check(request: object, answer: (error: ServiceError | null) => void): void;
  watch(request: object, metadata: Metadata): ClientReadableStream<{ status: string | number }>;
  close(): void;
}
const { grpc } = loadPackageDefinition(loadSync(protoPath, { enums: String })) as unknown as {
  grpc: { health: { v1: { Health: new (address: string, by: unknown) => HealthClient } } };
};

describe('health watches, which need no credential', () => {
  let gateway: TestGateway;
  let client: HealthClient;

  beforeAll(async () => {
    gateway = await TestGateway.start(BEHIND_PROXY);
    client = new grpc.health.v1.Health(gateway.grpcAddress, credentials.createInsecure());
  });
  afterAll(async () => {
    client.close();
    await gateway.remove();
  });

  let heard: string[];
  beforeEach(() => {
    heard = [];
  });
  const count = (what: string): number => heard.filter((each) => each === what).length;
  const watch = (service: string, address: string): ClientReadableStream<unknown> => {
    const metadata = new Metadata();
    metadata.set('x-forwarded-for', address);
    // Those of the test before still say that they were cancelled.
    const told = heard;
    return client
      .watch({ service }, metadata)
      .on('data', ({ status }: { status: string }) => told.push(status))
      .on('error', ({ code }: ServiceError) => told.push(String(code)));
  };

  it('are ten at most of one address, or network of IPv6, and nobody else’s fewer', async () => {
    const watches = Array.from({ length: 15 }, (_, index) => watch('', `2001:db8::${String(index + 1)}`));
    await until('answers to all', () => heard.length === 15);
    expect([count('SERVING'), count('8')]).toEqual([10, 5]);
    watches.push(watch('', '2001:db8:0:1::1'));
    await until('an answer', () => heard.length === 16);
    expect(count('SERVING')).toBe(11);
    for (const each of watches) each.cancel();
  });

  it('are 100 at most, whatever they ask for; those that left make room', async () => {
    const watches = Array.from({ length: 150 }, (_, index) =>
      watch(index % 2 ? '' : `invented-${String(index)}`, `198.51.100.${String(index)}`),
    );
    await until('answers to all', () => heard.length === 150);
    expect([count('SERVING'), count('SERVICE_UNKNOWN'), count('8')]).toEqual([50, 50, 50]);
    for (const each of watches) each.cancel();
    await until('room', async () => {
      heard.length = 0;
      const again = watch('', '192.0.2.1');
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
