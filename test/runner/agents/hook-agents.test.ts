import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, jest } from '@jest/globals';
import { codeOf } from '../runner-process.js';
import { until } from '../until.js';
import { AgentRunner, WAIT_MS } from './agent-runner.js';
import { dialogFor, Hooked, HOOKED } from './hooked.js';

jest.setTimeout(4 * WAIT_MS);
const runner = await AgentRunner.start(['hook-agent']);
const hooked = new Hooked(runner);
const hook = hooked.hook.bind(hooked);
const started = hooked.started.bind(hooked);
afterAll(async () => {
  await runner.stop();
  hooked.remove();
});

const refusal = (call: Promise<unknown>): Promise<string> => call.then(() => 'no error', codeOf);

describe('an agent that tells its state by hooks', () => {
  it('works and waits as its hooks say, for sure, whatever is on its screen', async () => {
    const id = await started();
    expect(await runner.agent(id)).toMatchObject({ state: 'working', confidence: 'high', resume_id: 'conversation-9' });
    await hook(id, 'PreToolUse', { tool_name: 'Bash' });
    await hook(id, 'PermissionRequest', { tool_name: 'Bash', tool_input: { command: 'rm -rf build' } });
    const asks = await runner.reaches(id, 'waiting_for_input', 'permission');
    expect(asks).toMatchObject({
      source: 'hook',
      confidence: 'high',
      prompt: { text: 'Bash: {"command":"rm -rf build"}' },
    });
    await hook(id, 'Notification', { notification_type: 'permission_prompt', message: 'needs your permission' });
    expect((await runner.agent(id)).prompt?.id).toBe(asks.prompt?.id);
    await hooked.dialogs(id, dialogFor('rm -rf build'));
    await runner.answer(id, asks.prompt?.id ?? '', 'allow');
    await runner.shows(id, 'KEY "1"');
    expect(await refusal(runner.answer(id, asks.prompt?.id ?? '', 'allow'))).toBe('PROMPT_STALE');
    await hook(id, 'PostToolUse', { tool_name: 'Bash' });
    await hook(id, 'Stop', {});
    await runner.reaches(id, 'waiting_for_input', 'input');
    await runner.stopAgent(id);
    expect(runner.states(id).slice(-1)).toEqual(['stopped']);
    const sources = runner.seen.filter(({ session_id }) => session_id === id).map(({ source }) => source);
    expect(sources.slice(sources.indexOf('hook'))).not.toContain('screen');
  });

  it('makes a question stale that was answered in the terminal, and tells a missing login', async () => {
    const id = await started();
    await hook(id, 'PermissionRequest', { tool_name: 'Edit' });
    const { prompt } = await runner.reaches(id, 'waiting_for_input', 'permission');
    await hook(id, 'PostToolUse', { tool_name: 'Edit' });
    await runner.reaches(id, 'working');
    expect(await refusal(runner.answer(id, prompt?.id ?? '', 'deny'))).toBe('PROMPT_STALE');
    await hook(id, 'StopFailure', { error: 'authentication_failed' });
    await runner.reaches(id, 'waiting_for_input', 'login');
    await runner.stopAgent(id);
  });

  it('asks one thing after the other when tools run side by side, and each answer is for what was asked', async () => {
    const id = await started();
    const asks = (name: string, file: string) => ({ tool_name: name, tool_input: { file } });
    await hook(id, 'PermissionRequest', asks('Edit', 'one'));
    const first = await runner.reaches(id, 'waiting_for_input', 'permission');
    await hook(id, 'PermissionRequest', asks('Write', 'two'));
    await hook(id, 'PreToolUse', asks('Read', 'three'));
    await hook(id, 'PostToolUse', asks('Edit', 'another'));
    expect((await runner.agent(id)).prompt).toEqual(first.prompt);
    await hook(id, 'PostToolUse', asks('Edit', 'one'));
    const second = async (): Promise<boolean> => (await runner.agent(id)).prompt?.text === 'Write: {"file":"two"}';
    await until(second, 'it asks the second', WAIT_MS);
    expect(await refusal(runner.answer(id, first.prompt?.id ?? '', 'allow'))).toBe('PROMPT_STALE');
    await hook(id, 'PermissionRequest', asks('Edit', 'four'));
    await hooked.dialogs(id, dialogFor('two'));
    const answered = await runner.answer(id, (await runner.agent(id)).prompt?.id ?? '', 'allow');
    expect(answered).toMatchObject({ state: 'waiting_for_input', prompt: { text: 'Edit: {"file":"four"}' } });
    await hook(id, 'SessionEnd', {});
    await runner.reaches(id, 'working');
    await runner.stopAgent(id);
  });

  it('takes no message while a question is on its screen, whatever its hooks have told, until they say that it does', async () => {
    const id = await started({ waiting: ['hook agent'] });
    expect(await refusal(runner.message(id, 'y'))).toBe('AGENT_AWAITS_ANSWER');
    expect(await runner.runner.text(id)).not.toContain('PASTE');
    await hook(id, 'Stop', {});
    await runner.reaches(id, 'waiting_for_input', 'input');
    await runner.message(id, 'next');
    await runner.shows(id, 'PASTE');
    await runner.stopAgent(id);
  });

  it('is never taken up by what a program could read as an option, nor by another name than it was given', async () => {
    const id = await started();
    await hook(id, 'Stop', { session_id: '--dangerously-skip-permissions' });
    // It is heard all the same.
    await runner.reaches(id, 'waiting_for_input', 'input');
    expect(await runner.agent(id)).toMatchObject({ resume_id: 'conversation-9' });
    await runner.stopAgent(id);
    const { id: named } = await runner.start({ ...HOOKED, resume_id: 'given-1' });
    await runner.shows(named, 'HOOK SessionStart');
    await runner.runner.write(named, 'UserPromptSubmit {"session_id":"other-2"}\r');
    await until(async () => (await runner.agent(named)).source === 'hook', 'a hook is heard', WAIT_MS);
    expect(await runner.agent(named)).toMatchObject({ resume_id: 'given-1' });
    await runner.stopAgent(named);
  });

  it('is sent messages as a paste, where it takes one, of which nothing can break out', async () => {
    const { id } = await runner.start({ ...HOOKED, prompt: 'one\ntwo\x1b[201~\x03' });
    await runner.shows(id, 'PASTE "\\u001b[200~one\\ntwo[201~\\u001b[201~"');
    await runner.stopAgent(id);
  });

  it('is given its prompt after a question of its hooks is answered, however ready its screen is', async () => {
    const id = await hooked.begin({ ready: ['all set', 'at work'], prompt: 'the task' });
    await hook(id, 'PermissionRequest', { tool_name: 'Trust' });
    const { prompt } = await runner.reaches(id, 'waiting_for_input', 'permission');
    await hooked.dialogs(id, 'all set');
    // Output that the runner has looked at by the time another agent's prompt is given.
    const other = await runner.start({ ...HOOKED, prompt: 'another' });
    await runner.shows(other.id, 'PASTE');
    expect(await runner.runner.text(id)).not.toContain('PASTE');
    await hooked.dialogs(id, 'Trust this folder?\nDo you want to go on?');
    await runner.answer(id, prompt?.id ?? '', 'allow');
    await runner.shows(id, 'PASTE "\\u001b[200~the task');
    for (const each of [id, other.id]) await runner.stopAgent(each);
  });

  it('tells the end of a turn by notify, and the rest on its screen', async () => {
    const { id } = await runner.start({ ...HOOKED, hooks: 'notify', ready: ['nothing of this'], quiet_ms: 0 });
    await runner.shows(id, 'hook agent');
    await runner.runner.write(id, 'agent-turn-complete\r');
    expect(await runner.reaches(id, 'waiting_for_input', 'input')).toMatchObject({ source: 'hook', resume_id: 't-1' });
    await runner.message(id, 'go on');
    expect(await runner.agent(id)).toMatchObject({ state: 'working' });
    await runner.stopAgent(id);
  });
});

