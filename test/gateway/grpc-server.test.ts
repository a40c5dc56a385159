/** What an operator may choose of the gRPC server. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { ServiceError } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from '@jest/globals';
import { TestGateway, token, until } from '../support/gateway.js';
import { type AttachStream, endOf, GrpcClient } from '../support/grpc-client.js';
import { reflect } from '../support/reflection.js';
import { startSession } from '../support/rest.js';

const alice = token();
const UNIMPLEMENTED = '12';

describe('the gRPC server', () => {
  let gateway: TestGateway;
  afterEach(() => gateway.remove());

  it.each([
    ['not in production', { NODE_ENV: 'production', TLS_TERMINATED_BY_PROXY: 'true' }, false],
    [
      'in production where the operator wants it',
      { NODE_ENV: 'production', TLS_TERMINATED_BY_PROXY: 'true', GRPC_REFLECTION: 'true' },
      true,
    ],
    ['not where the operator does not want it', { GRPC_REFLECTION: 'false' }, false],
  ])('tells what it serves %s', async (_what, environment, told) => {
    gateway = await TestGateway.start(environment);
    const answer = await reflect(gateway, alice);
    if (told) expect(answer).toContain('gatehouse.pty.v1.PtyService');
    else expect(answer).toBe(UNIMPLEMENTED);
    // Either way its calls are served.
    const grpc = new GrpcClient(gateway, alice);
    expect(await grpc.call('list', {})).toEqual({});
    grpc.close();
  });

  /** An attachment, what it heard, and how it ended. */
  async function attach(grpc: GrpcClient, session: string) {
    const stream: AttachStream = grpc.attach();
    const end = endOf(stream);
    let [heard, over] = ['', false];
    stream.on('data', (frame: { output?: { data?: Buffer } }) => {
      heard += frame.output?.data?.toString() ?? '';
    });
    void end.then(() => (over = true));
    stream.write({ attach: { session } });
    await once(stream, 'data');
    return {
      end,
      over: () => over,
      types: async (text: string): Promise<void> => {
        stream.write({ input: { data: Buffer.from(`${text}\n`) } });
        await until(`the echo of ${text}`, () => heard.includes(`${text}\r\n${text}\r\n`));
      },
      close: (): void => {
        stream.on('error', () => undefined).cancel();
      },
    };
  }

  /** Connections that the gateway's gRPC port has, by the kernel's table. */
  function connections(): number {
    const port = gateway.grpcPort.toString(16).toUpperCase().padStart(4, '0');
    const lines = readFileSync('/proc/net/tcp', 'utf8').split('\n');
    // Local address and port, and the state: 01 is established.
    return lines.filter((line) => new RegExp(`^\\s*\\d+: [0-9A-F]{8}:${port} [0-9A-F:]+ 01 `).test(line)).length;
  }

  it('lets a client go on when its connection is too old: streams on the old one, calls on a new one', async () => {
    gateway = await TestGateway.start({
      ...{ GRPC_MAX_CONNECTION_AGE_SECONDS: '3', GRPC_MAX_CONNECTION_AGE_GRACE_SECONDS: '600' },
    });
    const session = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const grpc = new GrpcClient(gateway, alice);
    const stream = await attach(grpc, session);
    await stream.types('before');
    // No call is refused on the way; `call` rejects with what it was refused with.
    const refusals: unknown[] = [];
    const calling = new AbortController();
    const calls = (async () => {
      while (!calling.signal.aborted) await grpc.call('list', {}).catch((error: unknown) => refusals.push(error));
    })();
    await until('a second connection, beside the one of the stream', () => connections() === 2, 60_000);
    await stream.types('after');
    calling.abort();
    await calls;
    expect([refusals, stream.over()]).toEqual([[], false]);
    stream.close();
    grpc.close();
  });

  it('closes a connection that outlives its grace; its client resumes on another', async () => {
    gateway = await TestGateway.start({
      ...{ GRPC_MAX_CONNECTION_AGE_SECONDS: '3', GRPC_MAX_CONNECTION_AGE_GRACE_SECONDS: '4' },
    });
    const session = await startSession(gateway, alice, { command: ['/bin/cat'] });
    const grpc = new GrpcClient(gateway, alice);
    const stream = await attach(grpc, session);
    await stream.types('before');
    expect(((await stream.end) as ServiceError).code).toBe(14);
    const again = await attach(grpc, session);
    await again.types('after');
    again.close();
    grpc.close();
    expect(await gateway.audit({ action: 'pty.detach' }, 2)).toHaveLength(2);
  });
});
