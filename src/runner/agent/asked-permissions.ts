/** What hooks have asked permission for, and nobody has answered yet: tools run side by side, and each may ask. */
import type { PromptKind } from './state.js';

/** Questions of one agent that wait, beside the one that is asked. */
export const MAX_WAITING_QUESTIONS = 16;

/** Which call of a tool: its name, and a hash of what it was given, empty where that is not told. */
export interface ToolCall {
  readonly name: string;
  readonly input: string;
}

export interface Asked {
  readonly kind: PromptKind;
  readonly text: string;
  readonly call: ToolCall;
}

/** The questions of one agent, in the order in which they came. */
export class AskedPermissions {
  readonly #asked: Asked[] = [];

  /** The one to be answered. */
  get first(): Asked | undefined {
    return this.#asked[0];
  }

  /** One that finds too many waiting is not kept: it can be answered in the terminal. */
  add(asked: Asked): void {
    if (this.#asked.length <= MAX_WAITING_QUESTIONS) this.#asked.push(asked);
  }

  /** This call goes on, so it was answered. */
  settle(call: ToolCall): void {
    const index = this.#asked.findIndex((asked) => isSame(asked.call, call));
    if (index >= 0) this.#asked.splice(index, 1);
  }

  /** The first one was answered. */
  shift(): void {
    this.#asked.shift();
  }

  /** None of them is asked any more. */
  clear(): void {
    this.#asked.length = 0;
  }
}

function isSame(one: ToolCall, other: ToolCall): boolean {
  return one.name === other.name && (one.input === other.input || one.input === '' || other.input === '');
}
