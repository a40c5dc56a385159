import { describe, expect, it } from '@jest/globals';
import { AskedPermissions, MAX_WAITING_QUESTIONS } from '../../src/runner/agent/asked-permissions.js';
import { askedBy } from '../../src/runner/agent/dialog.js';
import { Patterns } from '../../src/runner/agent/patterns.js';
import { dialogOn } from '../../src/runner/agent/screen-question.js';
import { shortened } from '../../src/runner/agent/shortened.js';

const asked = (name: string, input = '', signs: string[] = []) => ({
  ...{ kind: 'permission' as const, text: name, call: { name, input }, signs },
});

describe('what hooks have asked permission for', () => {
  it('is settled by the same call of the same tool alone', () => {
    const all = new AskedPermissions();
    all.add(asked('Edit', 'a'), 0);
    all.add(asked('Edit', 'b'), 0);
    for (const call of [asked('Bash', 'a'), asked('Edit', 'c')]) all.settle(call.call);
    expect(all.first).toMatchObject(asked('Edit', 'a'));
    all.settle(asked('Edit', 'b').call);
    all.settle(asked('Edit').call);
    expect(all.first).toBeUndefined();
  });

  it('is kept up to a limit', () => {
    const all = new AskedPermissions();
    for (let index = 0; index < MAX_WAITING_QUESTIONS + 5; index += 1) all.add(asked(String(index)), 0);
    let kept = 0;
    while (all.first) {
      all.answered(0);
      kept += 1;
    }
    expect(kept).toBe(MAX_WAITING_QUESTIONS + 1);
  });
});

describe('which of them a dialog asks', () => {
  const RULE = '─'.repeat(40);
  const waiting = new Patterns(['Do you want to'], 'waiting');
  const shown = (lines: string[], ...questions: ReturnType<typeof asked>[]): string | undefined => {
    const all = new AskedPermissions();
    for (const question of questions) all.add(question, 0);
    return askedBy(dialogOn(lines.join('\n'), waiting), all.all)?.text;
  };
  const npm = asked('Bash', '1', ['npm test']);
  const rm = asked('Bash 2', '2', ['rm -rf ~/everything']);
  const over = ['⏺ Bash(npm test)', '  Running…', RULE];
  const QUESTION = ' Do you want to proceed?';

  it('is the one whose words are in it, not above it', () => {
    expect(shown([...over, '  rm -rf ~/everything', QUESTION, '❯ 1. Yes'], npm, rm)).toBe('Bash 2');
    expect(shown([...over, '  rm -rf ~/everything', QUESTION], npm)).toBeUndefined();
    expect(shown([...over, '  npm test', QUESTION], npm, rm)).toBe('Bash');
    expect(shown([...over, '  npm test'], npm, rm)).toBeUndefined();
  });

  it('is told by a line that is broken, framed, or of a file by its name; a short word has to stand alone', () => {
    expect(shown(['│ rm -rf    │', '│ ~/every  │', '│ thing    │', QUESTION], npm, rm)).toBe('Bash 2');
    const edit = asked('Edit', '3', ['/home/ada/app/src/login.ts', 'x']);
    expect(shown(['src/login.ts', 'Do you want to make this edit to login.ts?'], edit, npm)).toBe('Edit');
    const ls = asked('Bash', '4', ['ls']);
    expect(shown(['tools, else', QUESTION], ls)).toBeUndefined();
    expect(shown(['  ls', QUESTION], ls)).toBe('Bash');
  });

  it('is the one of which most is there, and none where two are alike', () => {
    const watch = asked('Bash 3', '5', ['npm test -- --watch']);
    expect(shown(['  npm test -- --watch', QUESTION], npm, watch)).toBe('Bash 3');
    expect(shown(['  npm test', QUESTION], npm, watch)).toBe('Bash');
    expect(shown(['  npm test', QUESTION], npm, asked('Bash', '6', ['npm test']))).toBeUndefined();
  });

  it('is told by the tool’s name where there is nothing else', () => {
    expect(shown(['srv - restart', QUESTION], asked('mcp__srv__restart'))).toBe('mcp__srv__restart');
    expect(shown(['something', QUESTION], asked('mcp__srv__restart'))).toBeUndefined();
  });
});

describe('a long text', () => {
  it('keeps its beginning and its end, and says how much is missing', () => {
    expect(shortened('short', 2048)).toBe('short');
    expect(shortened('x'.repeat(2048), 2048)).toHaveLength(2048);
    expect(shortened(`a${'x'.repeat(3000)}z`, 2048)).toMatch(/^ax{991} … 1018 characters left out … x{991}z$/);
    const wide = shortened(`a${'😀'.repeat(1000)}`, 2048);
    expect(wide).not.toContain('\ufffd');
    expect(Buffer.byteLength(wide)).toBeLessThanOrEqual(2048);
    const [head = '', missing, tail = ''] = wide.split(/ … (?:(\d+) characters left out … )?/);
    expect(Array.from(head).length + Number(missing) + Array.from(tail).length).toBe(1001);
  });
});
