/** What hooks have asked permission for, and nobody has answered yet: tools run side by side, and each may ask. */
import type { PromptKind } from './state.js';

/** Questions of one agent that wait, beside the one that is asked. */
export const MAX_WAITING_QUESTIONS = 16;

/** Which call of a tool: its name, and a hash of what it was given, empty where that is not told. */
export interface ToolCall {
  readonly name: string;
  readonly input: string;
}

export interface Question {
  readonly kind: PromptKind;
  readonly text: string;
  /** None where it is not told what it is about: then whatever goes on answers it. */
  readonly call: ToolCall | undefined;
  /** What of it can be found on a screen. */
  readonly signs: readonly string[];
}

export interface Asked extends Question {
  /** How often something had been typed in when it was asked. */
  typed: number;
  /** Its dialog was on the screen. */
  seen: boolean;
  /** Its dialog is not on the screen any more: it was answered there, as it seems. */
  gone: boolean;
}

/** The questions of one agent, in the order in which they came. */
export class AskedPermissions {
  #asked: Asked[] = [];

  /** The one to be answered. */
  get first(): Asked | undefined {
    return this.#asked.find(({ gone }) => !gone);
  }

  /** All that were not settled, those too that seem to be answered. */
  get all(): readonly Asked[] {
    return this.#asked;
  }

  /** One that finds too many waiting is not kept: it can be answered in the terminal. @param typed see {@link Asked} */
  add(question: Question, typed: number): void {
    if (this.#asked.length > MAX_WAITING_QUESTIONS) return;
    this.#asked.push({ ...question, typed, seen: false, gone: false });
  }

  /** This call goes on, so it was answered. */
  settle(call: ToolCall): void {
    this.#asked = this.#asked.filter((asked) => asked.call !== undefined);
    const index = this.#asked.findIndex((asked) => asked.call !== undefined && isSame(asked.call, call));
    if (index >= 0) this.#asked.splice(index, 1);
  }

  /** The first one was answered by us: what was typed for it is no answer of somebody else's. */
  answered(typed: number): void {
    const { first } = this;
    this.#asked = this.#asked.filter((asked) => asked !== first);
    for (const asked of this.#asked) asked.typed = typed;
  }

  /** Its dialog is on the screen: it is asked before all others, and what was asked instead is asked no more. */
  show(asked: Asked): void {
    const { first } = this;
    if (first !== undefined && first !== asked) first.gone = true;
    asked.gone = false;
    asked.seen = true;
    this.#asked = [asked, ...this.#asked.filter((each) => each !== asked)];
  }

  /** No dialog is on the screen: whatever was there, or may have been answered since it was asked, is gone. */
  showNone(typed: number): void {
    for (const asked of this.#asked) if (asked.seen || asked.typed !== typed) asked.gone = true;
  }

  /** None of them is asked any more. */
  clear(): void {
    this.#asked = [];
  }
}

function isSame(one: ToolCall, other: ToolCall): boolean {
  return one.name === other.name && (one.input === other.input || one.input === '' || other.input === '');
}
