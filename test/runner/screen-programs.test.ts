/** Real programs on a real terminal, and their screens made from what they wrote. */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { render, type Screen } from '../../src/runner/screen/render.js';
import { look, shown } from '../support/screens.js';
import { RunnerProcess } from './runner-process.js';
import { until } from './until.js';

let runner: RunnerProcess;

beforeAll(async () => {
  runner = await RunnerProcess.start();
});
afterAll(() => runner.stop());

const SIZE = { cols: 100, rows: 30 };
const UP_TO = 40;

/** What a program is typed, one after the other: each when the output has contained the text before it. */
interface Script {
  readonly command: readonly string[];
  readonly steps: readonly (readonly [shows: string, keys: string])[];
  /** Shown when all was typed. */
  readonly last: string;
}

/** Plays a script. @returns all that the program wrote until then */
async function played({ command, steps, last }: Script): Promise<Buffer> {
  const { id } = await runner.startSession([...command], { ...SIZE, env: { LANG: 'C.UTF-8', HOME: '/nonexistent' } });
  const link = await runner.link();
  await link.attach(id, { from: 0 });
  for (const [shows, keys] of steps) {
    await link.shows(shows);
    link.type(keys);
  }
  await link.shows(last);
  const output = link.output;
  link.close();
  await runner.kill(id).catch(() => undefined);
  return output;
}

/** At places all over the output, and along a chain of screens each made from the one before. */
async function expectFaithful(output: Buffer): Promise<void> {
  let screen: Screen = { offset: 0, ...SIZE, data: new Uint8Array() };
  const whole = look(await shown(SIZE, output));
  for (let step = 1; step <= UP_TO; step += 1) {
    const end = Math.floor((output.length * step) / UP_TO);
    if (end <= screen.offset) continue;
    const bytes = output.subarray(screen.offset, end);
    screen = await render({ base: screen, from: screen.offset, output: bytes, skipped: null, resizes: [] });
    const resumed = await shown(SIZE, screen.data, output.subarray(screen.offset));
    expect({ end, seen: look(resumed) }).toEqual({ end, seen: whole });
  }
}

/** A test that needs a program which a machine may not have. */
function withProgram(name: string, title: string, script: Script): void {
  const found = spawnSync(name, ['--version'], { stdio: 'ignore' }).error === undefined;
  if (!found) console.warn(`SKIPPED: ${title}: ${name} is not installed`);
  (found ? it : it.skip)(title, async () => {
    await expectFaithful(await played(script));
  });
}

const FILE = 'seq 1 400 | sed "s/^/line 漢字 é /" > "$TMPDIR/f"; ';
const shell = (text: string): string[] => ['/bin/sh', '-c', `TMPDIR=$(mktemp -d); ${text}; rm -r "$TMPDIR"`];

describe('the screen', () => {
  withProgram('vim', 'of vim: alternate screen, margins, colours, typing in the middle', {
    command: shell(`${FILE} vim -Nu NONE -c 'syntax on' -c 'set number mouse=a hlsearch' -c '$' "$TMPDIR/f"`),
    steps: [
      ['400', '?11\rOhéllo wörld 😀'],
      ['INSERT', '\x1b\x02\x02\x04:split\r'],
    ],
    last: 'f [+]',
  });

  withProgram('less', 'of less: alternate screen, searching, going up and down', {
    command: shell(`${FILE} less "$TMPDIR/f"`),
    steps: [
      ['line', ' '],
      ['é 40', '/200\r'],
      ['200', 'kkkj'],
      ['é 198', 'G'],
    ],
    last: 'é 400',
  });

  withProgram('htop', 'of htop: a screen full of colours that changes by itself', {
    command: ['htop', '--delay=2'],
    steps: [['Tasks', 'jjjk']],
    last: 'F10',
  });

  withProgram('tmux', 'of tmux: panes, margins and a status line', {
    command: shell('exec tmux -L "gatehouse-test-$$" -f /dev/null new "seq 1 500; exec sh"'),
    steps: [
      ['500', '\x02"'],
      ['500', 'echo $((4211*2))\r'],
      ['8422', '\x02%'],
      ['│', 'echo $((70+7)); tmux list-panes\r'],
    ],
    last: '77',
  });

  it('of a progress bar, wide and combining characters, mouse and bracketed-paste modes', async () => {
    const bar =
      'for i in 1 2 3 4 5 6 7 8 9 10; do printf "\\r[%-10s] %3d%%" "$(printf "#%.0s" $(seq $i))" $((i*10)); done';
    const text =
      'printf "\\n漢字テスト e\\314\\201 a\\314\\210 😀 \\033[7mx\\033[m\\t|\\n\\033[?2004h\\033[?1002h\\033[?1006h"';
    const output = await played({
      command: ['/bin/sh', '-c', `${bar}; ${text}; echo done; cat`],
      steps: [],
      last: 'done',
    });
    await expectFaithful(output);
    const { modes } = await shown(SIZE, output);
    expect(modes).toMatchObject({ bracketedPasteMode: true, mouseTrackingMode: 'drag' });
  });
});

