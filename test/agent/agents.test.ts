import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { ServiceError } from '@grpc/grpc-js';
import { type Agent, AgentWorld, ALICE, BOB, promptOf } from '../support/agent-world.js';
import { token, until } from '../support/gateway.js';
import { endOf, reasonOf } from '../support/grpc-client.js';
import { codeOf } from '../support/rest.js';
import { WsClient } from '../support/ws-client.js';

jest.setTimeout(120_000);

let world: AgentWorld;
beforeAll(async () => {
  world = await AgentWorld.start();
});
afterAll(() => world.remove());

const stop = (who: string, { id }: Agent) => world.call(who, 'POST', `/agents/${id}/stop`);

describe('an agent', () => {
  it('is started, watched, answered once, told more, stopped, and every step is on record without what was said', async () => {
    const watcher = await WsClient.open(world.gateway, '/ws', { credential: ALICE });
    watcher.send({ type: 'watch_agents', id: 1 });
    expect(await watcher.next('watching_agents')).toMatchObject({ id: 1 });

    const agent = await world.begin(ALICE, { prompt: 'please ask for tea-kettle' });
    expect(agent).toMatchObject({ provider: 'plain', owner: 'alice', approve: 'ask', worktree_id: null, resumes: 0 });
    const asking = await world.reaches(agent.id, 'waiting_for_input', 'permission');
    expect(asking).toMatchObject({
      source: 'screen',
      confidence: 'low',
      prompt: { options: [{ kind: 'allow' }, { kind: 'deny' }] },
    });
    await until('the watcher hears of the question', () =>
      watcher.messages.some(
        (message) => message.type === 'agent_changed' && JSON.stringify(message['agent']).includes(promptOf(asking)),
      ),
    );

    const answer = { prompt_id: promptOf(asking), approve: true };
    const answers = await Promise.all([
      world.call(ALICE, 'POST', `/agents/${agent.id}/answer`, answer),
      world.call(ALICE, 'POST', `/agents/${agent.id}/answer`, answer),
    ]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
    expect(answers.map(codeOf)).toContain('PROMPT_STALE');
    await world.shows(ALICE, agent, 'APPROVED');

    await world.reaches(agent.id, 'waiting_for_input', 'input');
    expect((await world.call(ALICE, 'POST', `/agents/${agent.id}/message`, { text: 'loop tea-kettle' })).status).toBe(
      204,
    );
    await world.reaches(agent.id, 'working');
    expect((await stop(ALICE, agent)).body).toMatchObject({
      state: 'stopped',
      ended_at: expect.any(String),
      prompt: null,
    });
    expect(codeOf(await stop(ALICE, agent))).toBe('AGENT_NOT_RUNNING');
    watcher.close();

    const resource = `agent:${agent.id}`;
    for (const action of ['agent.start', 'agent.approval_requested', 'agent.message', 'agent.stop', 'agent.exit']) {
      expect(await world.gateway.audit({ action, resource, success: true })).toHaveLength(1);
    }
    const answered = await world.gateway.audit({ action: 'agent.approval_answered', resource }, 2);
    expect(answered.map(({ success }) => success).sort()).toEqual([false, true]);
  });

  it('is told what to do where nobody else can read it', async () => {
    const agent = await world.begin(ALICE, {
      prompt: 'loop over my-secret-plan',
      env: { MY_API_KEY: 'my-secret-key' },
    });
    await world.shows(ALICE, agent, 'my-secret-plan');
    await world.call(ALICE, 'POST', `/agents/${agent.id}/message`, { text: 'and my-secret-wish' });
    expect(execFileSync('ps', ['axww', '-o', 'args'], { encoding: 'utf8' })).not.toMatch(/my-secret-(plan|wish|key)/);
    expect(world.gateway.stdout).not.toContain('my-secret');
    const rows = await world.gateway.query('SELECT * FROM agents');
    const events = await world.gateway.query('SELECT * FROM audit_events');
    const sessions = await world.gateway.query('SELECT * FROM sessions');
    expect(JSON.stringify([rows, events, sessions])).not.toContain('my-secret');
    await stop(ALICE, agent);
  });

  it('is given its prompt on its standard input where its provider reads it there', async () => {
    const agent = await world.begin(ALICE, { provider: 'piped', prompt: 'loop over my-piped-plan\nand more' });
    await world.shows(ALICE, agent, 'GOT "loop over my-piped-plan"');
    await world.shows(ALICE, agent, 'GOT "and more"');
    // It runs, and has read it: neither it nor what started it shows the prompt.
    const processes = execFileSync('ps', ['axww', '-o', 'args'], { encoding: 'utf8' });
    expect(processes).toContain('stdin-main.js');
    expect(processes).not.toContain('my-piped-plan');
    expect((await stop(ALICE, agent)).body).toMatchObject({ state: 'stopped' });
  });

  it('works in a worktree made for it, alone unless more are asked for', async () => {
    const agent = await world.begin(ALICE, {
      create_worktree: { repository: 'app', name: 'Tea time' },
      prompt: 'loop',
    });
    const id = String(agent['worktree_id']);
    const worktree = (await world.call(ALICE, 'GET', `/worktrees/${id}`)).body;
    expect(worktree).toMatchObject({ state: 'ready', name: 'Tea time', owner: 'alice' });
    const session = (await world.call(ALICE, 'GET', `/sessions/${agent.session_id}`)).body;
    expect(session).toMatchObject({ cwd: worktree['path'], worktree_id: id, state: 'running' });
    await world.gateway.audit({ action: 'worktree.create', resource: `worktree:${id}` });

    const beside = { provider: 'plain', worktree_id: id };
    expect(codeOf(await world.call(ALICE, 'POST', '/agents', beside))).toBe('AGENT_STILL_RUNNING');
    const second = await world.begin(ALICE, { ...beside, share_worktree: true });
    expect(codeOf(await world.call(ALICE, 'DELETE', `/worktrees/${id}`))).toBe('WOULD_LOSE_WORK');
    expect((await stop(ALICE, second)).status).toBe(200);
    expect((await stop(ALICE, agent)).status).toBe(200);
    expect((await world.call(ALICE, 'DELETE', `/worktrees/${id}`)).status).toBe(200);
    expect(codeOf(await world.call(ALICE, 'POST', `/agents/${agent.id}/resume`, {}))).toBe('WORKTREE_NOT_READY');
  });

  it('starts after the setup of its worktree, or not at all when that fails', async () => {
    const made = { repository: 'app', name: 'set up' };
    const setup = ['sh', '-c', 'echo from-setup > made-by-setup'];
    const agent = await world.begin(ALICE, { create_worktree: { ...made, setup } });
    const status = (await world.call(ALICE, 'GET', `/worktrees/${String(agent['worktree_id'])}/status`)).body;
    expect(JSON.stringify(status)).toContain('made-by-setup');
    await stop(ALICE, agent);

    const failing = { provider: 'plain', create_worktree: { ...made, setup: ['sh', '-c', 'echo oh-no; exit 3'] } };
    const refusal = await world.call(ALICE, 'POST', '/agents', failing);
    expect(codeOf(refusal)).toBe('START_FAILED');
    const { details } = refusal.body['error'] as { details: { worktree_id: string; setup_session_id: string } };
    expect((await world.call(ALICE, 'GET', `/sessions/${details.setup_session_id}/output`)).text).toContain('oh-no');
    expect((await world.call(ALICE, 'GET', `/worktrees/${details.worktree_id}`)).body).toMatchObject({
      state: 'ready',
    });
  });

  it('that cannot be started leaves nothing behind', async () => {
    const count = async () => Number((await world.gateway.query('SELECT count(*) FROM worktrees'))[0]?.['count']);
    const before = await count();
    const request = { provider: 'absent', create_worktree: { repository: 'app', name: 'never' } };
    const refusal = await world.call(ALICE, 'POST', '/agents', request);
    expect([refusal.status, codeOf(refusal)]).toEqual([422, 'AGENT_BINARY_MISSING']);
    expect(await count()).toBe(before);
    expect(await world.gateway.query(`SELECT id FROM agents WHERE provider = 'absent'`)).toEqual([]);
  });

  it('is told apart by how it ended', async () => {
    const [crashed, failed, done, strange] = await Promise.all([
      world.begin(ALICE, { prompt: 'crash' }),
      world.begin(ALICE, { prompt: 'fail' }),
      world.begin(ALICE, { prompt: 'exit' }),
      world.begin(token({ sub: 'alice', roles: ['admin'] }), { args: ['no-login', 'leave'] }),
    ]);
    expect(await world.reaches(crashed.id, 'failed')).toMatchObject({ failure: 'AGENT_CRASHED', signal: 'SIGSEGV' });
    const told = await world.reaches(failed.id, 'failed');
    expect(told).toMatchObject({ failure: 'AGENT_CRASHED', exit_code: 3, output_tail: expect.stringContaining('GOT') });
    expect(await world.reaches(done.id, 'exited')).toMatchObject({ exit_code: 0, output_tail: null });
    expect(await world.reaches(strange.id, 'failed')).toMatchObject({ failure: 'AGENT_LOGIN_REQUIRED' });
    const [event] = await world.gateway.audit({ action: 'agent.exit', resource: `agent:${crashed.id}` });
    expect(event).toMatchObject({ success: false, reason: 'AGENT_CRASHED' });
  });

  it('that has ended is taken up again: the same agent, another session', async () => {
    const agent = await world.begin(ALICE, { prompt: 'exit' });
    expect(codeOf(await world.call(ALICE, 'POST', `/agents/${(await world.begin(ALICE)).id}/resume`, {}))).toBe(
      'AGENT_STILL_RUNNING',
    );
    expect(await world.reaches(agent.id, 'exited')).toMatchObject({ resumable: true });
    const again = await world.call(ALICE, 'POST', `/agents/${agent.id}/resume`, { prompt: 'loop again' });
    expect([again.status, again.body]).toMatchObject([200, { id: agent.id, resumes: 1 }]);
    expect(again.body['session_id']).not.toBe(agent.session_id);
    await world.shows(ALICE, again.body as Agent, 'loop again');
    await stop(ALICE, again.body as Agent);

    const forgetful = await world.begin(ALICE, { provider: 'forgetful', prompt: 'exit' });
    expect(await world.reaches(forgetful.id, 'exited')).toMatchObject({ resumable: false });
    expect(codeOf(await world.call(ALICE, 'POST', `/agents/${forgetful.id}/resume`, {}))).toBe('AGENT_CANNOT_RESUME');
  });

  it('is started once for a request that comes twice', async () => {
    const request = { provider: 'plain', request_id: 'once-1', create_worktree: { repository: 'app', name: 'once' } };
    const answers = await Promise.all([1, 2, 3].map(() => world.call(ALICE, 'POST', '/agents', request)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 201]);
    expect(new Set(answers.map(({ body }) => body['id'])).size).toBe(1);
    const other = await world.call(ALICE, 'POST', '/agents', { ...request, name: 'another' });
    expect(codeOf(other)).toBe('IDEMPOTENCY_CONFLICT');
    await stop(ALICE, answers[0]?.body as Agent);
  });
});

describe('over gRPC', () => {
  it('one call makes a worktree and starts the agent, and a stream tells what becomes of it', async () => {
    const client = world.grpc(ALICE);
    const { agent: started, idempotent_replay } = await client.call('start', {
      ...{ provider: 'plain', prompt: 'ask me', approve: 'APPROVE_ASK' },
      create_worktree: { repository: 'app', name: 'by gRPC' },
    });
    const { id } = started as { id: string };
    expect(idempotent_replay).toBe(false);
    const stream = client.watch({ id });
    const seen: Agent[] = [];
    stream.on('data', ({ agent }: { agent: Agent }) => seen.push(agent));
    stream.on('error', () => undefined);
    await until(
      'it asks',
      () => (seen.at(-1)?.['prompt'] as { kind?: string } | undefined)?.kind === 'PROMPT_KIND_PERMISSION',
    );
    const prompt_id = (seen.at(-1)?.['prompt'] as { id: string }).id;
    expect(await client.call('answer', { id, prompt_id, approve: false })).toMatchObject({ agent: { id } });
    await until(
      'it waits for more',
      () => (seen.at(-1)?.['prompt'] as { kind?: string } | undefined)?.kind === 'PROMPT_KIND_INPUT',
    );
    await client.call('message', { id, text: 'loop' });
    const { agent: stopped } = await client.call('stop', { id });
    expect(stopped).toMatchObject({ state: 'AGENT_STATE_STOPPED', confidence: 'CONFIDENCE_HIGH' });
    await until('the stream tells', () => seen.at(-1)?.['state'] === 'AGENT_STATE_STOPPED');
    expect(await client.call('resume', { id, prompt: 'loop' })).toMatchObject({ agent: { id, resumes: 1 } });
    await client.call('stop', { id });
    stream.cancel();
    const { agents } = await client.call('list', { state: 'AGENT_STATE_STOPPED', limit: 1 });
    expect(agents).toHaveLength(1);
    const { providers } = await client.call('listProviders', {});
    expect(providers).toContainEqual(
      expect.objectContaining({ id: 'plain', installed: true, version: expect.stringContaining('1.2.3') }),
    );
    expect(providers).toContainEqual(expect.objectContaining({ id: 'absent', installed: false }));
    client.close();
  });

  it('a stream of all tells of one’s own only, on another gateway too, and ends with its credential', async () => {
    const sibling = await world.gateway.sibling();
    const client = world.grpc(ALICE, sibling);
    const stream = client.watch();
    const seen = new Set<string>();
    stream.on('data', ({ agent }: { agent: { id: string } }) => seen.add(agent.id));
    stream.on('error', () => undefined);
    const [mine, others] = [await world.begin(ALICE), await world.begin(BOB)];
    // What comes after Bob's agent was told is seen: so would that have been.
    const later = await world.begin(ALICE);
    await until('it is told', () => seen.has(mine.id) && seen.has(later.id), 60_000);
    expect(seen.has(others.id)).toBe(false);
    await Promise.all([stop(ALICE, mine), stop(BOB, others), stop(ALICE, later)]);
    stream.cancel();
    client.close();
    // Long enough to be opened with on a slow machine; nothing else is to happen in it.
    const short = world.grpc(token({ sub: 'alice', exp: Math.floor(Date.now() / 1000) + 20 }), sibling);
    expect(reasonOf((await endOf(short.watch())) as ServiceError)).toBe('SESSION_EXPIRED');
    short.close();
    await sibling.end();
  });
});

describe('over WebSocket', () => {
  it('a start goes on beside what is typed meanwhile, and the agent is answered and stopped', async () => {
    const socket = await WsClient.open(world.gateway, '/ws', { credential: ALICE });
    const setup = ['sh', '-c', 'sleep 3'];
    socket.send({
      type: 'agent_start',
      id: 'a',
      provider: 'plain',
      prompt: 'ask',
      create_worktree: { repository: 'app', name: 'ws', setup },
    });
    socket.send({ type: 'ping', id: 'p' });
    await socket.next('pong');
    expect(socket.messages.some(({ type }) => type === 'agent_started')).toBe(false);
    const { agent, id } = (await socket.next('agent_started')) as unknown as { agent: Agent; id: string };
    expect(id).toBe('a');
    const asking = await world.reaches(agent.id, 'waiting_for_input', 'permission');
    socket.send({ type: 'agent_answer', id: 'b', agent: agent.id, prompt_id: promptOf(asking), option_id: 'deny' });
    expect(await socket.next('agent_answered')).toMatchObject({ id: 'b' });
    await world.shows(ALICE, agent, 'DENIED');
    await world.reaches(agent.id, 'waiting_for_input', 'input');
    socket.send({ type: 'agent_message', agent: agent.id, text: 'loop' });
    await socket.next('agent_told');
    socket.send({ type: 'agent_stop', id: 'c', agent: agent.id });
    expect(await socket.next('agent_stopped')).toMatchObject({ id: 'c', agent: { state: 'stopped' } });
    socket.close();
  });
});
