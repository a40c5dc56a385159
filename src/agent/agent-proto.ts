import type { Agent } from '../generated/gatehouse/agent/v1/Agent.js';
import type { Provider } from '../generated/gatehouse/agent/v1/Provider.js';
import { timestamp } from '../kernel/proto-values.js';
import type { AgentPrompt, AgentState, PromptKind, StateSource } from './agent.entity.js';
import type { AgentView } from './agent-view.js';
import type { ProviderView } from './providers/providers.js';

const upper = <T extends string>(value: T): Uppercase<T> => value.toUpperCase() as Uppercase<T>;
const state = (value: AgentState) => `AGENT_STATE_${upper(value)}` as const;
const source = (value: StateSource) => `STATE_SOURCE_${upper(value)}` as const;
const promptKind = (value: PromptKind) => `PROMPT_KIND_${upper(value)}` as const;

/** An agent as protobuf: times as Timestamp, null as absent. */
export function toProto(view: AgentView): Agent {
  const { model, worktree_id, prompt, exit_code, signal, failure, output_tail, ended_at, ...same } = view;
  return {
    ...same,
    approve: `APPROVE_${upper(view.approve)}`,
    state: state(view.state),
    source: source(view.source),
    confidence: `CONFIDENCE_${upper(view.confidence)}`,
    not_applied: [...view.not_applied],
    created_at: timestamp(view.created_at),
    changed_at: timestamp(view.changed_at),
    ...(model === null ? {} : { model }),
    ...(worktree_id === null ? {} : { worktree_id }),
    ...(prompt === null ? {} : { prompt: promptToProto(prompt) }),
    ...(exit_code === null ? {} : { exit_code }),
    ...(signal === null ? {} : { signal }),
    ...(failure === null ? {} : { failure }),
    ...(output_tail === null ? {} : { output_tail }),
    ...(ended_at === null ? {} : { ended_at: timestamp(ended_at) }),
  };
}

const promptToProto = ({ id, kind, text, options }: AgentPrompt) => ({
  ...{ id, text, kind: promptKind(kind) },
  options: options.map((option) => ({ ...option })),
});

export function providerToProto({ path, version, ...view }: ProviderView): Provider {
  return {
    ...view,
    source: source(view.source),
    ...(path === null ? {} : { path }),
    ...(version === null ? {} : { version }),
  };
}
