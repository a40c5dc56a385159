import { describe, expect, it } from '@jest/globals';
import { hookLesson } from '../../src/runner/agent/hook-lessons.js';
import {
  BEGINNING,
  confidenceOf,
  isOver,
  type Exit,
  type Knowledge,
  learn,
  type Lesson,
  type PromptKind,
  type Source,
} from '../../src/runner/agent/state.js';

const prompt = (kind: PromptKind = 'permission') => ({ id: 'p', kind, text: '', options: [] });
const working = (source: Source, complete = true): Lesson => ({ type: 'working', source, complete });
const waiting = (source: Source, kind: PromptKind = 'input', complete = true): Lesson => ({
  ...{ type: 'waiting', source, complete },
  prompt: prompt(kind),
});
const ended = (exit: Partial<Exit>): Lesson => ({
  type: 'ended',
  exit: { code: 0, signal: null, wanted: false, loginMissing: false, ...exit },
});
const after = (...lessons: Lesson[]): Knowledge => lessons.reduce(learn, BEGINNING);

describe('what is known of an agent', () => {
  it.each<[string, Lesson[], string, Source]>([
    ['nothing yet', [], 'starting', 'process'],
    ['the screen moves', [working('screen', false)], 'working', 'screen'],
    [
      'the screen is quiet',
      [working('screen', false), waiting('screen', 'input', false)],
      'waiting_for_input',
      'screen',
    ],
    ['a hook is believed over the screen', [waiting('screen'), working('hook')], 'working', 'hook'],
    ['the screen is not believed once a hook has spoken', [working('hook'), waiting('screen')], 'working', 'hook'],
    ['nor over a protocol', [working('acp'), waiting('screen')], 'working', 'acp'],
    ['a protocol not over a hook', [waiting('hook'), working('acp')], 'waiting_for_input', 'hook'],
    [
      'a hook that does not tell all leaves the screen',
      [waiting('hook', 'input', false), working('screen', false)],
      'working',
      'screen',
    ],
    ['it was answered', [waiting('hook'), { type: 'resumed' }], 'working', 'hook'],
  ])('%s', (_, lessons, state, source) => {
    expect(after(...lessons)).toMatchObject({ state, source });
  });

  it.each<[string, Lesson[], Partial<Exit>, string, string | undefined]>([
    ['it ended by itself', [], {}, 'exited', undefined],
    [
      'a stop is no error, whatever it ends with',
      [],
      { wanted: true, code: null, signal: 'SIGKILL' },
      'stopped',
      undefined,
    ],
    ['an exit code', [], { code: 3 }, 'failed', 'AGENT_CRASHED'],
    ['a signal', [], { code: null, signal: 'SIGSEGV' }, 'failed', 'AGENT_CRASHED'],
    ['a missing login on the last screen', [], { code: 1, loginMissing: true }, 'failed', 'AGENT_LOGIN_REQUIRED'],
    ['the word login on the last screen of one that is done', [], { loginMissing: true }, 'exited', undefined],
    ['nobody logged in', [waiting('hook', 'login')], {}, 'failed', 'AGENT_LOGIN_REQUIRED'],
    ['nobody logged in on a screen', [waiting('screen', 'login')], { code: 1 }, 'failed', 'AGENT_LOGIN_REQUIRED'],
    ['a screen that spoke of a login to one that is done', [waiting('screen', 'login')], {}, 'exited', undefined],
  ])('%s', (_, before, exit, state, failure) => {
    expect(after(...before, ended(exit))).toMatchObject({ state, failure, source: 'process', prompt: undefined });
  });

  it('is final once it has ended: nothing makes a dead process work', () => {
    for (const exit of [{}, { code: 1 }, { wanted: true }]) {
      const over = after(ended(exit));
      expect(isOver(over)).toBe(true);
      for (const late of [working('hook'), waiting('hook'), { type: 'resumed' } as const, ended({ code: 9 })]) {
        expect(learn(over, late)).toBe(over);
      }
    }
  });

  it('waits for nothing when it works, and a screen is never sure', () => {
    expect(after(waiting('screen'), working('screen', false)).prompt).toBeUndefined();
    expect(after(waiting('hook'), { type: 'resumed' }).prompt).toBeUndefined();
    expect(confidenceOf(after(working('screen', false)))).toBe('low');
    expect(confidenceOf(after(working('hook')))).toBe('high');
    const known = after(working('hook'));
    expect(learn(known, working('hook'))).toBe(known);
  });
});

describe('what a hook means', () => {
  const claude = (event: string, about?: string) => hookLesson({ type: 'hook', of: 'claude', event, about });
  it.each<[string, string | undefined, string]>([
    ['SessionStart', undefined, 'nothing'],
    ['UserPromptSubmit', undefined, 'working'],
    ['PreToolUse', 'Bash', 'working'],
    ['PostToolUseFailure', 'Bash', 'working'],
    ['PermissionRequest', 'Bash', 'permission'],
    ['PermissionRequest', 'AskUserQuestion', 'question'],
    ['Notification', 'permission_prompt', 'permission'],
    ['Notification', 'idle_prompt', 'input'],
    ['Notification', 'auth_success', 'nothing'],
    ['Stop', undefined, 'input'],
    ['StopFailure', 'rate_limit', 'input'],
    ['StopFailure', 'authentication_failed', 'login'],
    ['SomethingNew', undefined, 'nothing'],
  ])('%s of Claude Code about %s', (event, about, meaning) => {
    const lesson = claude(event, about);
    expect(lesson.says === 'waiting' ? lesson.kind : lesson.says).toBe(meaning);
  });

  it('of Codex tells the end of a turn, and does not tell all', () => {
    const notify = (event: string) => hookLesson({ type: 'hook', of: 'notify', event });
    expect(notify('agent-turn-complete')).toMatchObject({ kind: 'input', complete: false });
    expect(notify('approval-requested')).toMatchObject({ kind: 'permission', complete: false });
    expect(notify('constructor')).toEqual({ says: 'nothing' });
    expect(claude('Notification', 'constructor')).toEqual({ says: 'nothing' });
  });
});
