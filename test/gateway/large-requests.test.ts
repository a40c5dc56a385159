import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { ServiceError } from '@grpc/grpc-js';
import { TestGateway, token } from '../support/gateway.js';
import { GrpcClient, reasonOf, refused } from '../support/grpc-client.js';
import { codeOf, rest, startSession } from '../support/rest.js';

const numbered = (count: number, name: (index: number) => string): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, index) => [name(index), '']));

describe('requests of nothing but mistakes', () => {
  let gateway: TestGateway;
  let grpc: GrpcClient;
  const alice = token();

  beforeAll(async () => {
    gateway = await TestGateway.start();
    grpc = new GrpcClient(gateway, alice);
  });
  afterAll(async () => {
    grpc.close();
    await gateway.remove();
  });

  it.each([
    ['variables', { env: numbered(20_000, (index) => `-${String(index)}`) }, 'env: more than 256 variables'],
    ['arguments', { command: Array<number>(50_000).fill(1) }, 'command: more than 256 arguments'],
  ])('too many %s are refused by their count', async (_what, command, message) => {
    const answer = await rest(gateway, alice, 'POST', '/api/v1/sessions', command);
    expect([answer.status, (answer.body['error'] as { message: string }).message]).toEqual([422, message]);
  });

  it('are answered with a bounded list of them', async () => {
    const answer = await rest(
      gateway,
      alice,
      'POST',
      '/api/v1/sessions',
      numbered(20_000, (index) => `k${String(index)}`),
    );
    expect([answer.status, codeOf(answer)]).toEqual([422, 'INVALID_ARGUMENT']);
    expect(answer.text.length).toBeLessThan(2000);
  });

  it('that nest too deep are not parsed', async () => {
    const body = `{"name":${'['.repeat(150_000)}${']'.repeat(150_000)}}`;
    expect(codeOf(await rest(gateway, alice, 'POST', '/api/v1/sessions', body))).toBe('MALFORMED_REQUEST');
    const brackets = `{"name":"${'['.repeat(100)}\\"${'{'.repeat(100)}"}`;
    expect(codeOf(await rest(gateway, alice, 'POST', '/api/v1/sessions', brackets))).toBe('INVALID_ARGUMENT');
  });

  it.each(['application/x-www-form-urlencoded', 'text/plain', 'application/json-seq'])(
    'and bodies of %s are not taken at all',
    async (type) => {
      const answer = await rest(gateway, alice, 'POST', '/api/v1/sessions', 'name=x', { 'content-type': type });
      expect([answer.status, codeOf(answer)]).toEqual([415, 'UNSUPPORTED_MEDIA_TYPE']);
    },
  );

  it('64 KiB of input fit, though every byte of it is escaped', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/sleep', '60'] });
    const data = '\u0001'.repeat(65_536);
    expect((await rest(gateway, alice, 'POST', `/api/v1/sessions/${id}/input`, { data })).status).toBe(204);
    await grpc.call('write', { id, data: Buffer.alloc(65_536, 0x61) });
  });

  it.each([
    ['a long name', 'x'.repeat(60_000)],
    ['a long name of characters that are encoded', '\u{1f600}'.repeat(15_000)],
  ])('on gRPC, %s does not make the status too long to arrive', async (_what, name) => {
    const error: ServiceError = await refused(grpc.call('start', { env: { [name]: '' } }));
    expect([error.code, reasonOf(error)]).toEqual([3, 'INVALID_ARGUMENT']);
    expect(error.details.length).toBeLessThan(300);
  });

  it('on gRPC, a message over 256 KiB is refused', async () => {
    const error = await refused(grpc.call('start', { env: numbered(20_000, (index) => `-${String(index)}xxxxxxxx`) }));
    expect(error.code).toBe(8);
  });
});
