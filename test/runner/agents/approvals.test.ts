import { afterAll, describe, expect, it, jest } from '@jest/globals';
import { codeOf } from '../runner-process.js';
import { until } from '../until.js';
import { AgentRunner, PLAIN, WAIT_MS } from './agent-runner.js';
import { dialogFor, Hooked, toolFor } from './hooked.js';

jest.setTimeout(4 * WAIT_MS);
const runner = await AgentRunner.start(['plain-agent', 'hook-agent']);
const hooked = new Hooked(runner);
afterAll(async () => {
  await runner.stop();
  hooked.remove();
});

const refusal = (call: Promise<unknown>): Promise<string> => call.then(() => 'no error', codeOf);
const promptOf = async (id: string): Promise<string> => (await runner.agent(id)).prompt?.id ?? '';
/** Waits until it asks this, by another prompt than `before`. */
async function asks(id: string, text: string, before?: string): Promise<string> {
  const asked = async (): Promise<boolean> => {
    const { prompt } = await runner.agent(id);
    return prompt?.kind === 'permission' && prompt.text?.includes(text) === true && prompt.id !== before;
  };
  await until(asked, `it asks ${text}`, WAIT_MS);
  return promptOf(id);
}

const OPTIONS = [
  ['allow', '"1"'],
  ['deny', '"\\u001b"'],
] as const;
const forDialog = (key: string, command: string): string => `${key} FOR ${JSON.stringify(dialogFor(command))}`;

describe.each(['allow', 'deny'])('an answer (%s) to what its screen asks', (option) => {
  it('is not typed into the next question when the first was answered in the terminal', async () => {
    const { id } = await runner.start({ ...PLAIN, prompt: 'ask twice' });
    const first = await asks(id, 'May I run rm?');
    await runner.runner.write(id, 'n\r');
    await runner.shows(id, 'May I go on?');
    expect(await refusal(runner.answer(id, first, option))).toBe('PROMPT_STALE');
    expect(await runner.runner.text(id)).not.toContain('ANSWER 2');
    const second = await asks(id, 'May I go on?', first);
    await runner.answer(id, second, option);
    await runner.shows(id, `ANSWER 2 ${option === 'allow' ? 'APPROVED' : 'DENIED'}`);
    expect(await refusal(runner.answer(id, second, option))).toBe('PROMPT_STALE');
    await runner.stopAgent(id);
  });

  it('is not typed while somebody types into the terminal, until it was looked at anew', async () => {
    const { id } = await runner.start({ ...PLAIN, args: ['raw'], prompt: 'ask' });
    const first = await asks(id, 'May I run rm?');
    // It shows nothing of that, and has not read it yet for all that is known.
    await runner.runner.write(id, 'x');
    expect(await refusal(runner.answer(id, first, option))).toBe('PROMPT_STALE');
    // That its window has lost the focus tells the terminal by itself.
    await runner.runner.write(id, '\x1b[O');
    await until(
      async () => (await refusal(runner.answer(id, first, option))) === 'no error',
      'it is believed',
      WAIT_MS,
    );
    await runner.stopAgent(id);
  });
});

