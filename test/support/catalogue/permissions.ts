import { readFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { GrpcClient, refused } from '../grpc-client.js';
import { startSession } from '../rest.js';
import { WsClient } from '../ws-client.js';
import { type Cases, one } from './case.js';

const member = (name: string): object => ({ kind: 'subject', provider: 'gatehouse', name });

/** Decisions, the policy behind them, and configuration files. */
export const permissionCases: Cases = {
  'authz.granted': {
    success: async (world) => {
      const [rest, grpc] = [world.person(), world.person()];
      const id = await startSession(world.gateway, rest.token, { command: ['/bin/cat'] });
      // Typed key by key: the first is on record, and the rest with its count.
      for (const data of ['a', 'b', 'c']) await world.call(rest.token, 'POST', `/sessions/${id}/input`, { data });
      const client = new GrpcClient(world.gateway, grpc.token);
      await client.call('start', { command: ['/bin/true'] });
      client.close();
      return [
        { event: { user_id: rest.name, transport: 'rest', metadata: { permission: 'pty:create' } } },
        { event: { user_id: rest.name, resource: `session:${id}`, metadata: { permission: 'pty:input' } } },
        { event: { user_id: grpc.name, transport: 'grpc', metadata: { permission: 'pty:create' } } },
      ];
    },
  },
  'authz.denied': {
    failure: async (world) => {
      const [rest, grpc, ws] = [world.person(['viewer']), world.person(['viewer']), world.person()];
      await world.call(rest.token, 'POST', '/sessions', {});
      const client = new GrpcClient(world.gateway, grpc.token);
      await refused(client.call('start', {}));
      client.close();
      const socket = await WsClient.open(world.gateway, '/ws', { credential: ws.token });
      socket.send({ type: 'attach', session: randomUUID() });
      await socket.next('error');
      // Somebody else's token does not renew this connection.
      const other = world.person();
      socket.send({ type: 'authenticate', token: other.token });
      await socket.next('error');
      socket.close();
      return [
        { event: { user_id: rest.name, transport: 'rest', reason: 'PERMISSION_DENIED' } },
        { event: { user_id: grpc.name, transport: 'grpc', reason: 'PERMISSION_DENIED' } },
        { event: { user_id: ws.name, transport: 'websocket', reason: 'NOT_FOUND' } },
        { event: { user_id: other.name, transport: 'websocket', metadata: { detail: 'another_principal' } } },
      ];
    },
  },
  'authz.downgraded': {
    failure: async (world) => {
      const jti = randomUUID();
      const [revoked, expired] = [
        world.person(['user'], { jti }),
        world.person(['user'], { exp: Math.floor(Date.now() / 1000) + 2 }),
      ];
      const sockets = [revoked, expired].map(({ token }) => WsClient.open(world.gateway, '/ws', { credential: token }));
      await world.call(world.root, 'POST', '/auth/revocations', { jti });
      for (const socket of sockets) await (await socket).closes();
      return [
        { event: { user_id: revoked.name, reason: 'TOKEN_REVOKED', metadata: { to: 'ended' } } },
        { event: { user_id: expired.name, reason: 'SESSION_EXPIRED', metadata: { to: 'ended' } } },
      ];
    },
  },
  'policy.changed': {
    success: async (world) => {
      world.putPolicy('{ default_roles: [], deny: [{ permissions: [agent:start_auto], everyone: true }] }');
      await world.gateway.audit({ action: 'policy.changed' });
      return one({ resource: `file:${world.policyFile}`, transport: 'system', metadata: { denials: 1 } });
    },
  },
  'policy.role_assigned': {
    success: async (world) => {
      const { name } = world.person();
      await world.call(world.root, 'PUT', '/policy/bindings', { role: 'viewer', member: member(name) });
      return one({ resource: 'role:viewer', user_id: 'root', metadata: { member: name } });
    },
    failure: async (world) => {
      const { name } = world.person();
      await world.call(world.root, 'PUT', '/policy/bindings', { role: 'unheard-of', member: member(name) });
      return one({ resource: 'role:unheard-of', reason: 'INVALID_ARGUMENT', metadata: { member: name } });
    },
  },
  'policy.role_removed': {
    success: async (world) => {
      const { name } = world.person();
      for (const method of ['PUT', 'DELETE'])
        await world.call(world.root, method, '/policy/bindings', { role: 'viewer', member: member(name) });
      return one({ resource: 'role:viewer', user_id: 'root', metadata: { member: name } });
    },
    failure: async (world) => {
      const { name } = world.person();
      await world.call(world.root, 'DELETE', '/policy/bindings', { role: 'viewer', member: member(name) });
      return one({ resource: 'role:viewer', reason: 'NOT_FOUND', metadata: { member: name } });
    },
  },
  'config.reloaded': {
    success: async (world) => {
      world.touchAuthentication();
      await world.gateway.audit({ action: 'config.reloaded' });
      return one({ resource: `file:${world.server.configFile}`, transport: 'system' });
    },
  },
  'config.rejected': {
    failure: async (world) => {
      const before = readFileSync(world.policyFile, 'utf8');
      world.putPolicy('{ default_roles: [unheard-of] }');
      await world.gateway.audit({ action: 'config.rejected' });
      world.putPolicy(before);
      return one({ resource: `file:${world.policyFile}`, reason: 'INVALID_ARGUMENT' });
    },
  },
};
