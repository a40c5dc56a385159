import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { StreamOutputResponse__Output } from '../../src/generated/gatehouse/pty/v1/StreamOutputResponse.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { endOf, GrpcClient, type OutputCall, reasonOf } from '../support/grpc-client.js';
import { rest, startSession } from '../support/rest.js';

const NO_ONE = '01a1fc84-6cb5-7e33-bf1e-bc189c38028f';

/** What a stream of output told, in order and without a gap. */
class Heard {
  first = -1;
  next = -1;
  gaps = 0;
  exit: unknown = null;
  readonly parts: Buffer[] = [];
  readonly end: Promise<ServiceError | null>;

  constructor(readonly call: OutputCall) {
    this.end = endOf(call);
    call.on('data', ({ output, process_exited }: StreamOutputResponse__Output) => {
      if (process_exited) this.exit = process_exited;
      if (!output) return;
      const [offset, data] = [Number(output.offset), output.data ?? Buffer.alloc(0)];
      if (this.first < 0) this.first = this.next = offset;
      if (offset !== this.next || this.exit !== null) this.gaps += 1;
      this.next += data.length;
      this.parts.push(data);
    });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.parts);
  }
}

describe('a stream of output', () => {
  let gateway: TestGateway;
  let grpc: GrpcClient;
  const alice = token();
  const stream = (request: { id: string; from?: number }, by = grpc): Heard => new Heard(by.streamOutput(request));
  const silent = (): Promise<string> => startSession(gateway, alice, { command: ['/bin/cat'] });
  /** The stream of a caller of its own, once it is attached. */
  const attached = async (id: string, credential: string): Promise<Heard> => {
    const heard = stream({ id }, new GrpcClient(gateway, credential));
    await once(heard.call, 'metadata');
    return heard;
  };

  beforeAll(async () => {
    gateway = await TestGateway.start({ SESSIONS_PER_USER: '100', SESSION_RING_BYTES: '262144' });
    grpc = new GrpcClient(gateway, alice);
  });
  afterAll(async () => {
    grpc.close();
    await gateway.remove();
  });

  it('has every byte from the oldest on, live ones too, and then the exit', async () => {
    const script = 'stty -opost; printf "\\000\\377first "; read go; seq 1 30000; exit 3';
    const id = await startSession(gateway, alice, { command: ['/bin/sh', '-c', script] });
    const heard = stream({ id });
    await until('the first bytes', () => heard.bytes.includes('first '));
    await rest(gateway, alice, 'POST', `/api/v1/sessions/${id}/input`, { data: 'go\n' });
    expect(await heard.end).toBeNull();
    expect([heard.first, heard.gaps, heard.exit]).toEqual([0, 0, { exit_code: 3, reason: 'exited' }]);
    const lines = Array.from({ length: 30_000 }, (_, line) => `${String(line + 1)}\n`).join('');
    const { bytes } = heard;
    expect(bytes.subarray(0, 8)).toEqual(Buffer.from('\0\u00fffirst ', 'latin1'));
    const hash = (all: Buffer): string => createHash('sha256').update(all).digest('hex');
    expect(hash(bytes.subarray(bytes.length - lines.length))).toBe(hash(Buffer.from(lines)));
    // And again, once it has ended.
    const again = stream({ id });
    expect(await again.end).toBeNull();
    expect(again.bytes.equals(bytes)).toBe(true);
  });

  it('begins where it is asked to, or at the oldest byte after that, and never beyond the newest', async () => {
    const script = 'stty -opost; seq 1 100000; exec sleep 600';
    const id = await startSession(gateway, alice, { command: ['/bin/sh', '-c', script] });
    const output = (query: string) => rest(gateway, alice, 'GET', `/api/v1/sessions/${id}/output?limit=1${query}`);
    const total = Array.from({ length: 100_000 }, (_, line) => String(line + 1).length + 1).reduce((a, b) => a + b);
    const reaches = async (): Promise<boolean> => Number((await output('')).headers.get('x-output-end')) === total;
    await until('all output', reaches, 60_000);
    const dropped = Number((await output('')).headers.get('x-output-dropped-before'));
    expect(dropped).toBeGreaterThan(0);
    for (const [from, first] of [
      [0, dropped],
      [undefined, dropped],
      [total - 7, total - 7],
    ] as const) {
      const heard = stream({ id, ...(from === undefined ? {} : { from }) });
      await until('the end of the output', () => heard.next === total);
      expect([heard.first, heard.bytes.subarray(-7).toString()]).toEqual([first, '100000\n']);
      heard.call.cancel();
    }
    const beyond = (await stream({ id, from: total + 1 }).end) as ServiceError;
    expect([beyond.code, reasonOf(beyond)]).toEqual([11, 'OFFSET_OUT_OF_RANGE']);
    await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${id}`);
  }, 120_000);

  it.each([
    ['no id', { id: '' }, 5, 'NOT_FOUND'],
    ['an unknown id', { id: NO_ONE }, 5, 'NOT_FOUND'],
    ['no session’s id', { id: '../x' }, 5, 'NOT_FOUND'],
  ])('refuses %s', async (_what, request, code, reason) => {
    const error = (await stream(request).end) as ServiceError;
    expect([error.code, reasonOf(error)]).toEqual([code, reason]);
  });

  it('refuses who has no credential, and who may not view it', async () => {
    const id = await silent();
    for (const [credential, code, reason] of [
      [null, 16, 'AUTH_TOKEN_MISSING'],
      [token({ sub: 'bob' }), 5, 'NOT_FOUND'],
      [token({ scope: 'pty:create' }), 7, 'PERMISSION_DENIED'],
    ] as const) {
      const error = (await stream({ id }, new GrpcClient(gateway, credential)).end) as ServiceError;
      expect([error.code, reasonOf(error)]).toEqual([code, reason]);
    }
  });

  it('types and sizes nothing, leaves control to others, and is on record as what it is', async () => {
    const id = await silent();
    const heard = await attached(id, alice);
    const other = grpc.attach();
    other.write({ attach: { session: id } });
    const [first] = (await once(other, 'data')) as [{ attached?: { mode: string } }];
    expect(first.attached?.mode).toBe('ATTACH_MODE_CONTROLLER');
    other.write({ input: { data: Buffer.from('typed\n') } });
    await until('the echo', () => heard.bytes.includes('typed\r\ntyped\r\n'));
    other.on('error', () => undefined).cancel();
    heard.call.cancel();
    const match = { resource: `session:${id}` };
    const detached = async () => gateway.audit({ ...match, action: 'pty.detach' }, 2);
    const isStream = ({ metadata }: Record<string, unknown>): boolean =>
      (metadata as { stream_output?: boolean }).stream_output === true;
    expect((await gateway.audit({ ...match, action: 'pty.attach' }, 2)).filter(isStream)).toMatchObject([
      { metadata: { mode: 'viewer', from: 0, stream_output: true } },
    ]);
    expect((await detached()).filter(isStream)).toMatchObject([
      { metadata: { mode: 'viewer', bytes_in: 0, bytes_out: 14, stream_output: true } },
    ]);
  });

  it('ends with its credential, and when that is revoked', async () => {
    const id = await silent();
    const now = Math.floor(Date.now() / 1000);
    const short = await attached(id, token({ exp: now + 10 }));
    const expired = (await short.end) as ServiceError;
    expect([expired.code, reasonOf(expired)]).toEqual([16, 'SESSION_EXPIRED']);
    const jti = randomUUID();
    const revocable = await attached(id, token({ jti }));
    const admin = token({ sub: 'root', roles: ['admin'] });
    expect((await rest(gateway, admin, 'POST', '/api/v1/auth/revocations', { jti })).status).toBe(201);
    const revoked = (await revocable.end) as ServiceError;
    expect([revoked.code, reasonOf(revoked)]).toEqual([16, 'TOKEN_REVOKED']);
  });

  it('ends when the right to view is taken back', async () => {
    const id = await silent();
    const grantee = { kind: 'subject', name: 'bob' };
    const shared = await rest(gateway, alice, 'POST', `/api/v1/sessions/${id}/share`, { grantee, level: 'view' });
    const bob = await attached(id, token({ sub: 'bob' }));
    await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${id}/share/${String(shared.body['id'])}`);
    const end = (await bob.end) as ServiceError;
    expect([end.code, reasonOf(end)]).toEqual([7, 'PERMISSION_DENIED']);
    expect(await gateway.audit({ action: 'authz.downgraded', user_id: 'bob' })).toMatchObject([
      { resource: `session:${id}`, metadata: { to: 'detached', permission: 'pty:view' } },
    ]);
  });

  it('is sent away by a stop', async () => {
    const other = await gateway.sibling();
    const heard = stream({ id: await silent() }, new GrpcClient(other, alice));
    await once(heard.call, 'metadata');
    expect(await other.end('SIGTERM')).toBe(0);
    const end = (await heard.end) as ServiceError;
    expect([end.code, reasonOf(end)]).toEqual([14, 'GOING_AWAY']);
  });
});
