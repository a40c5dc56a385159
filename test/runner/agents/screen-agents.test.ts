import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it, jest } from '@jest/globals';
import { alive } from '../alive.js';
import { codeOf } from '../runner-process.js';
import { until } from '../until.js';
import { AgentRunner, PLAIN, WAIT_MS } from './agent-runner.js';

jest.setTimeout(4 * WAIT_MS);
const runner = await AgentRunner.start(['plain-agent']);
afterAll(() => runner.stop());

const refusal = (call: Promise<unknown>): Promise<string> => call.then(() => 'no error', codeOf);

describe('an agent that only its screen tells about', () => {
  it('waits for input when it is ready, works when it is written to, and stops on request without an error', async () => {
    const { id, answer } = await runner.start(PLAIN);
    expect(answer.agent).toMatchObject({ state: 'starting', session_id: id });
    const waiting = await runner.reaches(id, 'waiting_for_input', 'input');
    expect(waiting).toMatchObject({ source: 'screen', confidence: 'low', prompt: { kind: 'input' } });
    await runner.message(id, 'loop');
    expect(await runner.reaches(id, 'working')).toBeDefined();
    expect(await runner.stopAgent(id)).toMatchObject({ state: 'stopped', source: 'process' });
    expect(runner.states(id)).toEqual(['starting', 'waiting_for_input', 'working', 'stopped']);
  });

  it('is given its prompt once it is ready, on one line since it takes no paste', async () => {
    const { id } = await runner.start({ ...PLAIN, prompt: 'first\nsecond \x1b[201~\x03third' });
    await runner.shows(id, 'GOT "first second [201~third"');
    expect(await runner.stopAgent(id)).toMatchObject({ state: 'stopped' });
  });

  it.each(['outside', 'the terminal'])(
    'is given its prompt after what it asks first was answered in %s',
    async (where) => {
      const { id } = await runner.start({ ...PLAIN, args: ['trust'], prompt: 'the task' });
      const { prompt } = await runner.reaches(id, 'waiting_for_input', 'permission');
      expect(prompt?.text).toContain('Do you trust this folder?');
      if (where === 'outside') await runner.answer(id, prompt?.id ?? '', 'allow');
      else await runner.runner.write(id, 'y\r');
      await runner.shows(id, 'GOT "the task"');
      expect(await runner.runner.text(id)).toContain('APPROVED');
      expect(await refusal(runner.answer(id, prompt?.id ?? '', 'deny'))).toBe('PROMPT_STALE');
      await runner.stopAgent(id);
    },
  );

  it('is given its prompt though as many messages as can wait came before it was ready', async () => {
    const { id } = await runner.start({ ...PLAIN, args: ['silent'], prompt: 'the end' });
    await runner.shows(id, '> ');
    const messages = Array.from({ length: 17 }, () => refusal(runner.message(id, 'more')));
    expect((await Promise.all(messages)).toSorted()).toEqual(['INPUT_FULL', ...Array<string>(16).fill('no error')]);
    await runner.shows(id, 'HEARD 17');
    await runner.stopAgent(id);
  });

  it('has a question answered once, with yes or no; a second or a made-up answer is stale', async () => {
    for (const [option, shown] of [
      ['allow', 'APPROVED'],
      ['deny', 'DENIED'],
    ] as const) {
      const { id } = await runner.start({ ...PLAIN, prompt: 'ask' });
      const { prompt } = await runner.reaches(id, 'waiting_for_input', 'permission');
      expect(prompt?.options?.map((each) => each.id)).toEqual(['allow', 'deny']);
      expect(prompt?.text).toContain('May I run rm?');
      expect(await refusal(runner.answer(id, 'made-up', option))).toBe('PROMPT_STALE');
      expect(await refusal(runner.answer(id, prompt?.id ?? '', 'perhaps'))).toBe('INVALID_ARGUMENT');
      expect(await refusal(runner.message(id, 'y'))).toBe('AGENT_AWAITS_ANSWER');
      const [first, second] = await Promise.all([
        refusal(runner.answer(id, prompt?.id ?? '', option)),
        refusal(runner.answer(id, prompt?.id ?? '', option)),
      ]);
      expect([first, second].sort()).toEqual(['PROMPT_STALE', 'no error']);
      await runner.shows(id, shown);
      await runner.reaches(id, 'waiting_for_input', 'input');
      await runner.stopAgent(id);
    }
  });

  it('has a question that somebody answered in the terminal become stale', async () => {
    const { id } = await runner.start({ ...PLAIN, prompt: 'ask' });
    const { prompt } = await runner.reaches(id, 'waiting_for_input', 'permission');
    await runner.runner.write(id, 'n\r');
    await runner.reaches(id, 'waiting_for_input', 'input');
    expect(await refusal(runner.answer(id, prompt?.id ?? '', 'allow'))).toBe('PROMPT_STALE');
    expect(await runner.runner.text(id)).not.toContain('APPROVED');
    await runner.stopAgent(id);
  });
});