describe.each(OPTIONS)('an answer (%s) to what its hooks ask', (option, key) => {
  it('is not typed into the next dialog when the first was answered in the terminal, and each is answered once', async () => {
    const id = await hooked.started();
    await hooked.hook(id, 'PermissionRequest', toolFor('npm test'));
    await hooked.dialogs(id, dialogFor('npm test'), dialogFor('rm -rf ~/all'));
    const first = await asks(id, 'npm test');
    await runner.runner.write(id, '1');
    await runner.shows(id, 'rm -rf ~/all');
    // The first tool runs, of which no hook tells before it has ended.
    await hooked.hook(id, 'PermissionRequest', toolFor('rm -rf ~/all'));
    expect(await refusal(runner.answer(id, first, option))).toBe('PROMPT_STALE');
    expect(await hooked.keys(id)).toEqual([forDialog('"1"', 'npm test')]);
    const second = await asks(id, 'rm -rf ~/all');
    expect(await runner.answer(id, second, option)).toMatchObject({ state: 'working' });
    await runner.shows(id, 'at work');
    expect(await refusal(runner.answer(id, second, option))).toBe('PROMPT_STALE');
    expect(await refusal(runner.answer(id, first, option))).toBe('PROMPT_STALE');
    expect(await hooked.keys(id)).toEqual([forDialog('"1"', 'npm test'), forDialog(key, 'rm -rf ~/all')]);
    await hooked.hook(id, 'PostToolUse', toolFor('npm test'));
    expect(await runner.agent(id)).toMatchObject({ state: 'working' });
    await runner.stopAgent(id);
  });

  it('is not typed into a dialog of which no hook has told yet', async () => {
    const id = await hooked.started();
    await hooked.hook(id, 'PermissionRequest', toolFor('npm test'));
    await hooked.dialogs(id, dialogFor('rm -rf ~/all'));
    expect(await refusal(runner.answer(id, await promptOf(id), option))).toBe('PROMPT_UNCLEAR');
    expect(await hooked.keys(id)).toEqual([]);
    await runner.stopAgent(id);
  });

  it('is typed at once, for one dialog after the other, and waits for one that is still to be drawn', async () => {
    const id = await hooked.started();
    for (const command of ['npm test', 'rm -rf ~/all']) await hooked.hook(id, 'PermissionRequest', toolFor(command));
    const first = runner.answer(id, await promptOf(id), option);
    await hooked.dialogs(id, dialogFor('npm test'), dialogFor('rm -rf ~/all'));
    const { prompt } = await first;
    expect(prompt?.text).toContain('rm -rf ~/all');
    expect(await runner.answer(id, prompt?.id ?? '', option)).toMatchObject({ state: 'working' });
    await runner.shows(id, 'at work');
    expect(await hooked.keys(id)).toEqual([forDialog(key, 'npm test'), forDialog(key, 'rm -rf ~/all')]);
    await runner.stopAgent(id);
  });

  it('is for the one that the dialog shows, whichever asked first', async () => {
    const id = await hooked.started();
    for (const command of ['npm test', 'rm -rf ~/all']) await hooked.hook(id, 'PermissionRequest', toolFor(command));
    await hooked.dialogs(id, dialogFor('rm -rf ~/all'), dialogFor('npm test'));
    await runner.answer(id, await asks(id, 'rm -rf ~/all'), option);
    await runner.answer(id, await asks(id, 'npm test'), option);
    await runner.shows(id, 'at work');
    expect(await hooked.keys(id)).toEqual([forDialog(key, 'rm -rf ~/all'), forDialog(key, 'npm test')]);
    await runner.stopAgent(id);
  });

  it('is refused where two are open that look the same', async () => {
    const id = await hooked.started();
    for (const file of ['/a/x.ts', '/b/x.ts']) {
      await hooked.hook(id, 'PermissionRequest', { tool_name: 'Edit', tool_input: { file } });
    }
    await hooked.dialogs(id, dialogFor('x.ts'));
    expect(await refusal(runner.answer(id, await promptOf(id), option))).toBe('PROMPT_UNCLEAR');
    expect(await hooked.keys(id)).toEqual([]);
    await runner.stopAgent(id);
  });

  it('is refused where no signs of a dialog are known', async () => {
    const id = await hooked.started({ waiting: [] });
    await hooked.hook(id, 'PermissionRequest', toolFor('npm test'));
    await hooked.dialogs(id, dialogFor('npm test'));
    expect(await refusal(runner.answer(id, await promptOf(id), option))).toBe('PROMPT_UNCLEAR');
    expect(await hooked.keys(id)).toEqual([]);
    await runner.stopAgent(id);
  });
});

describe('what its hooks ask', () => {
  it('is not said to be waited for once its dialog was answered in the terminal, and asks anew when it comes back', async () => {
    const id = await hooked.started();
    await hooked.dialogs(id, dialogFor('npm test'));
    await hooked.hook(id, 'PermissionRequest', toolFor('npm test'));
    const first = await asks(id, 'npm test');
    expect(await runner.agent(id)).toMatchObject({ confidence: 'high' });
    await runner.runner.write(id, '1');
    expect(await runner.reaches(id, 'working')).toMatchObject({ source: 'screen', confidence: 'low' });
    expect(await refusal(runner.answer(id, first, 'allow'))).toBe('PROMPT_STALE');
    await hooked.dialogs(id, dialogFor('npm test'));
    const again = await asks(id, 'npm test', first);
    await runner.answer(id, again, 'allow');
    await hooked.hook(id, 'PreToolUse', toolFor('npm test'));
    expect(await runner.agent(id)).toMatchObject({ state: 'working', confidence: 'high' });
    await runner.stopAgent(id);
  });

  it('is asked anew when somebody has typed and something was shown, though it looks the same', async () => {
    const id = await hooked.started();
    await hooked.dialogs(id, dialogFor('npm test'), dialogFor('npm test'));
    await hooked.hook(id, 'PermissionRequest', toolFor('npm test'));
    const first = await asks(id, 'npm test');
    await runner.runner.write(id, '1');
    const second = await asks(id, 'npm test', first);
    expect(await refusal(runner.answer(id, first, 'allow'))).toBe('PROMPT_STALE');
    await runner.answer(id, second, 'allow');
    await runner.shows(id, 'at work');
    expect(await hooked.keys(id)).toHaveLength(2);
    await runner.stopAgent(id);
  });
});