describe('a client that comes without an offset', () => {
  it('to a session that wrote much is given its screen and then what follows, and the screen is the same as another’s', async () => {
    const script =
      'i=0; while [ $i -lt 60000 ]; do echo "number $i of many"; i=$((i+1)); done; printf "\\033[?2004hready"; read x; echo "got $x"; cat';
    const { id } = await runner.startSession(['/bin/sh', '-c', script], SIZE);
    const first = await runner.link();
    await first.attach(id, { from: 0, ...SIZE });
    await first.shows('ready');
    const late = await runner.link();
    const attached = await late.attach(id, { mode: 'viewer' });
    expect(attached).toMatchObject({ snapshot: true, ...SIZE });
    expect(attached.from).toBeGreaterThan(1_000_000);
    await until(() => late.screenEnded, 'the screen is there');
    first.type('yes\r');
    await late.shows('got yes');
    await until(() => late.next === first.next, 'both have all');
    const [full, resumed] = [await shown(SIZE, first.output), await shown(SIZE, late.screen, late.output)];
    expect(look(resumed)).toEqual(look(full));
    await runner.kill(id);
  });

  it('is given the output itself while that is little', async () => {
    const { id } = await runner.startSession(['/bin/sh', '-c', 'echo hello; cat'], SIZE);
    const link = await runner.link();
    expect(await link.attach(id)).toMatchObject({ snapshot: false, from: 0 });
    await link.shows('hello');
    await runner.kill(id);
  });

  it('or with one that is not retained any more, is given the screen; the output itself when it wants no screen', async () => {
    const { id } = await runner.startSession(['/bin/sh', '-c', 'seq 1 1200000; echo ready; cat'], SIZE);
    const first = await runner.link();
    first.keep = false;
    await first.attach(id, { from: 0 });
    await until(() => (first.next ?? 0) > 8_000_000, 'the ring has rolled');
    const late = await runner.link();
    expect(await late.attach(id, { from: 10, mode: 'viewer' })).toMatchObject({ snapshot: true });
    await until(() => `${late.screen.toString()}${late.text}`.includes('ready'), 'the end is shown');
    expect((await shown(SIZE, late.screen, late.output)).buffer.active.getLine(0)?.translateToString()).toMatch(/^\d+/);
    const raw = await runner.link();
    const attached = await raw.attach(id, { raw: true, mode: 'viewer' });
    expect(attached).toMatchObject({ snapshot: false });
    expect(attached.from).toBe(attached.dropped_before);
    await runner.kill(id);
  });

  it('while a flood goes on is given a screen of it, where that is fast enough, and then every byte', async () => {
    const { id } = await runner.startSession(['/bin/sh', '-c', 'seq 1 100000000'], SIZE);
    const first = await runner.link();
    first.keep = false;
    await first.attach(id, { from: 0, mode: 'viewer' });
    // On a machine that is slow for a moment it falls behind, and is sent away: it has begun then, too.
    await until(() => first.bytes > 5_000_000 || first.closed, 'the flood has begun');
    let [rounds, screens] = [0, 0];
    const attachOnce = async (): Promise<void> => {
      const late = await runner.link();
      late.keep = false;
      const attached = await late.attach(id, { mode: 'viewer' });
      if (attached.snapshot) screens += 1;
      else expect(attached.from).toBe(attached.dropped_before);
      await until(() => late.bytes > 1_000_000 || late.closed, 'a megabyte of the flood');
      expect(late.error).toBeUndefined();
      late.close();
      rounds += 1;
    };
    await until(() => attachOnce().then(() => rounds >= 5 && screens > 0), 'a screen is given', 60_000);
    await runner.kill(id);
  }, 180_000);

  it('to output on which the emulator fails is given the output', async () => {
    // Erasing up to the cursor in the bottom right corner, before anything has scrolled, is one such.
    const script = 'printf "\\033[30;100H\\033[1J"; seq 1 100000; echo ready; cat';
    const { id } = await runner.startSession(['/bin/sh', '-c', script], SIZE);
    const first = await runner.link();
    await first.attach(id, { from: 0 });
    await first.shows('ready');
    const late = await runner.link();
    expect(await late.attach(id)).toMatchObject({ snapshot: false, from: 0 });
    await late.shows('ready');
    const { id: other } = await runner.startSession(['/bin/sh', '-c', 'seq 1 100000; echo ready; cat'], SIZE);
    const of = await runner.link();
    await of.attach(other, { from: 0 });
    await of.shows('ready');
    const second = await runner.link();
    expect(await second.attach(other)).toMatchObject({ snapshot: true });
    await Promise.all([runner.kill(id), runner.kill(other)]);
  });
});