describe('how an agent ends', () => {
  it('is told apart: by itself, by a signal, with an error, by a kill of its session', async () => {
    const by = async (prompt: string): Promise<unknown> => {
      const { id } = await runner.start({ ...PLAIN, prompt });
      await until(
        async () => (await runner.agent(id)).source === 'process' && runner.states(id).length > 2,
        'it ends',
        WAIT_MS,
      );
      return runner.agent(id);
    };
    expect(await by('exit')).toMatchObject({ state: 'exited', exit_code: 0 });
    expect(await by('crash')).toMatchObject({ state: 'failed', failure: 'AGENT_CRASHED', signal: 'SIGSEGV' });
    const failed = (await by('fail')) as { output_tail?: Buffer };
    expect(failed).toMatchObject({ state: 'failed', failure: 'AGENT_CRASHED', exit_code: 3 });
    expect(failed.output_tail?.toString()).toContain('GOT "fail"');
    const { id } = await runner.start({ ...PLAIN, prompt: 'loop' });
    await runner.shows(id, 'still at it');
    await runner.runner.kill(id, 'killed');
    expect(await runner.agent(id)).toMatchObject({ state: 'stopped' });
  });

  it('is a missing login when its last screen says so, and one that waits for a login says that too', async () => {
    const left = await runner.start({ ...PLAIN, args: ['no-login', 'leave'] });
    expect(await runner.reaches(left.id, 'failed')).toMatchObject({ failure: 'AGENT_LOGIN_REQUIRED', exit_code: 1 });
    const waits = await runner.start({ ...PLAIN, args: ['no-login'], prompt: 'secret work' });
    expect(await runner.reaches(waits.id, 'waiting_for_input', 'login')).toMatchObject({ confidence: 'low' });
    await runner.stopAgent(waits.id);
    expect(await runner.runner.text(waits.id)).not.toContain('secret work');
  });

  it('comes by force for one that ignores every request, and takes all its processes along', async () => {
    const { id } = await runner.start({ ...PLAIN, args: ['stubborn'], prompt: 'loop', stop_keys: [Buffer.from([3])] });
    await runner.shows(id, 'still at it');
    const { pid } = await runner.runner.session(id);
    expect(await runner.stopAgent(id)).toMatchObject({ state: 'stopped', signal: 'SIGKILL' });
    expect(existsSync(`/proc/${String(pid)}`)).toBe(false);
  });

  it('is final: what has ended takes no message and no answer, and is never said to work', async () => {
    const { id } = await runner.start({ ...PLAIN, prompt: 'loop' });
    await runner.reaches(id, 'working');
    process.kill((await runner.runner.session(id)).pid ?? 0, 'SIGKILL');
    expect(await runner.reaches(id, 'failed')).toMatchObject({ failure: 'AGENT_CRASHED', signal: 'SIGKILL' });
    expect(await refusal(runner.message(id, 'more'))).toBe('AGENT_NOT_RUNNING');
    expect(await refusal(runner.answer(id, 'any', 'allow'))).toBe('AGENT_NOT_RUNNING');
    expect(await runner.stopAgent(id)).toMatchObject({ state: 'failed' });
    expect(runner.states(id).at(-1)).toBe('failed');
  });
});

