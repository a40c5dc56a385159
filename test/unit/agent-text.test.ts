import { describe, expect, it } from '@jest/globals';
import { chosen, optionsOf, textOf } from '../../src/runner/agent/acp-text.js';
import { Patterns } from '../../src/runner/agent/patterns.js';
import { questionOn } from '../../src/runner/agent/screen-question.js';
import { readScreen, takesPrompt } from '../../src/runner/agent/screen-reading.js';
import { textOfOutput, viewOf } from '../../src/runner/agent/screen-text.js';
import { plainText, typedText } from '../../src/runner/agent/typed-text.js';
import { render } from '../../src/runner/screen/render.js';

/** What is read on a screen to which this was written. */
async function viewed(output: string): Promise<ReturnType<typeof viewOf>> {
  const bytes = Buffer.from(output);
  const base = { offset: 0, cols: 40, rows: 6, data: new Uint8Array() };
  const screen = await render({ base, output: bytes, from: 0, skipped: null, resizes: [] });
  return viewOf(screen.data, screen.rows, bytes.subarray(screen.offset));
}

describe('the text on a screen', () => {
  it.each([
    ['plain lines, the last one unfinished', 'one\r\ntwo\r\nMay I? [y/n] ', 'one\ntwo\nMay I? [y/n]'],
    ['words that were placed', '\x1b[2;3Hleft\x1b[2;20Hright', '  left             right'],
    ['colours and links', '\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07\r\n', 'red link'],
    ['what was drawn over', 'working…\r\x1b[Kdone', 'done'],
    ['text at the cursor in the middle of a screen', '\x1b[H\x1b[2J\r\n\r\nfoot\x1b[1;1H> typed', '> typed\nfoot'],
    ['the other screen alone', 'shell\r\n\x1b[?1049hdialog\r\n[y/n]', 'dialog\n[y/n]'],
    [
      'lines that have scrolled away',
      Array.from({ length: 30 }, (_, index) => `line ${index}`).join('\r\n'),
      Array.from({ length: 24 }, (_, index) => `line ${index + 6}`).join('\n'),
    ],
    ['nothing', '', ''],
  ])('%s', async (_, output, text) => {
    expect((await viewed(output)).text).toBe(text);
  });

  it('says whether the program takes a paste in brackets', async () => {
    expect((await viewed('\x1b[?2004hx')).bracketedPaste).toBe(true);
    expect((await viewed('\x1b[?2004hx\x1b[?2004ly')).bracketedPaste).toBe(false);
  });

  it('of megabytes is that of their end, and cut where lines are long', () => {
    const text = textOfOutput(Buffer.from(`${'x'.repeat(3_000_000)}\n${'y'.repeat(1000)}\n\x1b[31mend`));
    expect(text).toBe(`${'y'.repeat(240)}\nend`);
  });
});

describe('a reading of the screen', () => {
  const nothing = { ready: false, waiting: false, question: '', dialog: [], login: false };
  const view = { text: 'text', bracketedPaste: false, ...nothing };
  it.each([
    [{ view, busy: true, quietMs: 0 }, 'working', false],
    [{ view, busy: true, quietMs: 500 }, 'nothing', false],
    [{ view, busy: false, quietMs: 500 }, 'working', false],
    [{ view, busy: false, quietMs: 5000 }, 'input', true],
    [{ view: { ...view, ready: true }, busy: false, quietMs: 500 }, 'working', true],
    [{ view: { ...view, ready: true }, busy: false, quietMs: 1500 }, 'input', true],
    [{ view: { ...view, waiting: true, ready: true }, busy: false, quietMs: 9000 }, 'permission', false],
    [{ view: { ...view, login: true, waiting: true }, busy: false, quietMs: 9000 }, 'login', false],
  ])('%j', (sight, says, takes) => {
    expect(readScreen(sight, 5000).says).toBe(says);
    expect(takesPrompt(sight, 5000, false)).toBe(takes ? 'yes' : 'no');
  });

  it('takes no prompt that it is not known to be ready for, where that can be known', () => {
    expect(takesPrompt({ view, busy: false, quietMs: 9000 }, 5000, true)).toBe('unknown');
    expect(takesPrompt({ view: { ...view, ready: true }, busy: false, quietMs: 500 }, 5000, true)).toBe('yes');
    expect(takesPrompt({ view: { ...view, waiting: true }, busy: false, quietMs: 9000 }, 5000, true)).toBe('no');
  });

  it('finds a question on the last lines alone, and tells no more than a few lines of it', () => {
    const waiting = new Patterns(['may i'], 'waiting');
    const told = Array.from({ length: 9 }, (_, index) => `secret ${index}`);
    expect(questionOn(['May I?', ...told.slice(0, 6)].join('\n'), waiting)).toBeUndefined();
    expect(questionOn([...told, 'a', 'b', 'c', 'May I?', '1. Yes'].join('\n'), waiting)).toBe('a\nb\nc\nMay I?');
    expect(questionOn(['x'.repeat(900), 'May I?'].join('\n'), waiting)).toHaveLength(512);
  });

  it('takes quiet for nothing where it means nothing', () => {
    expect(readScreen({ view, busy: false, quietMs: 1e6 }, 0).says).toBe('working');
  });
});

