import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from '@jest/globals';
import { Agent } from '../../src/runner/agent/agent.js';
import { parseSpec } from '../../src/runner/agent/spec.js';
import type { Session } from '../../src/runner/session.js';

/** An agent whose screen and clock the test makes. */
class Drawn {
  #text = '';
  #end = 0;
  #elapsed = 0;
  prompts = 0;
  readonly agent: Agent;

  constructor(prompt: string) {
    const make = () => Promise.resolve({ data: Buffer.from(this.#text), rows: 24, offset: this.#end });
    const ring = { start: 0, read: () => Buffer.alloc(0) };
    Object.defineProperty(ring, 'end', { get: () => this.#end });
    const session = { id: 'session', exit: null, ring, screens: { make } } as unknown as Session;
    const screen = { ready: ['^ready'], waiting: ['may i'], login: [], approve_keys: Buffer.from('y') };
    const sent = { binary: 'agent', delivery: 'typed', hooks: '', prompt, ...screen, quiet_ms: 1000 };
    this.agent = new Agent({
      ...{ agentId: 'agent', session, spec: parseSpec(sent) },
      ...{ now: () => 0, elapsed: () => this.#elapsed, onChange: () => undefined },
      onReady: () => (this.prompts += 1),
    });
  }

  /** Shows something, and nothing more for half a minute. */
  async shows(text: string): Promise<Agent['knowledge']> {
    this.#text = text;
    this.#end += 10_000;
    for (let looks = 0; looks < 60; looks += 1) {
      this.agent.look(this.#elapsed);
      this.#elapsed += 500;
      await setImmediate();
    }
    return this.agent.knowledge;
  }
}

describe('what is read on a screen', () => {
  it('is an unknown dialog where it is not ready: the first prompt waits until it is', async () => {
    const drawn = new Drawn('do it');
    const dialog = await drawn.shows('Trust this folder?\n1. Yes\n2. No');
    expect(dialog).toMatchObject({ state: 'waiting_for_input', source: 'screen', prompt: { kind: 'question' } });
    expect(dialog.prompt?.text).toContain('Trust this folder?');
    expect(drawn.prompts).toBe(0);
    expect(drawn.agent.describe().confidence).toBe('low');
    await drawn.shows('ready');
    expect(drawn.prompts).toBe(1);
  });

  it('is asked once: what was answered and stays there is not asked for again, the same later is', async () => {
    const drawn = new Drawn('');
    const first = await drawn.shows('rm -rf build\nMay I?');
    expect(first.prompt).toMatchObject({ kind: 'permission', text: 'rm -rf build\nMay I?' });
    drawn.agent.resume();
    // Drawn again, for as long as you like.
    expect(await drawn.shows('rm -rf build\nMay I?')).toMatchObject({ state: 'working', prompt: undefined });
    await drawn.shows('working');
    const again = await drawn.shows('rm -rf build\nMay I?');
    expect(again.prompt?.kind).toBe('permission');
    expect(again.prompt?.id).not.toBe(first.prompt?.id);
  });

  it('asks anew when anything on it changes, since that is what the answer is for', async () => {
    const drawn = new Drawn('');
    const lines = 'a\nb\nc\nMay I?';
    const one = await drawn.shows(`rm one\n${lines}`);
    const two = await drawn.shows(`rm two\n${lines}`);
    expect([one.prompt?.text, two.prompt?.text]).toEqual([lines, lines]);
    expect(two.prompt?.id).not.toBe(one.prompt?.id);
  });
});
