/** What is done to a running agent: writing to it, answering it, ending it. */
import { setTimeout } from 'node:timers/promises';
import { DomainError } from '../../kernel/errors.js';
import type { Agent } from './agent.js';
import { MAX_TOLD_PROMPTS, type ToAgent } from './channel-messages.js';
import { invalid } from './spec.js';
import type { PromptOption } from './state.js';
import { plainText, typedText } from './typed-text.js';

/** Programs take Enter that comes together with a paste for a part of it. */
const SUBMIT_AFTER_MS = 150;
/** Between two keys that ask it to end: many programs want the second one soon after the first. */
const KEY_PAUSE_MS = 400;
/** How long it may take to end by itself after the last of them. */
const LEAVE_MS = 3000;
/** Hooks ask before their program has drawn the dialog: so long it is waited for, and looked for so often. */
const DRAWN_MS = 3000;
const LOOK_AGAIN_MS = 100;
/** Texts that wait to be typed into one agent. */
const MAX_WAITING = 16;

const ENTER = Buffer.from('\r');

/** Steers one agent through its terminal. */
export class Steering {
  #typing: Promise<void> = Promise.resolve();
  #waiting = 0;
  #stopping: Promise<void> | undefined;

  /** @param tell reaches the client of an agent that speaks ACP; false when there is none */
  constructor(
    private readonly agent: Agent,
    private readonly tell: (message: ToAgent) => boolean,
  ) {}

  /**
   * Types a text in, one after the other.
   * @throws DomainError INVALID_ARGUMENT, AGENT_NOT_RUNNING, AGENT_AWAITS_ANSWER, INPUT_FULL
   */
  async message(text: string, submit: boolean): Promise<void> {
    const plain = plainText(text, 'text');
    if (this.#waiting >= MAX_WAITING) throw unread();
    this.#waiting += 1;
    const typed = this.#typing.then(() => this.#type(plain, submit));
    this.#typing = typed.catch(() => undefined).finally(() => (this.#waiting -= 1));
    await typed;
  }

  /**
   * Answers what it waits for, once; what is typed goes to what is on its screen, so that is looked at first.
   * @throws DomainError AGENT_NOT_RUNNING, PROMPT_STALE, PROMPT_UNCLEAR, INVALID_ARGUMENT
   */
  async answer(promptId: string, optionId: string): Promise<void> {
    const answered = this.#typing.then(() => this.#answer(promptId, optionId));
    this.#typing = answered.catch(() => undefined);
    await answered;
  }

  /** Asks it to end, then makes it; resolves when its processes are gone. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #type(text: string, submit: boolean): Promise<void> {
    const { agent } = this;
    this.#checkFree();
    if (agent.spec.acp && submit) {
      if (agent.toldPrompts >= MAX_TOLD_PROMPTS) throw unread();
      this.#tell({ type: 'prompt', text });
      agent.toldPrompts += 1;
      return;
    }
    const view = await agent.watch.refresh();
    this.#checkFree();
    if (view && agent.asks(view)) throw awaitsAnswer();
    agent.session.write(typedText(text, view?.bracketedPaste ?? false));
    if (!submit) return;
    await setTimeout(SUBMIT_AFTER_MS);
    this.#checkFree();
    agent.session.write(agent.spec.submitKeys.length > 0 ? agent.spec.submitKeys : ENTER);
    agent.resume();
  }

  async #answer(promptId: string, optionId: string): Promise<void> {
    const { agent } = this;
    this.#optionOf(promptId, optionId);
    if (agent.request === undefined) await this.#checkShown(promptId, optionId);
    const { kind, id } = this.#optionOf(promptId, optionId);
    const { request } = agent;
    if (request === undefined) {
      agent.session.write(kind === 'allow' ? agent.spec.approveKeys : agent.spec.denyKeys);
    } else this.#tell({ type: 'answer', request, option: id });
    agent.request = undefined;
    agent.resume();
  }

  /** Waits until what is answered is on the screen, for a short time. */
  async #checkShown(promptId: string, optionId: string): Promise<void> {
    const { agent } = this;
    const deadline = performance.now() + DRAWN_MS;
    for (;;) {
      const view = await agent.watch.current();
      // Hooks may have told something meanwhile.
      this.#optionOf(promptId, optionId);
      const place = agent.placeOf(view);
      if (place === 'asked') return;
      if (place === 'over') throw stale();
      if (performance.now() >= deadline) throw unclear();
      await setTimeout(LOOK_AGAIN_MS);
    }
  }

  #optionOf(promptId: string, optionId: string): PromptOption {
    this.agent.checkRunning();
    const { prompt } = this.agent.knowledge;
    if (prompt?.id !== promptId) throw stale();
    const option = prompt.options.find(({ id }) => id === optionId);
    if (option === undefined) throw invalid('option_id', 'is not one of the options');
    return option;
  }

  /** A text that is typed into a question could answer it, which not everybody may who may write. */
  #checkFree(): void {
    this.agent.checkRunning();
    if (this.agent.knowledge.prompt?.kind !== 'permission') return;
    throw awaitsAnswer();
  }

  #tell(message: ToAgent): void {
    if (!this.tell(message)) throw new DomainError('AGENT_NOT_RUNNING', 'The agent does not speak its protocol.');
  }

  async #stop(): Promise<void> {
    const { agent } = this;
    agent.stopping = true;
    const { stopKeys } = agent.spec;
    for (const [index, keys] of stopKeys.entries()) {
      if (!this.#tryWrite(keys)) break;
      await Promise.race([agent.over, setTimeout(index === stopKeys.length - 1 ? LEAVE_MS : KEY_PAUSE_MS)]);
    }
    if (!agent.session.exit) await agent.session.kill('stopped');
    await Promise.all([agent.over, agent.session.settled]);
  }

  /** @returns false when it has ended, or reads nothing */
  #tryWrite(keys: Buffer): boolean {
    if (this.agent.session.exit) return false;
    try {
      this.agent.session.write(keys);
      return true;
    } catch {
      return false;
    }
  }
}

function stale(): DomainError {
  return new DomainError('PROMPT_STALE', 'The agent does not wait for this answer any more.');
}

function unclear(): DomainError {
  const message = 'Whether the agent shows this question cannot be told: answer it in its terminal.';
  return new DomainError('PROMPT_UNCLEAR', message);
}

function awaitsAnswer(): DomainError {
  return new DomainError('AGENT_AWAITS_ANSWER', 'The agent waits for an answer before it takes a message.');
}

function unread(): DomainError {
  return new DomainError('INPUT_FULL', 'The agent has not read earlier messages.');
}
