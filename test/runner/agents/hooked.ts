/** A scripted agent with hooks, told by a socket what to do: what is typed into its terminal is then typed by somebody else. */
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AgentSpec } from '../../../src/generated/gatehouse/runner/v1/AgentSpec.js';
import { until } from '../until.js';
import { type AgentRunner, WAIT_MS } from './agent-runner.js';

export const HOOKED: AgentSpec = {
  binary: 'hook-agent',
  delivery: 'typed',
  hooks: 'claude',
  approve_keys: Buffer.from('1'),
  deny_keys: Buffer.from('\x1b'),
  ready: ['hook agent'],
  waiting: ['Do you want to'],
  quiet_ms: 300,
};

/** The dialog of a tool, as such programs draw it. */
export const dialogFor = (command: string): string =>
  [`● Bash(another)`, '─'.repeat(60), ' Bash command', `   ${command}`, ' Do you want to proceed?', '❯ 1. Yes'].join(
    '\n',
  );

/** What a hook tells of the use of a tool. */
export const toolFor = (command: string): object => ({ tool_name: 'Bash', tool_input: { command } });

export class Hooked {
  readonly #folder = mkdtempSync(join(tmpdir(), 'gatehouse-hooked-'));
  #count = 0;
  readonly #paths = new Map<string, string>();

  constructor(private readonly runner: AgentRunner) {}

  /** Starts one. */
  async begin(more: AgentSpec = {}): Promise<string> {
    const path = join(this.#folder, String((this.#count += 1)));
    const { id } = await this.runner.start({ ...HOOKED, args: ['--control', path], ...more });
    this.#paths.set(id, path);
    await this.runner.shows(id, 'CONTROLLED');
    return id;
  }

  /** Starts one that has told its first state by a hook, so that its screen counts no more. */
  async started(more: AgentSpec = {}): Promise<string> {
    const id = await this.begin(more);
    await this.hook(id, 'UserPromptSubmit', {});
    await until(async () => (await this.runner.agent(id)).source === 'hook', 'a hook is heard', WAIT_MS);
    return id;
  }

  /** Has it run a hook, which the runner has heard by then. */
  hook(id: string, event: string, fields: object): Promise<void> {
    return this.#tell(id, `${event} ${JSON.stringify(fields)}`);
  }

  /** Has it show dialogs, one after the other, each until it gets its key. The first is in the output by then. */
  async dialogs(id: string, ...texts: string[]): Promise<void> {
    const times = async (): Promise<number> =>
      (await this.runner.runner.text(id)).replaceAll('\r\n', '\n').split(`\x1b[H${texts[0] ?? 'at work'}\n`).length;
    const before = await times();
    await this.#tell(id, `dialogs ${JSON.stringify(texts)}`);
    await until(async () => (await times()) > before, 'the dialog is shown', WAIT_MS);
  }

  /** Every key that it got, and what it showed then. */
  async keys(id: string): Promise<string[]> {
    return [...(await this.runner.runner.text(id)).matchAll(/KEY (.*)\r\n/g)].map(([, key = '']) => key);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #tell(id: string, line: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(this.#paths.get(id) ?? '', () => socket.write(`${line}\n`));
      socket.once('error', reject).once('data', () => {
        socket.destroy();
        resolve();
      });
    });
  }
}
