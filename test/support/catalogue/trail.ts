import type { TestGateway } from '../gateway.js';
import { rest } from '../rest.js';
import { type Cases, one } from './case.js';

/** Does something that no gateway may do to events, and takes it back. */
async function tampered(
  gateway: TestGateway,
  change: string,
  back: string,
  act: () => Promise<unknown>,
): Promise<void> {
  const parts = await gateway.query(
    "SELECT inhrelid::regclass::text AS part FROM pg_inherits WHERE inhparent = 'audit_events'::regclass",
  );
  const triggers = async (state: string): Promise<void> => {
    for (const { part } of parts) await gateway.query(`ALTER TABLE ${String(part)} ${state} TRIGGER USER`);
  };
  await triggers('DISABLE');
  await gateway.query(change);
  await act();
  await gateway.query(back);
  await triggers('ENABLE');
}

/** The trail's own. */
export const trailCases: Cases = {
  'audit.read': {
    success: async (world) => {
      const auditor = world.person(['auditor']);
      await world.call(auditor.token, 'GET', '/audit/events?action=pty.start&success=true');
      return one({ user_id: auditor.name, transport: 'rest', metadata: { filters: ['action', 'success'] } });
    },
  },
  'audit.exported': {
    success: async (world) => {
      const auditor = world.person(['auditor']);
      await world.call(auditor.token, 'GET', '/audit/export?format=csv&action=pty.start');
      return one({ user_id: auditor.name, transport: 'rest', metadata: { format: 'csv' } });
    },
  },
  'audit.verified': {
    success: async (world) => {
      const auditor = world.person(['auditor']);
      await world.call(auditor.token, 'POST', '/audit/verify', {});
      return one({ user_id: auditor.name, transport: 'rest' });
    },
    failure: async (world) => {
      const auditor = world.person(['auditor']);
      const set = (level: string): string =>
        `UPDATE audit_events SET level = '${level}' WHERE action = 'server.started'`;
      await tampered(world.gateway, set('warn'), set('info'), () =>
        world.call(auditor.token, 'POST', '/audit/verify', {}),
      );
      return one({ user_id: auditor.name, reason: 'altered' });
    },
  },
  'audit.pruned': {
    success: async (world) => {
      const [forgotten, admin] = [world.person(), world.person(['admin'])];
      await world.call(forgotten.token, 'POST', '/sessions', { command: ['/bin/true'] });
      await world.call(admin.token, 'DELETE', `/audit/subjects/${forgotten.name}`);
      return one({ user_id: admin.name, resource: null });
    },
    failure: async (world) => {
      const admin = world.person(['admin']);
      await world.call(admin.token, 'DELETE', '/audit/subjects/nobody-at-all');
      return one({ user_id: admin.name, reason: 'NOT_FOUND' });
    },
  },
  'audit.gap': {
    failure: async (world) => {
      const { gateway } = world;
      await gateway.query(
        "ALTER TABLE audit_events ADD CONSTRAINT picky CHECK (request_id <> 'refuse-me' OR NOT success) NOT VALID",
      );
      const headers = { 'x-request-id': 'refuse-me' };
      await rest(gateway, world.root, 'POST', '/api/v1/auth/tokens', { ttl_seconds: 60 }, headers);
      await gateway.query('ALTER TABLE audit_events DROP CONSTRAINT picky');
      return one({ user_id: 'system', metadata: { refused_action: 'auth.token_minted' } });
    },
  },
};
