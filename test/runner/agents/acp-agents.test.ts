import { afterAll, describe, expect, it, jest } from '@jest/globals';
import { alive } from '../alive.js';
import { codeOf } from '../runner-process.js';
import { until } from '../until.js';
import { AgentRunner, WAIT_MS } from './agent-runner.js';

jest.setTimeout(4 * WAIT_MS);
const runner = await AgentRunner.start(['acp-agent']);
afterAll(() => runner.stop());

const ACP = { binary: 'acp-agent', delivery: 'acp', acp: true, stop_keys: [Buffer.from([3]), Buffer.from([4])] };
const refusal = (call: Promise<unknown>): Promise<string> => call.then(() => 'no error', codeOf);

describe('an agent that speaks the Agent Client Protocol', () => {
  it('gets prompts by its protocol, shows the conversation, and tells every state for sure', async () => {
    const { id } = await runner.start({ ...ACP, prompt: 'hello\nworld' });
    await runner.shows(id, 'HEARD "hello\\nworld"');
    const waits = await runner.reaches(id, 'waiting_for_input', 'input');
    expect(waits).toMatchObject({ source: 'acp', confidence: 'high', resume_id: 'conversation-1' });
    expect(alive('hello\nworld')).toEqual([]);
    await runner.message(id, 'second');
    await runner.shows(id, 'HEARD "second"');
    await runner.runner.write(id, 'typed by hand\r');
    await runner.shows(id, 'HEARD "typed by hand"');
    // What the agent says steers no terminal.
    expect(await runner.runner.text(id)).not.toContain('\x1b');
    await runner.reaches(id, 'waiting_for_input', 'input');
    expect(await runner.stopAgent(id)).toMatchObject({ state: 'stopped' });
    expect(runner.states(id).filter((state, index, all) => state !== all[index - 1])).toEqual(
      expect.arrayContaining(['starting', 'working', 'waiting_for_input', 'stopped']),
    );
  });

  it('asks for permission with its own options, and is answered once from outside', async () => {
    for (const [kind, outcome] of [
      ['allow', 'OUTCOME selected once'],
      ['deny', 'OUTCOME selected no'],
    ]) {
      const { id } = await runner.start({ ...ACP, prompt: 'ask' });
      const { prompt } = await runner.reaches(id, 'waiting_for_input', 'permission');
      expect(prompt?.text).toBe('Run rm -rf build');
      expect(prompt?.options?.map((option) => option.kind)).toEqual(['other', 'allow', 'deny']);
      const option = prompt?.options?.find((each) => each.kind === kind)?.id ?? '';
      const answers = [0, 1].map(() => refusal(runner.answer(id, prompt?.id ?? '', option)));
      expect((await Promise.all(answers)).sort()).toEqual(['PROMPT_STALE', 'no error']);
      await runner.shows(id, outcome ?? '');
      await runner.stopAgent(id);
    }
  });

  it('is answered in the terminal as well, after which the answer from outside is stale', async () => {
    const { id } = await runner.start({ ...ACP, prompt: 'ask' });
    const { prompt } = await runner.reaches(id, 'waiting_for_input', 'permission');
    await runner.runner.write(id, 'maybe\r3\r');
    await runner.shows(id, 'OUTCOME selected no');
    expect(await refusal(runner.answer(id, prompt?.id ?? '', '1'))).toBe('PROMPT_STALE');
    await runner.stopAgent(id);
  });

  it('breaks off on Ctrl-C, goes on with an earlier conversation, and tells a missing login and a crash apart', async () => {
    const { id } = await runner.start({ ...ACP, prompt: 'long', resume_id: 'conversation-7' });
    await runner.shows(id, 'resumed conversation-7');
    await runner.shows(id, 'HEARD "long"');
    await runner.runner.write(id, '\x03');
    await runner.shows(id, '[cancelled]');
    await runner.stopAgent(id);
    const stranger = await runner.start({ ...ACP, args: ['no-login'], prompt: 'x' });
    expect(await runner.reaches(stranger.id, 'failed')).toMatchObject({ failure: 'AGENT_LOGIN_REQUIRED' });
    const crash = await runner.start({ ...ACP, prompt: 'crash' });
    expect(await runner.reaches(crash.id, 'failed')).toMatchObject({ failure: 'AGENT_CRASHED', signal: 'SIGSEGV' });
  });

  it('refuses a prompt more than can wait, and loses none of those that it took', async () => {
    const { id } = await runner.start({ ...ACP, prompt: 'long' });
    await runner.shows(id, 'HEARD "long"');
    const answers: string[] = [];
    for (let index = 0; index < 30; index += 1)
      answers.push(await refusal(runner.message(id, `more ${String(index)}.`)));
    const taken = answers.flatMap((answer, index) => (answer === 'no error' ? [index] : []));
    expect(taken).toHaveLength(16);
    expect(new Set(answers)).toEqual(new Set(['no error', 'INPUT_FULL']));
    for (const index of taken) await runner.shows(id, `more ${String(index)}.`);
    // Ctrl-C drops what waits: there is room again.
    await runner.runner.write(id, '\x03');
    await runner.shows(id, '[cancelled]');
    await runner.reaches(id, 'waiting_for_input', 'input');
    await runner.message(id, 'again');
    await runner.shows(id, 'HEARD "again"');
    await runner.stopAgent(id);
  });

  it('is not given the socket of its client, and does not begin anew when it cannot go on', async () => {
    const { id } = await runner.start({ ...ACP, prompt: 'variables' });
    await runner.shows(id, 'VARIABLES .');
    await runner.stopAgent(id);
    const forgetful = await runner.start({ ...ACP, args: ['no-load'], prompt: 'go on', resume_id: 'conversation-7' });
    expect(await runner.reaches(forgetful.id, 'failed')).toMatchObject({ failure: 'AGENT_CRASHED', exit_code: 1 });
    const output = await runner.runner.text(forgetful.id);
    expect(output).toContain('[This agent cannot go on with an earlier conversation.]');
    expect(output).not.toContain('HEARD');
  });

  it('does not outlive the client that it speaks to', async () => {
    const mark = `unique-${String(process.pid)}`;
    const { id } = await runner.start({ ...ACP, args: [mark], prompt: 'long' });
    await runner.shows(id, 'HEARD "long"');
    process.kill((await runner.runner.session(id)).pid ?? 0, 'SIGKILL');
    expect(await runner.reaches(id, 'failed')).toMatchObject({ signal: 'SIGKILL' });
    await until(() => alive(mark).length === 0, 'the agent is gone', WAIT_MS);
  });
});
