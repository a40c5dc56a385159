import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { ServiceError } from '@grpc/grpc-js';
import { type Agent, AgentWorld, ALICE, BOB, OPERATOR, promptOf, VIEWER } from '../support/agent-world.js';
import { token, until } from '../support/gateway.js';
import { endOf, reasonOf, refused } from '../support/grpc-client.js';
import { codeOf } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

jest.setTimeout(120_000);

let world: AgentWorld;
beforeAll(async () => {
  world = await AgentWorld.start();
});
afterAll(() => world.remove());

const stop = (who: string, { id }: Agent) => world.call(who, 'POST', `/agents/${id}/stop`);

describe('what is refused', () => {
  let bobs: Agent;
  beforeAll(async () => {
    bobs = await world.begin(BOB, { prompt: 'ask' });
    await world.reaches(bobs.id, 'waiting_for_input', 'permission');
  });
  afterAll(() => stop(BOB, bobs));

  /** The codes of the same call on each transport. */
  async function codes(
    who: string,
    path: string,
    method: 'start' | 'get' | 'message' | 'answer' | 'stop' | 'resume',
    body: object,
  ) {
    const named = 'id' in body;
    const { id, ...rest } = body as { id?: string };
    const address = named ? `/agents/${String(id)}${path}` : '/agents';
    const overRest = codeOf(
      await world.call(who, method === 'get' ? 'GET' : 'POST', address, method === 'get' ? undefined : rest),
    );
    const client = world.grpc(who);
    const overGrpc = reasonOf(
      await refused(
        client.call(method, 'approve' in body && body.approve === 'auto' ? { ...body, approve: 'APPROVE_AUTO' } : body),
      ),
    );
    client.close();
    if (method === 'get' || method === 'resume') return [overRest, overGrpc];
    const socket = await WsClient.open(world.gateway, '/ws', { credential: who });
    socket.send({ type: `agent_${method}`, ...rest, ...(named ? { agent: id } : {}) });
    const { code } = await socket.next('error');
    socket.close();
    return [overRest, overGrpc, code];
  }

  it('starting without the permission, with too much of it asked for, and what is not in the registry', async () => {
    expect(await codes(VIEWER, '', 'start', { provider: 'plain' })).toEqual(Array(3).fill('PERMISSION_DENIED'));
    const deployer = token({ sub: 'carl', scope: 'agent:start agent:view' });
    expect(await codes(deployer, '', 'start', { provider: 'plain', approve: 'auto' })).toEqual(
      Array(3).fill('PERMISSION_DENIED'),
    );
    expect(await codes(deployer, '', 'start', { provider: 'plain', args: ['--yes'] })).toEqual(
      Array(3).fill('PERMISSION_DENIED'),
    );
    expect(
      await codes(deployer, '', 'start', { provider: 'plain', create_worktree: { repository: 'app', name: 'x' } }),
    ).toEqual(Array(3).fill('PERMISSION_DENIED'));
    for (const env of [{ PATH: '/tmp' }, { HOME: '/tmp' }, { PLAIN_CONFIG: '/tmp' }]) {
      expect(await codes(ALICE, '', 'start', { provider: 'plain', env })).toEqual(Array(3).fill('PERMISSION_DENIED'));
    }
    expect(await codes(ALICE, '', 'start', { provider: 'bash' })).toEqual(Array(3).fill('AGENT_PROVIDER_UNKNOWN'));
    expect(await codes(ALICE, '', 'start', { provider: 'absent' })).toEqual(Array(3).fill('AGENT_BINARY_MISSING'));
  });

  it('what is not well formed, by the field', async () => {
    const wrong: readonly (readonly [object, string])[] = [
      [{ provider: '../sh' }, 'provider'],
      [{ provider: 'custom', binary: 'bash' }, 'binary'],
      [{ provider: 'custom' }, 'binary'],
      [{ provider: 'plain', prompt: 'a\u001b[201~b' }, 'prompt'],
      [{ provider: 'plain', model: '--yes' }, 'model'],
      [{ provider: 'forgetful', model: 'large' }, 'model'],
      [{ provider: 'plain', env: { LD_PRELOAD: 'x' } }, 'env'],
      [{ provider: 'plain', env: { PLAIN_AUTO: 'yes' } }, 'env'],
      [{ provider: 'plain', env: { PLAIN_ASKS: 'no' } }, 'env'],
      [{ provider: 'custom', binary: 'plain-agent' }, 'approve'],
      [{ provider: 'plain', worktree_id: bobs.id, cwd: '/' }, 'worktree_id'],
      [{ provider: 'plain', max_run_seconds: 1e9 }, 'max_run_seconds'],
      [{ provider: 'plain', shell: true }, '(request)'],
    ];
    for (const [body, field] of wrong) {
      const answer = await world.call(ALICE, 'POST', '/agents', body);
      const { details } = answer.body['error'] as { details?: { fields?: { field: string }[] } };
      expect([body, answer.status, details?.fields?.[0]?.field.startsWith(field) ?? answer.text]).toEqual([
        body,
        422,
        true,
      ]);
    }
    const socket = await WsClient.open(world.gateway, '/ws', { credential: ALICE });
    socket.send({ type: 'agent_start', provider: 'plain', shell: true });
    expect(await socket.next('error')).toMatchObject({ code: 'INVALID_MESSAGE' });
    socket.close();
    const client = world.grpc(ALICE);
    expect(reasonOf(await refused(client.call('start', { provider: 'plain', model: '--yes' })))).toBe(
      'INVALID_ARGUMENT',
    );
    client.close();
  });

  it('other people’s agents, which are as if they were not there; whoever may see all may do no more with them', async () => {
    const { id } = bobs;
    const prompt_id = promptOf(await world.agent(OPERATOR, id));
    const missing = Array(3).fill('NOT_FOUND');
    expect(await codes(ALICE, '', 'get', { id })).toEqual(['NOT_FOUND', 'NOT_FOUND']);
    expect(await codes(ALICE, '/message', 'message', { id, text: 'hi' })).toEqual(missing);
    expect(await codes(ALICE, '/answer', 'answer', { id, prompt_id, approve: true })).toEqual(missing);
    expect(await codes(ALICE, '/stop', 'stop', { id })).toEqual(missing);
    expect(await codes(ALICE, '/resume', 'resume', { id })).toEqual(['NOT_FOUND', 'NOT_FOUND']);
    const client = world.grpc(ALICE);
    expect(reasonOf((await endOf(client.watch({ id }))) as ServiceError)).toBe('NOT_FOUND');
    client.close();
    const { items } = (await world.call(ALICE, 'GET', '/agents?limit=100')).body as { items: Agent[] };
    expect(items.map((each) => each['owner'])).not.toContain('bob');
    const seeing = token({ sub: 'sam', roles: ['operator'], scope: 'agent:view agent:view_any' });
    expect((await world.agent(seeing, id))['owner']).toBe('bob');
    expect(await codes(seeing, '/stop', 'stop', { id })).toEqual(Array(3).fill('PERMISSION_DENIED'));
    expect((await world.agent(OPERATOR, id))['state']).toBe('waiting_for_input');
  });

  it('more than twenty streams of one caller, though all are asked for at once', async () => {
    const client = world.grpc(BOB);
    const streams = Array.from({ length: 30 }, () => client.watch({ id: bobs.id }));
    const told: unknown[] = [];
    for (const stream of streams) {
      let heard = false;
      stream.on('data', () => {
        if (!heard) told.push('an agent');
        heard = true;
      });
      stream.on('error', (error) => {
        if (!heard) told.push(reasonOf(error as ServiceError));
        heard = true;
      });
    }
    await until('an answer to each', () => told.length === 30);
    expect(told.filter((each) => each === 'an agent')).toHaveLength(20);
    expect(told.filter((each) => each === 'STREAM_LIMIT')).toHaveLength(10);
    for (const stream of streams) stream.cancel();
    client.close();
  });

  it('a message while it waits for an answer, and an answer to what is asked no more', async () => {
    const agent = await world.begin(ALICE, { prompt: 'ask' });
    const { id } = agent;
    const prompt_id = promptOf(await world.reaches(id, 'waiting_for_input', 'permission'));
    expect(await codes(ALICE, '/message', 'message', { id, text: 'hi' })).toEqual(Array(3).fill('AGENT_AWAITS_ANSWER'));
    const answers = [
      ...(await codes(ALICE, '/answer', 'answer', { id, prompt_id: 'another', approve: true })),
      ...(await codes(ALICE, '/answer', 'answer', { id, prompt_id: 'another', option_id: 'allow' })),
    ];
    expect(answers).toEqual(Array(6).fill('PROMPT_STALE'));
    expect((await world.call(ALICE, 'POST', `/agents/${id}/answer`, { prompt_id, approve: true })).status).toBe(200);
    const again = await codes(ALICE, '/answer', 'answer', { id, prompt_id, approve: true });
    expect(again).toEqual(Array(3).fill('PROMPT_STALE'));
    await stop(ALICE, agent);
  });

  it('the second of two answers that come at once', async () => {
    const over = async (transport: 'gRPC' | 'WebSocket'): Promise<void> => {
      const agent = await world.begin(ALICE, { prompt: 'ask' });
      const { id } = agent;
      const prompt_id = promptOf(await world.reaches(id, 'waiting_for_input', 'permission'));
      if (transport === 'gRPC') {
        const client = world.grpc(ALICE);
        const answer = () =>
          client.call('answer', { id, prompt_id, approve: true }).then(
            () => 'answered',
            (error: unknown) => reasonOf(error as ServiceError),
          );
        expect((await Promise.all([answer(), answer()])).sort()).toEqual(['PROMPT_STALE', 'answered']);
        client.close();
      } else {
        const socket = await WsClient.open(world.gateway, '/ws', { credential: ALICE });
        const answer = { type: 'agent_answer', agent: id, prompt_id, approve: true };
        for (const each of [1, 2]) socket.send({ ...answer, id: each });
        expect(await socket.next('agent_answered')).toMatchObject({ agent: { id } });
        expect(await socket.next('error')).toMatchObject({ code: 'PROMPT_STALE' });
        socket.close();
      }
      await world.shows(ALICE, agent, 'ANSWER 1 APPROVED');
      await stop(ALICE, agent);
    };
    await over('gRPC');
    await over('WebSocket');
  });

  it('a second agent in a worktree, and taking up what runs, what cannot be, and what is somebody else’s', async () => {
    const agent = await world.begin(ALICE, { create_worktree: { repository: 'app', name: 'alone' } });
    const beside = { provider: 'plain', worktree_id: agent['worktree_id'] };
    expect(await codes(ALICE, '', 'start', beside)).toEqual(Array(3).fill('AGENT_STILL_RUNNING'));
    expect(await codes(ALICE, '/resume', 'resume', { id: agent.id })).toEqual(Array(2).fill('AGENT_STILL_RUNNING'));
    await stop(ALICE, agent);
    // Whoever may do everything with it still gives nobody's session away, nor his own environment.
    const powerful = token({ sub: 'olga', roles: ['operator'] });
    expect(await codes(powerful, '/resume', 'resume', { id: agent.id })).toEqual(Array(2).fill('PERMISSION_DENIED'));
    const denied = await world.call(powerful, 'POST', `/agents/${agent.id}/resume`, {});
    expect(denied.text).toContain('Only its owner');
    const forgetful = await world.begin(ALICE, { provider: 'forgetful', prompt: 'exit' });
    await world.reaches(forgetful.id, 'exited');
    expect(await codes(ALICE, '/resume', 'resume', { id: forgetful.id })).toEqual(Array(2).fill('AGENT_CANNOT_RESUME'));
  });

  it('without a credential', async () => {
    expect((await world.call(null, 'GET', '/agents')).status).toBe(401);
    const client = world.grpc(null);
    expect(reasonOf(await refused(client.call('list', {})))).toBe('AUTH_TOKEN_MISSING');
    client.close();
  });
});

describe('more agents than a user may have', () => {
  it('are refused on every transport', async () => {
    const small = await AgentWorld.start({ AGENTS_PER_USER: '1' });
    const agent = await small.begin(ALICE);
    const request = { provider: 'plain' };
    expect(codeOf(await small.call(ALICE, 'POST', '/agents', request))).toBe('AGENT_LIMIT');
    const client = small.grpc(ALICE);
    expect(reasonOf(await refused(client.call('start', request)))).toBe('AGENT_LIMIT');
    client.close();
    const socket = await WsClient.open(small.gateway, '/ws', { credential: ALICE });
    socket.send({ type: 'agent_start', ...request });
    expect(await socket.next('error')).toMatchObject({ code: 'AGENT_LIMIT' });
    socket.close();
    await small.call(ALICE, 'POST', `/agents/${agent.id}/stop`);
    await small.remove();
  });
});