describe('the socket of the hooks', () => {
  it('is for the one user, takes its token alone, and hangs up on what is wrong, too long or too much', async () => {
    const id = await started();
    const folder = join(runner.runner.directory, 'a');
    const path = join(folder, readdirSync(folder)[0] ?? '', 's');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(path, '..')).mode & 0o777).toBe(0o700);
    const { pid } = await runner.runner.session(id);
    const environment = readFileSync(`/proc/${String(pid)}/environ`, 'utf8');
    const token = /GATEHOUSE_AGENT_TOKEN=([^\0]+)/.exec(environment)?.[1] ?? '';
    expect(readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8')).not.toContain(token);
    const hello = `${JSON.stringify({ token })}\n`;
    const stop = `${JSON.stringify({ type: 'hook', of: 'claude', event: 'Stop' })}\n`;
    for (const wrong of [
      `{"token":"${'x'.repeat(43)}"}\n${stop}`,
      stop,
      'nonsense\n',
      `${hello}{"type":"other"}\n${stop}`,
      `${hello}{"type":"acp_input"}\n${stop}`,
      `${hello}${JSON.stringify({ type: 'hook', of: 'notify', event: 'agent-turn-complete' })}\n`,
      `${hello}${JSON.stringify({ type: 'hook', of: 'claude', event: 'x'.repeat(100_000) })}\n${stop}`,
      `${hello}${'x'.repeat(100_000)}`,
      `${hello}${'{}\n'.repeat(1000)}${stop}`,
    ]) {
      await hungUp(path, wrong);
      expect((await runner.agent(id)).state).toBe('working');
    }
    const flood = stop.replace('Stop', 'Other').repeat(5000);
    await hungUp(path, `${hello}${flood}`);
    await until(
      async () => {
        await spoken(path, `${hello}${stop}`);
        return (await runner.agent(id)).state === 'waiting_for_input';
      },
      'it is heard again',
      WAIT_MS,
    );
    await runner.stopAgent(id);
  });

  it('never holds the program up: a hook that cannot tell anybody ends at once, without a word', () => {
    const main = join(process.cwd(), 'dist', 'src', 'runner', 'agent', 'hook-main.js');
    const folder = mkdtempSync(join(tmpdir(), 'gatehouse-hook-'));
    for (const socket of [undefined, join(folder, 'nobody')]) {
      const env = {
        PATH: process.env['PATH'],
        ...(socket && { GATEHOUSE_AGENT_SOCKET: socket, GATEHOUSE_AGENT_TOKEN: 'x' }),
      };
      for (const args of [['claude', 'Stop'], ['notify', '{"type":'], ['other'], []]) {
        const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
          env,
          input: '{"session_id":',
        });
        expect({ args, status, said: `${stdout.toString()}${stderr.toString()}` }).toEqual({
          args,
          status: 0,
          said: '',
        });
      }
    }
    rmSync(folder, { recursive: true });
  });
});

/** Sends something and waits until the other side has hung up. */
function hungUp(path: string, text: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(path, () => socket.write(text));
    socket
      .on('error', () => undefined)
      .on('close', () => {
        resolve();
      });
  });
}

/** Sends something and hangs up. */
function spoken(path: string, text: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(path, () => socket.end(text));
    socket
      .on('error', () => undefined)
      .on('close', () => {
        resolve();
      });
    socket.resume();
  });
}
