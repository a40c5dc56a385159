import {
  client,
  type ClientContext,
  methods,
  PROTOCOL_VERSION,
  type PromptResponse,
  RequestError,
  type RequestPermissionRequest,
  type RequestPermissionResponse,
  type Stream,
} from '@agentclientprotocol/sdk';
import { VERSION } from '../../kernel/package.js';
import { chosen, optionsOf, questionOf, shown, textOf } from './acp-text.js';
import type { FromAgent, ToAgent } from './channel-messages.js';

/** Typed prompts that wait while the agent works, and questions that wait for an answer. */
export const MAX_PROMPTS = 16;
export const MAX_QUESTIONS = 16;
const AUTH_REQUIRED = -32_000;

/** Who sees and hears the conversation. */
export interface Audience {
  /** Shows a text in the terminal. */
  show(text: string): void;
  /** Tells the runner. */
  tell(message: FromAgent): void;
}

interface Question {
  readonly number: number;
  readonly asked: RequestPermissionRequest;
  readonly answer: (response: RequestPermissionResponse) => void;
}

interface WaitingPrompt {
  readonly text: string;
  /** By the runner, which counts those that wait and tells no more than can. */
  readonly isTold: boolean;
}

/** It has no login, and none can be had here. */
export class LoginRequired extends Error {}

/** A conversation with an agent that speaks ACP: prompts one after the other, and answers to what it asks in between. */
export class AcpConversation {
  readonly #prompts: WaitingPrompt[] = [];
  readonly #questions: Question[] = [];
  #nextQuestion = 1;
  #working = false;
  #session = '';
  #agent: ClientContext | undefined;

  constructor(private readonly audience: Audience) {}

  get isWorking(): boolean {
    return this.#working;
  }

  /**
   * Begins, or goes on with an earlier conversation.
   * @throws LoginRequired, an error when it cannot go on, or what the agent says
   */
  async open(stream: Stream, cwd: string, resumeId: string): Promise<void> {
    const app = client({ name: 'gatehouse' })
      .onRequest(methods.client.session.requestPermission, ({ params }) => this.#ask(params))
      .onNotification(methods.client.session.update, ({ params }) => {
        this.audience.show(textOf(params.update));
      });
    this.#agent = app.connect(stream).agent;
    const { agentCapabilities } = await this.#agent.request(methods.agent.initialize, {
      protocolVersion: PROTOCOL_VERSION,
      clientCapabilities: {},
      clientInfo: { name: 'gatehouse', version: VERSION },
    });
    if (resumeId !== '' && agentCapabilities?.loadSession !== true) {
      throw new Error('This agent cannot go on with an earlier conversation.');
    }
    this.#session = await this.#openSession(this.#agent, cwd, resumeId).catch(asLogin);
    this.audience.tell({ type: 'acp_conversation', id: this.#session });
    this.#rest();
  }

  /** A line was typed in the terminal: an answer while something is asked, else a prompt. */
  line(text: string): void {
    const [question] = this.#questions;
    if (question === undefined) {
      if (text.trim() !== '') this.#type(text);
      return;
    }
    const option = chosen(text, optionsOf(question.asked.options));
    if (option === undefined) this.audience.show('Answer with the number of an option.\n');
    else this.#answer(question, option);
  }

  /** The runner asks for something. */
  told(message: ToAgent): void {
    const [question] = this.#questions;
    if (message.type === 'answer' && question?.number === message.request) this.#answer(question, message.option);
    if (message.type !== 'prompt') return;
    this.audience.show(`${shown(message.text)}\n`);
    this.#prompt({ text: message.text, isTold: true });
  }

  /** Breaks off what the agent works on. */
  cancel(): void {
    for (const prompt of this.#prompts.splice(0)) this.#taken(prompt);
    for (const { answer } of this.#questions.splice(0)) answer({ outcome: { outcome: 'cancelled' } });
    void this.#agent?.notify(methods.agent.session.cancel, { sessionId: this.#session }).catch(() => undefined);
  }

  async #openSession(agent: ClientContext, cwd: string, resumeId: string): Promise<string> {
    if (resumeId === '') return (await agent.request(methods.agent.session.new, { cwd, mcpServers: [] })).sessionId;
    await agent.request(methods.agent.session.load, { cwd, mcpServers: [], sessionId: resumeId });
    return resumeId;
  }

  #type(text: string): void {
    if (this.#session === '' || this.#prompts.filter(({ isTold }) => !isTold).length >= MAX_PROMPTS) {
      this.audience.show('The agent takes no more prompts for now.\n');
      return;
    }
    this.#prompt({ text, isTold: false });
  }

  #prompt(prompt: WaitingPrompt): void {
    this.#prompts.push(prompt);
    if (!this.#working) void this.#work();
  }

  async #work(): Promise<void> {
    this.#working = true;
    this.audience.tell({ type: 'acp_working' });
    for (let prompt = this.#prompts.shift(); prompt; prompt = this.#prompts.shift()) {
      this.#taken(prompt);
      await this.#turn(prompt.text);
    }
    this.#working = false;
    this.#rest();
  }

  #taken({ isTold }: WaitingPrompt): void {
    if (isTold) this.audience.tell({ type: 'acp_taken' });
  }

  async #turn(text: string): Promise<void> {
    try {
      const prompt = [{ type: 'text' as const, text }];
      const request = { sessionId: this.#session, prompt };
      const response = await this.#agent?.request<PromptResponse>(methods.agent.session.prompt, request);
      const stopReason = response?.stopReason;
      this.audience.show(stopReason === 'end_turn' ? '\n' : `\n[${stopReason ?? 'ended'}]\n`);
    } catch (error) {
      this.audience.show(`\n[failed: ${shown(messageOf(error))}]\n`);
    }
  }

  #rest(): void {
    this.audience.tell({ type: 'acp_input' });
    this.audience.show('> ');
  }

  #ask(asked: RequestPermissionRequest): Promise<RequestPermissionResponse> {
    if (this.#questions.length >= MAX_QUESTIONS) return Promise.resolve({ outcome: { outcome: 'cancelled' } });
    return new Promise((answer) => {
      this.#questions.push({ number: this.#nextQuestion, asked, answer });
      this.#nextQuestion += 1;
      if (this.#questions.length === 1) this.#showQuestion();
    });
  }

  #showQuestion(): void {
    const [question] = this.#questions;
    if (question === undefined) return;
    const text = questionOf(question.asked);
    const options = optionsOf(question.asked.options);
    const list = options.map(({ id, label }) => `  ${id}. ${label}\n`).join('');
    this.audience.show(`\nThe agent asks for permission: ${text}\n${list}? `);
    this.audience.tell({ type: 'acp_permission', request: question.number, text, options });
  }

  #answer(question: Question, option: string): void {
    const picked = question.asked.options[Number(option) - 1];
    if (picked === undefined) return;
    this.#questions.shift();
    this.audience.show(`[${shown(picked.name)}]\n`);
    this.audience.tell({ type: 'acp_working' });
    question.answer({ outcome: { outcome: 'selected', optionId: picked.optionId } });
    this.#showQuestion();
  }
}

function asLogin(error: unknown): never {
  if (error instanceof RequestError && error.code === AUTH_REQUIRED) throw new LoginRequired(error.message);
  throw error;
}

/** What an error says, for a person. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
