import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type Agent, AgentWorld, ALICE, OPERATOR } from '../support/agent-world.js';
import { until } from '../support/gateway.js';
import { codeOf } from '../support/rest.js';

jest.setTimeout(180_000);

let world: AgentWorld;
beforeAll(async () => {
  world = await AgentWorld.start({ AGENTS_PER_USER: '10', AGENT_MEMORY_BYTES: '536870912' });
});
afterAll(() => world.remove());

describe('ten agents side by side', () => {
  let agents: Agent[];

  it('each in its worktree, and no eleventh', async () => {
    const start = (index: number) =>
      world.begin(ALICE, { prompt: `loop ${index}`, create_worktree: { repository: 'app', name: `task ${index}` } });
    agents = await Promise.all(Array.from({ length: 10 }, (_, index) => start(index)));
    expect(new Set(agents.map((agent) => agent['worktree_id'])).size).toBe(10);
    for (const [index, agent] of agents.entries()) await world.shows(ALICE, agent, `loop ${index}`);
    expect(codeOf(await world.call(ALICE, 'POST', '/agents', { provider: 'plain' }))).toBe('AGENT_LIMIT');
    // The cap is applied, or said not to be.
    for (const agent of agents) expect([[], [expect.stringContaining('memory')]]).toContainEqual(agent['not_applied']);
  });

  it('whose session is killed is never shown as working', async () => {
    const [first] = agents;
    if (!first) throw new Error('none was started');
    expect((await world.call(ALICE, 'DELETE', `/sessions/${first.session_id}`)).status).toBe(200);
    expect((await world.reaches(first.id, 'stopped'))['ended_at']).not.toBeNull();
  });

  it('live through a restart of the gateway', async () => {
    await world.gateway.end('SIGKILL');
    await world.gateway.launch();
    const { items } = (await world.call(ALICE, 'GET', '/agents?limit=100')).body as { items: Agent[] };
    expect(items.filter(({ state }) => state === 'working' || state === 'waiting_for_input')).toHaveLength(9);
  });

  it('are lost with their runner, and taken up again in their worktrees', async () => {
    for (const pid of world.gateway.runnerPids()) process.kill(pid, 'SIGKILL');
    const rest = agents.slice(1);
    for (const agent of rest) await world.reaches(agent.id, 'lost');
    const [event] = await world.gateway.audit({ action: 'agent.exit', resource: `agent:${rest[0]?.id ?? ''}` });
    expect(event).toMatchObject({ success: false, reason: 'runner_lost' });
    const [one] = rest;
    if (!one) throw new Error('none was started');
    await until(
      'another runner',
      async () => {
        const again = await world.call(ALICE, 'POST', `/agents/${one.id}/resume`, { prompt: 'loop once more' });
        return again.status === 200;
      },
      60_000,
    );
    const resumed = await world.agent(OPERATOR, one.id);
    expect(resumed).toMatchObject({ worktree_id: one['worktree_id'], resumes: 1 });
    await world.shows(ALICE, resumed, 'loop once more');
    expect((await world.call(ALICE, 'POST', `/agents/${one.id}/stop`)).status).toBe(200);
  });
});
