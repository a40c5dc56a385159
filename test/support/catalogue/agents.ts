import type { Answer } from '../rest.js';
import { until } from '../gateway.js';
import { type Cases, one } from './case.js';
import type { CatalogueWorld } from './world.js';

const named = (id: unknown): string => `agent:${String(id)}`;

/** A person with an agent that runs, or has been told what to do. */
async function owner(world: CatalogueWorld, prompt?: string) {
  const { name, token } = world.person();
  const { body } = await world.call(token, 'POST', '/agents', { provider: 'plain', prompt });
  const id = String(body['id']);
  const call = (what: string, request?: object): Promise<Answer> =>
    world.call(token, 'POST', `/agents/${id}/${what}`, request);
  const state = async (): Promise<Record<string, unknown>> => (await world.call(token, 'GET', `/agents/${id}`)).body;
  return { name, token, id, call, state, resource: named(id) };
}

/** One that asks, and what it asks. */
async function asking(world: CatalogueWorld) {
  const agent = await owner(world, 'ask');
  const prompt = async () => (await agent.state())['prompt'] as { id: string; kind: string } | null;
  await until('the agent asks', async () => (await prompt())?.kind === 'permission', 30_000);
  return { ...agent, prompt_id: (await prompt())?.id ?? '' };
}

async function ended(world: CatalogueWorld, how: string) {
  const agent = await owner(world, how);
  await until('the agent ends', async () => (await agent.state())['ended_at'] !== null, 30_000);
  return agent;
}

/** Coding agents. */
export const agentCases: Cases = {
  'agent.start': {
    success: async (world) => {
      const { name, resource } = await owner(world);
      return one({ resource, user_id: name, metadata: { provider: 'plain', approve: 'ask' } });
    },
    failure: async (world) => {
      const { name, token } = world.person();
      await world.call(token, 'POST', '/agents', { provider: 'none-such' });
      return one({ resource: null, user_id: name, reason: 'AGENT_PROVIDER_UNKNOWN' });
    },
  },
  'agent.message': {
    success: async (world) => {
      const { name, resource, call } = await owner(world);
      await call('message', { text: 'loop' });
      return one({ resource, user_id: name });
    },
    failure: async (world) => {
      const { name, resource, call } = await ended(world, 'exit');
      await call('message', { text: 'loop' });
      return one({ resource, user_id: name, reason: 'AGENT_NOT_RUNNING' });
    },
  },
  'agent.stop': {
    success: async (world) => {
      const { name, resource, call } = await owner(world);
      await call('stop');
      return one({ resource, user_id: name });
    },
    failure: async (world) => {
      const { name, resource, call } = await ended(world, 'exit');
      await call('stop');
      return one({ resource, user_id: name, reason: 'AGENT_NOT_RUNNING' });
    },
  },
  'agent.exit': {
    success: async (world) =>
      one({ resource: (await ended(world, 'exit')).resource, user_id: 'system', reason: 'exited' }),
    failure: async (world) =>
      one({ resource: (await ended(world, 'crash')).resource, user_id: 'system', reason: 'AGENT_CRASHED' }),
  },
  'agent.approval_requested': {
    success: async (world) => one({ resource: (await asking(world)).resource, user_id: 'system' }),
  },
  'agent.approval_answered': {
    success: async (world) => {
      const { name, resource, call, prompt_id } = await asking(world);
      await call('answer', { prompt_id, approve: true });
      return one({ resource, user_id: name });
    },
    failure: async (world) => {
      const { name, resource, call } = await asking(world);
      await call('answer', { prompt_id: 'made-up', option_id: 'allow' });
      return one({ resource, user_id: name, reason: 'PROMPT_STALE' });
    },
  },
};
