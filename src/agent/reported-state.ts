import type { AgentPrompt as RunnerPrompt } from '../generated/gatehouse/runner/v1/AgentPrompt.js';
import type { RunnerAgent__Output } from '../generated/gatehouse/runner/v1/RunnerAgent.js';
import {
  AGENT_STATES,
  type AgentEntity,
  type AgentPrompt,
  PROMPT_KINDS,
  type PromptOption,
  STATE_SOURCES,
} from './agent.entity.js';

/** Text of a prompt and its labels, which a program on the runner wrote. */
const MAX_TEXT = 4096;
const MAX_LABEL = 200;
const MAX_OPTIONS = 20;
const MAX_ID = 128;
const RESUME_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,127}$/;

/** What of a row the runner's report changes. */
export type Reported = Pick<
  AgentEntity,
  | 'state'
  | 'source'
  | 'confidence'
  | 'revision'
  | 'prompt'
  | 'exitCode'
  | 'signal'
  | 'failure'
  | 'resumeId'
  | 'changedAt'
  | 'endedAt'
>;

const ENDED: ReadonlySet<string> = new Set(['exited', 'failed', 'stopped', 'lost']);

/** Has an agent in this state ended? */
export const isEnded = (state: string): boolean => ENDED.has(state);

/** What the runner says of an agent, as a row keeps it; its texts are a program's, and so cut to bounded lengths. */
export function reportedState(agent: RunnerAgent__Output): Reported {
  const state = oneOf(AGENT_STATES, agent.state, 'starting');
  const changedAt = new Date(agent.changed_at_ms ?? 0);
  return {
    state,
    source: oneOf(STATE_SOURCES, agent.source, 'process'),
    confidence: agent.confidence === 'high' ? 'high' : 'low',
    revision: agent.revision ?? 0,
    prompt: state === 'waiting_for_input' && agent.prompt ? toPrompt(agent.prompt) : null,
    exitCode: agent.exit_code ?? null,
    signal: agent.signal ?? null,
    failure: agent.failure ?? null,
    // A program wrote it, and it will be part of a command line: never what could be taken for an option.
    resumeId: RESUME_ID.test(agent.resume_id ?? '') ? (agent.resume_id ?? null) : null,
    changedAt,
    endedAt: isEnded(state) ? changedAt : null,
  };
}

const toPrompt = ({ id, kind, text, options }: RunnerPrompt): AgentPrompt => ({
  id: clip(id, MAX_ID),
  kind: oneOf(PROMPT_KINDS, kind, 'question'),
  text: clip(text, MAX_TEXT),
  options: (options ?? []).slice(0, MAX_OPTIONS).map((option): PromptOption => ({
    id: clip(option.id, MAX_ID),
    label: clip(option.label, MAX_LABEL),
    kind: oneOf(['allow', 'deny', 'other'] as const, option.kind, 'other'),
  })),
});

/** Without what a terminal takes for a command, nor what PostgreSQL's JSON cannot hold. */
const clip = (text: string | undefined, max: number): string =>
  (text ?? '')
    .toWellFormed()
    .replace(/[^\P{Cc}\t\n]/gu, '')
    .slice(0, max)
    .toWellFormed();

const oneOf = <T extends string>(known: readonly T[], value: string | undefined, otherwise: T): T =>
  known.find((each) => each === value) ?? otherwise;
