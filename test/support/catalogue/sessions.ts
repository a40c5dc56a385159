import { randomUUID } from 'node:crypto';
import { TestGateway, until } from '../gateway.js';
import { GrpcClient, refused } from '../grpc-client.js';
import { type Answer, startSession } from '../rest.js';
import { WsClient } from '../ws-client.js';
import { type Case, type Cases, one } from './case.js';
import type { CatalogueWorld } from './world.js';

const CAT = { command: ['/bin/cat'] };
const named = (id: string): string => `session:${id}`;

/** A person with a session. */
async function owner(world: CatalogueWorld, command: Record<string, unknown> = CAT) {
  const { name, token } = world.person();
  return { name, token, id: await startSession(world.gateway, token, command) };
}

/** A session that is over. */
async function ended(world: CatalogueWorld) {
  const made = await owner(world, { command: ['/bin/sh', '-c', 'exit 3'] });
  await world.gateway.audit({ action: 'pty.exit', resource: named(made.id) });
  return made;
}

const attached = async (world: CatalogueWorld, id: string, credential: string, query = ''): Promise<WsClient> => {
  const ws = await WsClient.open(world.gateway, `/ws/pty?id=${id}${query}`, { credential, binary: true });
  await ws.next('attached');
  return ws;
};

const share = (world: CatalogueWorld, id: string, credential: string, name: string): Promise<Answer> =>
  world.call(credential, 'POST', `/sessions/${id}/share`, { grantee: { kind: 'subject', name }, level: 'view' });

/** What is done to a session on each of the transports, and to one that is over. */
const acted = (
  rest: (world: CatalogueWorld, id: string, credential: string) => Promise<unknown>,
  message: { readonly type: 'signal' | 'kill' } & Record<string, unknown>,
): Case => ({
  success: async (world) => {
    const [one, two, three] = [await owner(world), await owner(world), await owner(world)];
    await rest(world, one.id, one.token);
    const { type, ...body } = message;
    const grpc = new GrpcClient(world.gateway, two.token);
    await grpc.call(type, { id: two.id, ...body });
    grpc.close();
    const ws = await attached(world, three.id, three.token);
    ws.send(message);
    await world.gateway.audit({ action: `pty.${type}`, resource: named(three.id) });
    ws.close();
    return [
      { event: { resource: named(one.id), user_id: one.name, transport: 'rest' } },
      { event: { resource: named(two.id), user_id: two.name, transport: 'grpc' } },
      { event: { resource: named(three.id), user_id: three.name, transport: 'websocket' } },
    ];
  },
  failure: async (world) => {
    const { id, name, token } = await ended(world);
    await rest(world, id, token);
    return one({ resource: named(id), user_id: name, reason: 'SESSION_ENDED' });
  },
});

/** What a gateway has done when it is there. */
export const startCases: Cases = {
  'server.started': {
    success: () => Promise.resolve(one({ resource: null, transport: 'system', user_id: 'system' })),
  },
  'runner.connected': {
    success: () => Promise.resolve(one({ transport: 'system', metadata: { sessions: 0 } })),
  },
};

/** What the first other one does when it goes. */
export const stopCases: Cases = {
  'server.stopped': {
    success: async (world) => {
      const { gateway: log } = await world.secure();
      await log.end();
      const node = log.log.find(({ action }) => action === 'server.stopped')?.['node'];
      return [{ event: { node, transport: 'system' }, log }];
    },
  },
};