describe('regular expressions over a screen', () => {
  it('match line by line, whatever the capitals', () => {
    expect(new Patterns(['^do you want'], 'waiting').match('first\nDo You Want this?')).toBe(true);
    expect(new Patterns(['^you'], 'waiting').match('Do you')).toBe(false);
    expect(new Patterns([], 'waiting').match('')).toBe(false);
  });

  it('that would take for ever are given up, and not tried again', () => {
    const endless = new Patterns(['^(a+)+$'], 'waiting');
    const text = `${'a'.repeat(200)}!`;
    expect(endless.match(text)).toBe(false);
    expect(endless.match('aaa')).toBe(false);
    // It is this list alone that was given up.
    expect(new Patterns(['^(a+)+$'], 'waiting').match('aaa')).toBe(true);
  });

  it.each([[['(']], [['x'.repeat(257)]], [Array<string>(17).fill('x')]])('are refused by name: %#', (sources) => {
    expect(() => new Patterns(sources, 'waiting')).toThrow(/^waiting /);
  });
});

describe('text for an agent', () => {
  it('keeps lines and tabs alone of all control characters, so that no paste ends before its end', () => {
    const text = plainText('a\r\nb\rc\td\x1b[201~\x03\x04\x7f\x9b201~é', 'text');
    expect(text).toBe('a\nb\nc\td[201~201~é');
    expect(typedText(text, true).toString()).toBe(`\x1b[200~${text}\x1b[201~`);
    expect(typedText(text, false).toString()).toBe('a b c d[201~201~é');
  });

  it('is refused when it is too long', () => {
    expect(plainText('é'.repeat(51_200), 'text')).toHaveLength(51_200);
    expect(() => plainText('é'.repeat(51_201), 'text')).toThrow(/^text /);
  });
});

describe('what an agent says by its protocol', () => {
  it('is shown without control characters, and not at all where nobody needs it', () => {
    const chunk = {
      sessionUpdate: 'agent_message_chunk' as const,
      content: { type: 'text' as const, text: 'a\x1b[2Jb\r\n' },
    };
    expect(textOf(chunk)).toBe('a[2Jb\n');
    expect(textOf({ sessionUpdate: 'tool_call', toolCallId: '1', title: 'Run\n  ls' })).toBe('\n[Run ls]\n');
    expect(textOf({ sessionUpdate: 'current_mode_update', currentModeId: 'x' })).toBe('');
  });

  it('is answered for this once by allow and deny, for always only where there is no other way', () => {
    const always = { optionId: 'a', name: 'Always', kind: 'allow_always' } as const;
    const never = { optionId: 'n', name: 'Never', kind: 'reject_always' } as const;
    const once = { optionId: 'o', name: 'Once', kind: 'allow_once' } as const;
    expect(optionsOf([always, once, never]).map(({ kind }) => kind)).toEqual(['other', 'allow', 'deny']);
    expect(optionsOf([always]).map(({ kind }) => kind)).toEqual(['allow']);
    expect(optionsOf(Array<typeof once>(50).fill(once))).toHaveLength(16);
    const options = optionsOf([always, once, never]);
    expect(['y', ' 2 ', 'NO', '9', 'constructor', ''].map((line) => chosen(line, options))).toEqual([
      '2',
      '2',
      '3',
      undefined,
      undefined,
      undefined,
    ]);
  });
});