describe('starting', () => {
  it('refuses a program that is not there, a path, and a specification that makes no sense', async () => {
    expect(await refusal(runner.start({ ...PLAIN, binary: 'no-such-agent' }))).toBe('AGENT_BINARY_MISSING');
    for (const wrong of [
      { binary: '/bin/sh' },
      { binary: '../sh' },
      { delivery: 'shell' },
      { hooks: 'other' },
      { waiting: ['('] },
      { ready: ['x'.repeat(257)] },
      { ready: Array<string>(17).fill('x') },
      { prompt: 'x'.repeat(102_401) },
      { delivery: 'flag' },
      { acp: true },
      { resume_id: '--yolo' },
      { resume_id: 'a b' },
      { resume_id: 'x'.repeat(129) },
    ]) {
      expect({ wrong, code: await refusal(runner.start({ ...PLAIN, ...wrong })) }).toEqual({
        wrong,
        code: 'INVALID_ARGUMENT',
      });
    }
  });

  it('says which caps are not in force, and starts all the same', async () => {
    const { id, answer } = await runner.start({ ...PLAIN, memory_bytes: 2 ** 30, cpu_percent: 100 });
    const given = answer.command?.includes('--scope') === true;
    const named = (answer.not_applied ?? []).map((each) => each.split(':')[0]);
    expect(named).toEqual(given ? [] : ['memory_bytes', 'cpu_percent']);
    await runner.reaches(id, 'waiting_for_input', 'input');
    await runner.stopAgent(id);
    const uncapped = await runner.start(PLAIN);
    expect(uncapped.answer.not_applied ?? []).toEqual([]);
    await runner.stopAgent(uncapped.id);
  });

  it('finds what is installed, with its version, and says nothing of what is not', async () => {
    const version_args = ['--version'];
    const { programs } = await runner.detect([
      { id: 'plain', binary: 'plain-agent', version_args },
      { id: 'none', binary: 'no-such-agent', version_args },
      { id: 'silent', binary: 'true', version_args: [] },
    ]);
    expect(programs).toMatchObject([
      { id: 'plain', path: join(runner.bin, 'plain-agent'), version: 'plain-agent 1.2.3' },
      { id: 'silent', version: '' },
    ]);
    expect(await refusal(runner.detect([{ id: 'x', binary: '/bin/true' }]))).toBe('INVALID_ARGUMENT');
  });

  it('hides a prompt that can be typed or piped from the process table, the log and the environment', async () => {
    for (const delivery of ['typed', 'stdin']) {
      const secret = `secret-${delivery}-${String(process.pid)}`;
      const { id, answer } = await runner.start({ ...PLAIN, delivery, prompt: `${secret} loop` });
      await runner.shows(id, `GOT "${secret} loop"`);
      expect(alive(secret)).toEqual([]);
      expect(answer.command?.join(' ')).not.toContain(secret);
      const { pid } = await runner.runner.session(id);
      const environment = readFileSync(`/proc/${String(pid)}/environ`, 'utf8');
      expect(environment).not.toContain(secret);
      expect(environment).not.toContain('of-the-server');
      expect(runner.runner.output.join('')).not.toContain(secret);
      await runner.stopAgent(id);
    }
  });

  it('runs ten at once, each on its own', async () => {
    const started = await Promise.all(
      Array.from({ length: 10 }, (_, index) => runner.start({ ...PLAIN, prompt: `task ${String(index)}` })),
    );
    await Promise.all(started.map(({ id }, index) => runner.shows(id, `GOT "task ${String(index)}"`)));
    const ended = await Promise.all(started.map(({ id }) => runner.stopAgent(id)));
    expect(ended.map(({ state }) => state)).toEqual(Array(10).fill('stopped'));
    expect(readdirSync(join(runner.runner.directory, 'a'))).toHaveLength(0);
  });
});