/** Connections, sessions, and the end of the processes that serve them. */
export const sessionCases: Cases = {
  'websocket.connected': {
    success: async (world) => {
      const { name, token } = world.person();
      const ws = await WsClient.open(world.gateway, '/ws');
      ws.send({ type: 'authenticate', token });
      await ws.next('authenticated');
      ws.close();
      return one({ user_id: name, resource: '/ws', transport: 'websocket' });
    },
  },
  'websocket.disconnected': {
    success: async (world) => {
      const { name, token } = world.person();
      const ws = await WsClient.open(world.gateway, '/ws', { credential: token });
      await ws.next('authenticated');
      ws.socket.close(1000);
      await ws.closes();
      return one({ user_id: name, resource: '/ws', metadata: { code: 1000 } });
    },
  },
  'websocket.rejected': {
    failure: async (world) => {
      await refused(WsClient.open(world.gateway, '/no/such/place', { credential: world.person().token }));
      await refused(WsClient.open(world.gateway, '/ws', { credential: 'nonsense' }));
      const ws = await WsClient.open(world.gateway, '/ws');
      ws.send({ type: 'attach', session: randomUUID() });
      await ws.closes();
      return ['NOT_FOUND', 'JWT_INVALID', 'AUTH_TOKEN_MISSING'].map((reason) => ({
        event: { reason, transport: 'websocket' },
      }));
    },
  },
  'pty.start': {
    success: async (world) => {
      const { id, name } = await owner(world);
      const person = world.person();
      const grpc = new GrpcClient(world.gateway, person.token);
      const { session } = (await grpc.call('start', CAT)) as { session: { id: string } };
      grpc.close();
      return [
        { event: { resource: named(id), user_id: name, transport: 'rest' } },
        { event: { resource: named(session.id), user_id: person.name, transport: 'grpc' } },
      ];
    },
    failure: async (world) => {
      const { name, token } = world.person();
      await world.call(token, 'POST', '/sessions', { command: ['/no/such/program'] });
      return one({ resource: null, user_id: name, reason: 'START_FAILED' });
    },
  },
  'pty.attach': {
    success: async (world) => {
      const { id, name, token } = await owner(world);
      (await attached(world, id, token, '&from=0')).close();
      const other = await owner(world);
      const grpc = new GrpcClient(world.gateway, other.token);
      const stream = grpc.attach();
      stream.on('error', () => undefined).write({ attach: { session: other.id } });
      await world.gateway.audit({ action: 'pty.attach', resource: named(other.id) });
      stream.cancel();
      grpc.close();
      return [
        { event: { resource: named(id), user_id: name, transport: 'websocket' } },
        { event: { resource: named(other.id), user_id: other.name, transport: 'grpc' } },
      ];
    },
  },
  'pty.resume': {
    success: async (world) => {
      const reader = await owner(world, { command: ['/bin/sh', '-c', 'printf 0123456789; exec cat'] });
      const before = await attached(world, reader.id, reader.token, '&from=0');
      await before.sees('0123456789');
      before.close();
      (await attached(world, reader.id, reader.token, '&from=10')).close();
      // Who does not know how far it has read is known by what it typed.
      const writer = await owner(world);
      const first = await attached(world, writer.id, writer.token, '&writer_id=me');
      first.type('typed\n', 0);
      await first.next('input_ack');
      first.close();
      (await attached(world, writer.id, writer.token, '&writer_id=me')).close();
      return [
        { event: { resource: named(reader.id), user_id: reader.name, metadata: { from: 10 } } },
        { event: { resource: named(writer.id), user_id: writer.name } },
      ];
    },
  },
  'pty.detach': {
    success: async (world) => {
      const { id, name, token } = await owner(world);
      (await attached(world, id, token)).close();
      await world.gateway.audit({ action: 'pty.detach', resource: named(id) });
      return one({ resource: named(id), user_id: name, transport: 'websocket', metadata: { bytes_in: 0 } });
    },
  },
  'pty.signal': acted(
    (world, id, credential) => world.call(credential, 'POST', `/sessions/${id}/signal`, { signal: 'WINCH' }),
    { type: 'signal', signal: 'WINCH' },
  ),
  'pty.kill': acted((world, id, credential) => world.call(credential, 'DELETE', `/sessions/${id}`), { type: 'kill' }),
  'pty.exit': {
    success: async (world) => {
      const { id, name } = await ended(world);
      return one({ resource: named(id), transport: 'system', metadata: { exit_code: 3, owner: name } });
    },
  },
  'pty.share': {
    success: async (world) => {
      const { id, name, token } = await owner(world);
      await share(world, id, token, 'bob');
      return one({ resource: named(id), user_id: name, metadata: { grantee: 'bob', level: 'view' } });
    },
    failure: async (world) => {
      const { id, name, token } = await owner(world);
      await world.call(token, 'POST', `/sessions/${id}/share`, { level: 'everything' });
      return one({ resource: named(id), user_id: name, reason: 'INVALID_ARGUMENT' });
    },
  },
  'pty.unshare': {
    success: async (world) => {
      const { id, name, token } = await owner(world);
      const { body } = await share(world, id, token, 'bob');
      await world.call(token, 'DELETE', `/sessions/${id}/share/${String(body['id'])}`);
      return one({ resource: named(id), user_id: name });
    },
    failure: async (world) => {
      const { id, name, token } = await owner(world);
      await world.call(token, 'DELETE', `/sessions/${id}/share/${randomUUID()}`);
      return one({ resource: named(id), user_id: name, reason: 'NOT_FOUND' });
    },
  },
  'pty.lost': {
    failure: async (world) => {
      const { id, name } = await owner(world);
      await killRunner(world.gateway);
      await world.gateway.audit({ action: 'pty.lost', resource: named(id) });
      return one({ resource: named(id), reason: 'runner_lost', transport: 'system', metadata: { owner: name } });
    },
  },
  'runner.lost': {
    failure: async (world) => {
      // Of the runner that the case before killed.
      await world.gateway.audit({ action: 'runner.lost' });
      return one({ reason: 'RUNNER_UNAVAILABLE', transport: 'system' });
    },
  },
};

async function killRunner(gateway: TestGateway): Promise<void> {
  const pids = gateway.runnerPids();
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  await until('another runner', () => gateway.runnerPids().some((pid) => !pids.includes(pid)));
}
