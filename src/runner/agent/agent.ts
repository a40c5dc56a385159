import type { RunnerAgent } from '../../generated/gatehouse/runner/v1/RunnerAgent.js';
import { DomainError } from '../../kernel/errors.js';
import { randomToken } from '../../kernel/ids.js';
import type { Session } from '../session.js';
import { type Asked, AskedPermissions, type ToolCall } from './asked-permissions.js';
import type { FromAgent, HookMessage } from './channel-messages.js';
import { isConversationId } from './conversation-id.js';
import { askedBy, canBeTold } from './dialog.js';
import { type HookLesson, hookLesson } from './hook-lessons.js';
import { endOfScreen } from './screen-question.js';
import { type Reading, readScreen, takesPrompt } from './screen-reading.js';
import { textOfOutput } from './screen-text.js';
import { type MarkedView, ScreenWatch, type Sight } from './screen-watch.js';
import type { Spec } from './spec.js';
import { Touch, UNBELIEVED_MS } from './touch.js';
import {
  BEGINNING,
  confidenceOf,
  isOver,
  type Knowledge,
  learn,
  type Lesson,
  type Prompt,
  type PromptOption,
} from './state.js';

const TAIL_BYTES = 4096;
const MAX_PROMPT_TEXT = 4096;

/**
 * Is what it waits for on its screen: `asked`; not any more: `over`; not yet, as it seems: `awaited`; or something of which
 * cannot be told whether it is that: `unclear`.
 */
export type Place = 'asked' | 'over' | 'awaited' | 'unclear';

export interface AgentOptions {
  readonly agentId: string;
  readonly session: Session;
  readonly spec: Spec;
  /** Milliseconds since 1970, and of the monotonic clock. */
  readonly now: () => number;
  readonly elapsed: () => number;
  readonly onChange: (agent: Agent) => void;
  /** It is ready for the prompt that it has not got with its start. */
  readonly onReady: (agent: Agent) => void;
}

/** What is known of the agent in a session. */
export class Agent {
  readonly session: Session;
  readonly spec: Spec;
  readonly watch: ScreenWatch;
  /** Resolves when its program has ended. */
  readonly over: Promise<undefined>;
  /** It was asked to end. */
  stopping = false;
  resumeId: string;
  /** What the client of an agent that speaks ACP calls the request that it waits with. */
  request: number | undefined;
  /** Prompts told to that client which wait while the agent works. */
  toldPrompts = 0;
  #knowledge: Knowledge = BEGINNING;
  #revision = 1;
  #changedAt: number;
  /** What was on the screen when it was last answered or written to. */
  #old: { readonly view: MarkedView | undefined; readonly until: number } = { view: undefined, until: 0 };
  /** A prompt that is still to be given to it. */
  #owed: boolean;
  /** It got its prompt with its start. */
  readonly #given: boolean;
  /** It can be told by its screen that it is ready. */
  readonly #knowsReady: boolean;
  /** What was on the screen when it began to wait. */
  #waitingView: MarkedView | undefined;
  /** What its hooks ask permission for. */
  readonly #asked = new AskedPermissions();
  /** The one of them that its prompt is about. */
  #prompted: Asked | undefined;
  /** Whether somebody typed something in since it has its prompt. */
  #touch: Touch;
  readonly #ended = Promise.withResolvers<undefined>();

  constructor(private readonly options: AgentOptions) {
    this.session = options.session;
    this.spec = options.spec;
    this.resumeId = options.spec.resumeId;
    this.over = this.#ended.promise;
    this.#changedAt = options.now();
    this.#owed = ['typed', 'acp'].includes(options.spec.delivery) && options.spec.prompt !== '';
    this.#knowsReady = options.spec.ready.length > 0;
    this.watch = new ScreenWatch(options.session, options.spec, options.elapsed());
    this.#given = options.spec.prompt !== '' && !this.#owed;
    this.#touch = new Touch(options.session);
  }

  get knowledge(): Knowledge {
    return this.#knowledge;
  }

