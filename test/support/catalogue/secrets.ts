import { randomUUID } from 'node:crypto';
import { type Cases, one } from './case.js';
import type { CatalogueWorld } from './world.js';

const stored = async (world: CatalogueWorld): Promise<string> => {
  const name = `secret-${randomUUID()}`;
  await world.call(world.root, 'PUT', `/secrets/${name}`, { value: 'anything' });
  return name;
};

/** Stored secrets. */
export const secretCases: Cases = {
  'secrets.set': {
    success: async (world) => one({ resource: `secret_name:${await stored(world)}`, metadata: { created: true } }),
    failure: async (world) => {
      const name = `secret-${randomUUID()}`;
      await world.call(world.root, 'PUT', `/secrets/${name}`, { value: '' });
      return one({ resource: `secret_name:${name}`, reason: 'INVALID_ARGUMENT' });
    },
  },
  'secrets.delete': {
    success: async (world) => {
      const name = await stored(world);
      await world.call(world.root, 'DELETE', `/secrets/${name}`);
      return one({ resource: `secret_name:${name}`, user_id: 'root' });
    },
    failure: async (world) => {
      const name = `secret-${randomUUID()}`;
      await world.call(world.root, 'DELETE', `/secrets/${name}`);
      return one({ resource: `secret_name:${name}`, reason: 'NOT_FOUND' });
    },
  },
  'secrets.rekeyed': {
    success: async (world) => {
      await world.call(world.root, 'POST', '/secrets/rekey', {});
      return one({ resource: null, user_id: 'root', metadata: { rekeyed: 0 } });
    },
    failure: async (world) => {
      await world.call(world.root, 'POST', '/secrets/rekey', { all_tenants: true });
      return one({ resource: null, user_id: 'root', reason: 'PERMISSION_DENIED' });
    },
  },
};
