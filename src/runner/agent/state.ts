/** What is known of an agent, and how it changes with what is learnt: pure, without clock or process. */

export type AgentState = 'starting' | 'working' | 'waiting_for_input' | 'exited' | 'failed' | 'stopped';
/** Where it is known from. */
export type Source = 'hook' | 'acp' | 'screen' | 'process';
export type PromptKind = 'permission' | 'question' | 'input' | 'login';
export type Failure = 'AGENT_CRASHED' | 'AGENT_LOGIN_REQUIRED';

export interface PromptOption {
  readonly id: string;
  readonly label: string;
  readonly kind: 'allow' | 'deny' | 'other';
}

/** Something that the agent waits for. */
export interface Prompt {
  readonly id: string;
  readonly kind: PromptKind;
  readonly text: string;
  readonly options: readonly PromptOption[];
}

export interface Knowledge {
  readonly state: AgentState;
  readonly source: Source;
  readonly prompt: Prompt | undefined;
  /** The best source that tells every change: a lesser one is not believed any more. */
  readonly authority: Source;
  readonly failure: Failure | undefined;
}

/** What a source tells. */
export interface Told {
  readonly source: Source;
  /** It tells every change, so that no lesser source is needed. */
  readonly complete: boolean;
}

export type Lesson =
  | (Told & { readonly type: 'working' })
  | (Told & { readonly type: 'waiting'; readonly prompt: Prompt })
  /** Somebody answered or wrote to it. */
  | { readonly type: 'resumed' }
  /** What it asked is not on its screen any more: somebody answered it there, as it seems. */
  | { readonly type: 'gone' }
  | { readonly type: 'ended'; readonly exit: Exit };

/** How its process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
  /** It was asked for: a stop, a kill, the end of its time. */
  readonly wanted: boolean;
  /** Its last screen says that it has no login. */
  readonly loginMissing: boolean;
}

export const BEGINNING: Knowledge = {
  state: 'starting',
  source: 'process',
  prompt: undefined,
  authority: 'process',
  failure: undefined,
};

const RANK: Readonly<Record<Source, number>> = { process: 0, screen: 1, acp: 2, hook: 3 };

/** Has it ended for good? */
export function isOver({ state }: Knowledge): boolean {
  return state === 'exited' || state === 'failed' || state === 'stopped';
}

/** How sure that is. */
export function confidenceOf({ source }: Knowledge): 'high' | 'low' {
  return source === 'screen' ? 'low' : 'high';
}

/** @returns what is known now: `knowledge` itself when the lesson changes nothing */
export function learn(knowledge: Knowledge, lesson: Lesson): Knowledge {
  if (isOver(knowledge)) return knowledge;
  if (lesson.type === 'ended') return ended(knowledge, lesson.exit);
  if (lesson.type === 'resumed') {
    // It was written to by us, which is as sure as anything; who tells the rest stays the same.
    return knowledge.state === 'working' ? knowledge : { ...knowledge, state: 'working', prompt: undefined };
  }
  if (lesson.type === 'gone') return { ...knowledge, state: 'working', source: 'screen', prompt: undefined };
  if (RANK[lesson.source] < RANK[knowledge.authority]) return knowledge;
  const authority = lesson.complete ? lesson.source : knowledge.authority;
  if (lesson.type === 'waiting') {
    return { ...knowledge, state: 'waiting_for_input', source: lesson.source, authority, prompt: lesson.prompt };
  }
  const guessed = knowledge.source === 'screen' && lesson.source !== 'screen';
  const known = knowledge.state === 'working' && knowledge.authority === authority && !guessed;
  return known ? knowledge : { ...knowledge, state: 'working', source: lesson.source, authority, prompt: undefined };
}

function ended(knowledge: Knowledge, exit: Exit): Knowledge {
  const over = { ...knowledge, source: 'process', prompt: undefined } as const;
  if (exit.wanted) return { ...over, state: 'stopped' };
  const clean = exit.code === 0;
  // Some leave without complaint when nobody logs in; a screen that speaks of a login may be about anything, though.
  const asked = knowledge.prompt?.kind === 'login' && (knowledge.source !== 'screen' || !clean);
  if (asked || (exit.loginMissing && !clean)) return { ...over, state: 'failed', failure: 'AGENT_LOGIN_REQUIRED' };
  return clean ? { ...over, state: 'exited' } : { ...over, state: 'failed', failure: 'AGENT_CRASHED' };
}