  get isOver(): boolean {
    return isOver(this.#knowledge);
  }

  /** @throws DomainError AGENT_NOT_RUNNING */
  checkRunning(): void {
    if (this.isOver || this.session.exit) throw new DomainError('AGENT_NOT_RUNNING', 'The agent has ended.');
  }

  /** Something was learnt of it, by whatever source. */
  learn(lesson: Lesson): void {
    const next = learn(this.#knowledge, lesson);
    if (next === this.#knowledge) return;
    if (next.prompt?.id !== this.#knowledge.prompt?.id) this.#touch = new Touch(this.session);
    this.#knowledge = next;
    this.#changed();
  }

  /** Its hooks, or the client that speaks its protocol, told something. */
  hear(message: FromAgent): void {
    if (this.isOver) return;
    if (message.type === 'hook') this.#hearHook(message);
    else this.#hearClient(message);
  }

  /** Somebody answered it, or wrote to it: it works until it is told otherwise. */
  resume(): void {
    this.#old = { view: this.watch.view, until: this.options.elapsed() + Math.max(this.spec.quietMs, UNBELIEVED_MS) };
    this.#asked.answered(this.session.typed);
    this.#prompted = undefined;
    this.learn({ type: 'resumed' });
    this.#askFirst();
  }

  /** Its prompt could not be given: it came upon a question. It is given once that is answered. */
  owe(): void {
    this.#owed = true;
  }

  /** Called some times a second. @param elapsed monotonic, milliseconds */
  look(elapsed: number): void {
    if (this.isOver) return;
    const sight = this.watch.look(elapsed);
    if (!sight) return;
    if (this.#asked.all.length > 0) this.#readAsked(sight.view);
    this.#read(sight, elapsed);
    if (this.#touch.look(sight.busy, elapsed)) this.#askAnew();
  }

  /** Its session has ended. */
  end(): void {
    const { exit, ring } = this.session;
    if (!exit || this.isOver) return;
    const tail = ring.read(Math.max(ring.start, ring.end - TAIL_BYTES), TAIL_BYTES);
    const loginMissing = this.spec.login.match(textOfOutput(tail));
    const wanted = this.stopping || exit.reason !== 'exited';
    this.learn({ type: 'ended', exit: { code: exit.exit_code, signal: exit.signal, wanted, loginMissing } });
    this.#ended.resolve(undefined);
  }

  /** As it is told to gateways. */
  describe(): RunnerAgent {
    const { state, source, prompt, failure } = this.#knowledge;
    const { ring, exit, id } = this.session;
    const over = this.isOver;
    return {
      ...{ agent_id: this.options.agentId, session_id: id, state, source, confidence: confidenceOf(this.#knowledge) },
      ...{ resume_id: this.resumeId, revision: this.#revision, changed_at_ms: this.#changedAt },
      ...(prompt && { prompt: { ...prompt, options: [...prompt.options] } }),
      ...(exit && exit.exit_code !== null && { exit_code: exit.exit_code }),
      ...(exit && exit.signal !== null && { signal: exit.signal }),
      ...(failure && { failure }),
      ...(over && { output_tail: ring.read(Math.max(ring.start, ring.end - TAIL_BYTES), TAIL_BYTES) }),
    };
  }

  #hearHook(hook: HookMessage): void {
    this.#learnResumeId(hook.conversation ?? '');
    const lesson = hookLesson(hook);
    if (lesson.says === 'waiting') this.#hearWaiting(lesson);
    else if (lesson.says === 'working') this.#hearWorking(lesson);
    else if (lesson.says === 'over' && this.#asked.first) this.#hearWorking({ complete: true });
  }

  /**
   * Where is what it waits for? Keys that are typed for it go to whatever is on the screen.
   * @param view what was seen just now; undefined when nothing could be
   */
  placeOf(view: MarkedView | undefined): Place {
    const { source } = this.#knowledge;
    const asked = this.#prompted;
    if (this.#touch.isTouched) return 'over';
    if (view === undefined || (source === 'hook' && this.spec.waiting.length === 0)) return 'unclear';
    if (source === 'screen') return view.waiting && view.text === this.#waitingView?.text ? 'asked' : 'over';
    if (!view.waiting || view.text === this.#old.view?.text) return asked?.seen === true ? 'over' : 'awaited';
    if (asked === undefined) return 'asked';
    const { all } = this.#asked;
    const shown = askedBy(view.dialog, all);
    if (shown === asked || (shown === undefined && all.length === 1 && !canBeTold(asked))) return 'asked';
    if (shown === undefined) return 'unclear';
    return asked.seen ? 'over' : 'awaited';
  }

  #hearWorking({ complete, call }: { readonly complete: boolean; readonly call?: ToolCall }): void {
    if (call) this.#asked.settle(call);
    else this.#asked.clear();
    if (this.#askFirst()) return;
    this.learn({ type: 'working', source: 'hook', complete });
  }

  #hearWaiting(lesson: HookLesson & { readonly says: 'waiting' }): void {
    const { kind, text, call, complete, again, signs = [] } = lesson;
    const { state, source } = this.#knowledge;
    if (again && state === 'waiting_for_input' && source === 'hook') return;
    const isPermission = kind === 'permission' && complete;
    // Of one that was told its screen says whether it is still asked.
    if (again && isPermission && this.#asked.all.length > 0) return;
    if (!call) this.#asked.clear();
    if (call || isPermission) this.#asked.add({ kind, text, call, signs }, this.session.typed);
    if (this.#askFirst()) return;
    this.learn({ type: 'waiting', source: 'hook', complete, prompt: this.#promptOf(kind, text) });
  }

  /** What its hooks have asked may be answered in its terminal, of which no hook tells before the tool has ended. */
  #readAsked(view: MarkedView): void {
    if (view.text === this.#old.view?.text || this.spec.waiting.length === 0) return;
    if (view.waiting) {
      const shown = askedBy(view.dialog, this.#asked.all);
      if (shown) this.#asked.show(shown);
    } else {
      this.#asked.showNone(this.session.typed);
    }
    if (!this.#askFirst() && this.#knowledge.prompt?.kind === 'permission') this.learn({ type: 'gone' });
  }

  /** Asks the same anew: it may be another question of the same words. */
  #askAnew(): void {
    const { prompt, source } = this.#knowledge;
    if (prompt?.kind !== 'permission' || source === 'acp') return;
    const anew = this.#promptOf(prompt.kind, prompt.text, prompt.options);
    this.learn({ type: 'waiting', source, complete: false, prompt: anew });
  }

  /** Asks what its hooks have asked first, unless that is its prompt. @returns whether there is such a thing */
  #askFirst(): boolean {
    const { first } = this.#asked;
    if (first !== this.#prompted && first) {
      const prompt = this.#promptOf(first.kind, first.text);
      this.learn({ type: 'waiting', source: 'hook', complete: true, prompt });
    }
    this.#prompted = first;
    return first !== undefined;
  }

  #hearClient(message: Exclude<FromAgent, HookMessage>): void {
    const told = { source: 'acp', complete: true } as const;
    if (message.type === 'acp_taken') {
      this.toldPrompts = Math.max(0, this.toldPrompts - 1);
      return;
    }
    this.request = message.type === 'acp_permission' ? message.request : undefined;
    if (message.type === 'acp_conversation') this.#learnResumeId(message.id);
    else if (message.type === 'acp_working') this.learn({ type: 'working', ...told });
    else if (message.type !== 'acp_input' || !this.#owed) {
      this.learn({ type: 'waiting', ...told, prompt: this.#promptOfClient(message) });
    } else {
      // What it asked before is over, and would be in the prompt's way.
      this.learn({ type: 'working', ...told });
      this.#giveOwed();
    }
  }

  #promptOfClient(message: Exclude<FromAgent, HookMessage>): Prompt {
    if (message.type === 'acp_permission') return this.#promptOf('permission', message.text, message.options);
    return message.type === 'acp_login' ? this.#promptOf('login', message.text) : this.#promptOf('input', '');
  }

  #giveOwed(): void {
    this.#owed = false;
    this.options.onReady(this);
  }

  /** The provider's own id of the conversation. */
  #learnResumeId(id: string): void {
    // What the gateway named a hook cannot rename: it may come from anything that runs in the session.
    const isNamed = this.spec.resumeId !== '' && !this.spec.acp;
    if (isNamed || !isConversationId(id) || id === this.resumeId) return;
    this.resumeId = id;
    this.#changed();
  }

  #read(sight: Sight, elapsed: number): void {
    if (this.#owed && this.spec.delivery === 'typed' && this.#readOwed(sight)) return;
    const { view, until } = this.#old;
    // What was answered is not asked for again as long as it stays there.
    if (sight.view.text !== view?.text) this.#old = { view: undefined, until: 0 };
    else if (sight.view.waiting || (sight.view === view && elapsed < until)) return;
    const reading = readScreen(sight, this.spec.quietMs);
    if (reading.says === 'working') this.#readWorking(sight.view);
    else if (reading.says !== 'nothing') this.#readWaiting(reading.says, reading.text, sight.view);
  }

  /** Gives the prompt that is owed to a screen that is ready. @returns whether nothing else is to be read on it */
  #readOwed(sight: Sight): boolean {
    const takes = takesPrompt(sight, this.spec.quietMs, this.#knowsReady);
    if (takes === 'yes') {
      // What its screen asked was answered in the terminal; what a hook asked is open until the hooks say otherwise.
      if (this.#knowledge.prompt) this.learn({ type: 'working', source: 'screen', complete: false });
      if (this.#knowledge.prompt?.kind !== 'permission') this.#giveOwed();
    }
    if (takes === 'unknown') this.#readWaiting('question', endOfScreen(sight.view.text), sight.view);
    return takes !== 'no';
  }

  /** Does the screen ask something that is still to be answered? Where hooks say that it takes input, that is believed. */
  asks(view: MarkedView): boolean {
    const { authority, prompt } = this.#knowledge;
    const isInput = authority === 'hook' && prompt?.kind === 'input';
    return view.waiting && view.text !== this.#old.view?.text && !isInput;
  }

  #readWorking(view: MarkedView): void {
    const { state, prompt } = this.#knowledge;
    // Nobody has answered what keeps its prompt from being given.
    if (this.#owed && prompt?.kind === 'question') return;
    if (state === 'starting' && !this.#given) return;
    // What was on the screen when it began to wait is still there: it has not gone on.
    if (state === 'waiting_for_input' && view.text === this.#waitingView?.text) return;
    this.learn({ type: 'working', source: 'screen', complete: false });
  }

  #readWaiting(
    kind: Exclude<Reading['says'], 'nothing' | 'working'> | 'question',
    text: string,
    view: MarkedView,
  ): void {
    if (this.#owed && kind === 'input') return;
    const { prompt } = this.#knowledge;
    // Whoever answers has seen all of the screen, not only what is told of it: another one asks anew.
    const isSame = kind === 'input' || kind === 'login' || view.text === this.#waitingView?.text;
    if (prompt?.kind === kind && isSame) return;
    this.#waitingView = view;
    this.learn({ type: 'waiting', source: 'screen', complete: false, prompt: this.#promptOf(kind, text) });
  }

  /** A new prompt. @param options how it can be answered; by keys, as far as there are some for that */
  #promptOf(kind: Prompt['kind'], text: string, options: readonly PromptOption[] = this.#keyOptions): Prompt {
    return { id: randomToken(16), kind, text: textOf(text), options: kind === 'permission' ? options : [] };
  }

  get #keyOptions(): PromptOption[] {
    const { approveKeys, denyKeys } = this.spec;
    return [
      ...(approveKeys.length > 0 ? [{ id: 'allow', label: 'Allow', kind: 'allow' } as const] : []),
      ...(denyKeys.length > 0 ? [{ id: 'deny', label: 'Deny', kind: 'deny' } as const] : []),
    ];
  }

  #changed(): void {
    this.#revision += 1;
    this.#changedAt = this.options.now();
    this.options.onChange(this);
  }
}

/** The end of a long question is what it asks. */
function textOf(text: string): string {
  return text.slice(-MAX_PROMPT_TEXT);
}
