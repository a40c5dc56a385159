import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { AttachResponse__Output } from '../../src/generated/gatehouse/pty/v1/AttachResponse.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { GrpcClient } from '../support/grpc-client.js';
import { rest, startSession } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

let gateway: TestGateway;
const alice = token();
const CANARY = 'typed-canary-3141592653';

beforeAll(async () => {
  gateway = await TestGateway.start({ LOG_LEVEL: 'trace' });
});
afterAll(() => gateway.remove());

it('what is typed is neither logged nor on record, however it is sent, refused input too', async () => {
  const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
  const path = `/api/v1/sessions/${id}`;
  const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice, binary: true });
  await ws.next('attached');
  ws.send({ type: 'input', data: `${CANARY}-json\n` });
  ws.type(`${CANARY}-frame\n`, 0);
  expect((await rest(gateway, alice, 'POST', `${path}/input`, { data: `${CANARY}-rest\n` })).status).toBe(204);
  const refused = { data: `${CANARY}-refused\n`, more: 1 };
  expect((await rest(gateway, alice, 'POST', `${path}/input`, refused)).status).toBe(422);
  ws.send({ type: 'input', ...refused });
  expect((await ws.next('error'))['code']).toBe('INVALID_MESSAGE');
  const grpc = new GrpcClient(gateway, alice);
  await grpc.call('write', { id, data: Buffer.from(`${CANARY}-write\n`) });
  const stream = grpc.attach();
  const frames: AttachResponse__Output[] = [];
  stream.on('data', (frame: AttachResponse__Output) => frames.push(frame));
  stream.on('error', () => undefined);
  stream.write({ attach: { session: id, mode: 'ATTACH_MODE_VIEWER' } });
  await until('attached', () => frames.length > 0);
  stream.write({ input: { data: Buffer.from(`${CANARY}-viewer\n`) } });
  await until('a refusal', () => frames.some(({ error }) => error));
  await until('all of it at the program', async () => {
    const { text } = await rest(gateway, alice, 'GET', `${path}/output`);
    return ['json', 'frame', 'rest', 'write'].every((each) => text.includes(`${CANARY}-${each}`));
  });
  stream.cancel();
  grpc.close();
  ws.close();
  await rest(gateway, alice, 'DELETE', path);
  await gateway.audit({ action: 'pty.exit' });
  expect(gateway.log.length).toBeGreaterThan(10);
  expect(gateway.stdout).not.toContain(CANARY);
  expect(JSON.stringify(await gateway.query('SELECT * FROM audit_trail'))).not.toContain(CANARY);
  expect(JSON.stringify(await gateway.query('SELECT * FROM sessions'))).not.toContain(CANARY);
});
