import { type TestGateway, token } from '../gateway.js';
import { GrpcClient, refused } from '../grpc-client.js';
import { WsClient } from '../ws-client.js';
import { makeKey } from '../api-keys.js';
import { overRest } from '../attempts.js';
import { type Cases, one } from './case.js';

const ago = Math.floor(Date.now() / 1000) - 3600;

/** Five credentials from there that are refused, which is one lockout. */
const guessFrom = async (gateway: TestGateway, address: string): Promise<void> => {
  for (let guesses = 0; guesses < 5; guesses += 1) await overRest(gateway, 'nonsense', address);
};

/** The keys of identity providers, as a gateway has them when it is there. */
export const keyCases: Cases = {
  'jwks.fetch_success': {
    success: () => Promise.resolve(one({ resource: 'provider:once', transport: 'system', metadata: { keys: 1 } })),
  },
  'jwks.fetch_failed': {
    failure: () =>
      Promise.resolve(one({ resource: 'provider:down', reason: 'JWKS_UNAVAILABLE', metadata: { failures: 1 } })),
  },
};

/** Credentials: accepted, refused, made and taken back. */
export const credentialCases: Cases = {
  'auth.success': {
    success: async (world) => {
      const { name, token: credential } = world.person();
      for (let calls = 0; calls < 3; calls += 1) await world.call(credential, 'GET', '/auth/info');
      return one({ user_id: name, transport: 'rest', auth_method: 'jwt', resource: null });
    },
  },
  'auth.failed': {
    failure: async (world) => {
      const reason = 'AUTH_TOKEN_MISSING';
      await world.call(null, 'GET', '/sessions');
      const grpc = new GrpcClient(world.gateway, null);
      await refused(grpc.call('list', {}));
      grpc.close();
      const ws = await WsClient.open(world.gateway, '/ws');
      ws.send({ type: 'authenticate', token: 'nonsense' });
      await ws.closes();
      return [
        { event: { user_id: 'unknown', principal_kind: null, transport: 'rest', reason } },
        { event: { user_id: 'unknown', principal_kind: null, transport: 'grpc', reason } },
        { event: { user_id: 'unknown', principal_kind: null, transport: 'websocket', reason: 'JWT_INVALID' } },
      ];
    },
  },
  'auth.expired': {
    failure: async (world) => {
      await world.call(token({ iat: ago, exp: ago + 60 }), 'GET', '/auth/info');
      return one({ transport: 'rest', reason: 'JWT_EXPIRED' });
    },
  },
  'auth.invalid_signature': {
    failure: async (world) => {
      await world.call(token({}, 'another-secret-that-is-long-enough-0123456789'), 'GET', '/auth/info');
      return one({ transport: 'rest', reason: 'JWT_SIGNATURE_INVALID' });
    },
  },
  'auth.replayed': {
    failure: async (world) => {
      const credential = world.provided('once');
      for (let calls = 0; calls < 2; calls += 1) await world.call(credential, 'GET', '/auth/info');
      return one({ transport: 'rest', reason: 'TOKEN_REPLAYED' });
    },
  },
  'auth.denied': {
    failure: async (world) => {
      await world.call(token({ sub: 'mallory' }), 'GET', '/auth/info');
      return one({ transport: 'rest', reason: 'UNAUTHORIZED_USER' });
    },
  },
  'rate_limit.exceeded': {
    failure: async (world) => {
      const { id, key } = await makeKey(world.gateway, world.root, { roles: ['user'], rate_limit_per_minute: 1 });
      for (let calls = 0; calls < 3; calls += 1) await world.call(key, 'GET', '/sessions');
      const event = { credential_id: id, transport: 'rest', reason: 'RATE_LIMIT_EXCEEDED' };
      return one({ ...event, metadata: { detail: 'user' } });
    },
  },
  'rate_limit.lockout': {
    failure: async (world) => {
      const remote_addr = '203.0.113.77';
      await guessFrom(world.gateway, remote_addr);
      return one({ remote_addr, transport: 'rest', reason: 'RATE_LIMIT_EXCEEDED', metadata: { of: 'unnamed' } });
    },
  },
  'rate_limit.lockout_ended': {
    success: async (world) => {
      const remote_addr = '203.0.113.78';
      await guessFrom(world.gateway, remote_addr);
      await world.gateway.audit({ action: 'rate_limit.lockout_ended', remote_addr });
      return one({ remote_addr, transport: 'system', metadata: { of: 'name', seconds: 1 } });
    },
  },
  'auth.token_minted': {
    success: async (world) => {
      const { body } = await world.call(world.root, 'POST', '/auth/tokens', {});
      return one({ user_id: 'root', metadata: { jti: body['jti'] } });
    },
    failure: async (world) => {
      const { name, token: credential } = world.person();
      await world.call(credential, 'POST', '/auth/tokens', {});
      return one({ user_id: name, reason: 'PERMISSION_DENIED' });
    },
  },
  'auth.token_revoked': {
    success: async (world) => {
      const { name: jti } = world.person();
      await world.call(world.root, 'POST', '/auth/revocations', { jti });
      return one({ user_id: 'root', metadata: { jti } });
    },
    failure: async (world) => {
      const { name, token: credential } = world.person();
      await world.call(credential, 'POST', '/auth/revocations', { subject: 'root', provider: 'gatehouse' });
      return one({ user_id: name, reason: 'PERMISSION_DENIED' });
    },
  },
  'jwks.stale_used': {
    success: async (world) => {
      await world.call(world.provided('falling'), 'GET', '/auth/info');
      world.server.answer('/falling', (request) => request.socket.destroy());
      for (let calls = 0; calls < 200; calls += 1) {
        await world.call(world.provided('falling'), 'GET', '/auth/info');
        if ((await world.gateway.query(`SELECT 1 FROM audit_events WHERE action = 'jwks.stale_used'`)).length > 0)
          break;
      }
      return one({ resource: 'provider:falling', transport: 'system' });
    },
  },
  'api_key.create': {
    success: async (world) => {
      const { id } = await makeKey(world.gateway, world.root, { roles: ['user'] });
      return one({ resource: `api_key:${id}`, user_id: 'root' });
    },
    failure: async (world) => {
      const { name, token: credential } = world.person();
      await world.call(credential, 'POST', '/api-keys', { name: 'too much', roles: ['admin'] });
      return one({ resource: null, user_id: name, reason: 'PERMISSION_DENIED' });
    },
  },
  'api_key.update': {
    success: async (world) => {
      const { id } = await makeKey(world.gateway, world.root);
      await world.call(world.root, 'PATCH', `/api-keys/${id}`, { name: 'another name' });
      return one({ resource: `api_key:${id}` });
    },
    failure: async (world) => {
      const { id } = await makeKey(world.gateway, world.root);
      await world.call(world.root, 'PATCH', `/api-keys/${id}`, { name: 5 });
      return one({ resource: `api_key:${id}`, reason: 'INVALID_ARGUMENT' });
    },
  },
  'api_key.rotate': {
    success: async (world) => {
      const { id } = await makeKey(world.gateway, world.root);
      const { body } = await world.call(world.root, 'POST', `/api-keys/${id}/rotate`, {});
      return one({ resource: `api_key:${id}`, metadata: { rotated_to: body['id'] } });
    },
    failure: async (world) => {
      const { id } = await makeKey(world.gateway, world.root);
      await world.call(world.root, 'POST', `/api-keys/${id}/rotate`, { grace_seconds: -1 });
      return one({ resource: `api_key:${id}`, reason: 'INVALID_ARGUMENT' });
    },
  },
  'api_key.revoke': {
    success: async (world) => {
      const { id } = await makeKey(world.gateway, world.root);
      await world.call(world.root, 'DELETE', `/api-keys/${id}`);
      return one({ resource: `api_key:${id}`, user_id: 'root' });
    },
    failure: async (world) => {
      const { id } = await makeKey(world.gateway, world.root);
      await world.call(world.root, 'DELETE', `/api-keys/${id}`, { reason: 5 });
      return one({ resource: `api_key:${id}`, reason: 'INVALID_ARGUMENT' });
    },
  },
  'api_key.expiring': {
    success: async (world) => {
      const expires_at = new Date(Date.now() + 3 * 86_400_000).toISOString();
      const { id } = await makeKey(world.gateway, world.root, { expires_at });
      // Who starts looks.
      const log = await world.gateway.sibling();
      await world.gateway.audit({ action: 'api_key.expiring', resource: `api_key:${id}` });
      await log.end();
      return [{ event: { resource: `api_key:${id}`, transport: 'system', metadata: { expires_at } }, log }];
    },
  },
};
