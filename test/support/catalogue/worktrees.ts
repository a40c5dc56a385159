import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { refused } from '../grpc-client.js';
import { type Made, WorktreeGrpcClient } from '../worktrees.js';
import { type Cases, one } from './case.js';
import type { CatalogueWorld } from './world.js';

const named = (id: string): string => `worktree:${id}`;

/** A person with a worktree. */
async function owner(world: CatalogueWorld) {
  const { name, token } = world.person();
  const { body } = await world.call(token, 'POST', '/worktrees', { repository: 'app', name: 'mine' });
  return { name, token, made: body as unknown as Made };
}

/** One with something in it that is nowhere else. */
async function precious(world: CatalogueWorld) {
  const owned = await owner(world);
  writeFileSync(join(owned.made.path, 'precious.txt'), 'gold');
  return owned;
}

const over = async <T>(
  world: CatalogueWorld,
  token: string,
  use: (grpc: WorktreeGrpcClient) => Promise<T>,
): Promise<T> => {
  const grpc = new WorktreeGrpcClient(world.gateway, token);
  return use(grpc).finally(() => {
    grpc.close();
  });
};

/** Worktrees, on each of the transports. */
export const worktreeCases: Cases = {
  'worktree.create': {
    success: async (world) => {
      const { name, made } = await owner(world);
      const person = world.person();
      const request = { repository: 'app', name: 'mine' };
      const { worktree } = (await over(world, person.token, (grpc) => grpc.call('Create', request))) as {
        worktree: Made;
      };
      return [
        { event: { resource: named(made.id), user_id: name, transport: 'rest', metadata: { branch: made.branch } } },
        { event: { resource: named(worktree.id), user_id: person.name, transport: 'grpc' } },
      ];
    },
    failure: async (world) => {
      const { name, token } = world.person();
      await world.call(token, 'POST', '/worktrees', { repository: '/etc', name: 'mine' });
      return one({ resource: null, user_id: name, reason: 'REPOSITORY_NOT_ALLOWED' });
    },
  },
  'worktree.write': {
    success: async (world) => {
      const { name, token, made } = await precious(world);
      await world.call(token, 'POST', `/worktrees/${made.id}/stage`);
      const { commit } = await over(world, token, (grpc) => grpc.call('Commit', { id: made.id, message: 'gold' }));
      const event = { resource: named(made.id), user_id: name };
      return [
        { event: { ...event, transport: 'rest', metadata: { operation: 'stage' } } },
        { event: { ...event, transport: 'grpc', metadata: { operation: 'commit', commit } } },
      ];
    },
    failure: async (world) => {
      const { name, token, made } = await owner(world);
      await world.call(token, 'POST', `/worktrees/${made.id}/commit`, { message: 'nothing' });
      return one({
        ...{ resource: named(made.id), user_id: name, reason: 'NOTHING_TO_COMMIT' },
        metadata: { operation: 'commit' },
      });
    },
  },
  'worktree.remove': {
    success: async (world) => {
      const [rest, grpc] = [await owner(world), await precious(world)];
      await world.call(rest.token, 'DELETE', `/worktrees/${rest.made.id}`);
      const request = { id: grpc.made.id, force: true, confirm: 'mine' };
      await over(world, grpc.token, (client) => client.call('Remove', request));
      return [
        { event: { resource: named(rest.made.id), user_id: rest.name, metadata: { force: false } } },
        { event: { resource: named(grpc.made.id), user_id: grpc.name, transport: 'grpc', metadata: { force: true } } },
      ];
    },
  },
  'worktree.remove_refused': {
    failure: async (world) => {
      const [rest, grpc] = [await precious(world), await precious(world)];
      await world.call(rest.token, 'DELETE', `/worktrees/${rest.made.id}`);
      await refused(over(world, grpc.token, (client) => client.call('Remove', { id: grpc.made.id, force: true })));
      return [
        { event: { resource: named(rest.made.id), reason: 'WOULD_LOSE_WORK', metadata: { kinds: ['untracked'] } } },
        { event: { resource: named(grpc.made.id), reason: 'CONFIRMATION_REQUIRED', transport: 'grpc' } },
      ];
    },
  },
};
