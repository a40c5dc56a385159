import { Failure, plain } from './failure.js';
import { type Column, facts } from './table.js';
import { relativeText, span } from './times.js';

/** An agent as REST shows it, as far as it is shown here. */
export interface Agent {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly provider: string;
  readonly model: string | null;
  readonly approve: string;
  readonly worktree_id: string | null;
  readonly session_id: string;
  readonly state: string;
  readonly source: string;
  readonly confidence: string;
  readonly prompt: {
    readonly id: string;
    readonly kind: string;
    readonly text: string;
    readonly options: readonly { readonly id: string; readonly label: string; readonly kind: string }[];
  } | null;
  readonly exit_code: number | null;
  readonly signal: string | null;
  readonly failure: string | null;
  readonly output_tail: string | null;
  readonly resumable: boolean;
  readonly not_applied: readonly string[];
  readonly created_at: string;
  readonly changed_at: string;
}

export interface Provider {
  readonly id: string;
  readonly name: string;
  readonly binary: string;
  readonly installed: boolean;
  readonly version: string | null;
  readonly source: string;
  readonly resume: boolean;
}

export const AGENT_COLUMNS: readonly Column<Agent>[] = [
  { heading: 'ID', of: ({ id }) => id },
  { heading: 'NAME', of: ({ name }) => name, shrinks: true },
  { heading: 'PROVIDER', of: ({ provider }) => provider },
  { heading: 'STATE', of: stateText },
  { heading: 'OWNER', of: ({ owner }) => owner, shrinks: true },
  { heading: 'AGE', of: ({ created_at: created }) => span(Date.now() - Date.parse(created)) },
  { heading: 'WAITS FOR', of: ({ prompt }) => prompt?.text.replace(/\s+/g, ' ') ?? '', shrinks: true },
];

export const PROVIDER_COLUMNS: readonly Column<Provider>[] = [
  { heading: 'ID', of: ({ id }) => id },
  { heading: 'NAME', of: ({ name }) => name },
  { heading: 'PROGRAM', of: ({ binary }) => binary },
  { heading: 'INSTALLED', of: ({ installed, version }) => (installed ? (version ?? 'yes') : 'no'), shrinks: true },
  { heading: 'STATE BY', of: ({ source }) => source },
  { heading: 'RESUMES', of: ({ resume }) => (resume ? 'yes' : 'no') },
];

/** Everything that is known of one agent, a line each. */
export function describe(agent: Agent): string {
  const { prompt, failure, exit_code: code, signal } = agent;
  const end = signal === null ? (code === null ? '' : `status ${code}`) : `signal ${signal}`;
  const lines: (readonly [string, string])[] = [
    ['id', agent.id],
    ['name', agent.name],
    ['provider', agent.model === null ? agent.provider : `${agent.provider} (${agent.model})`],
    ['owner', agent.owner],
    ['state', [stateText(agent), failure ?? '', end].filter((each) => each !== '').join(', ')],
    ['known from', `${agent.source} (${agent.confidence} confidence)`],
    ['since', relativeText(agent.changed_at, Date.now())],
    ['approves', agent.approve === 'auto' ? 'everything by itself' : 'nothing by itself'],
    ['session', agent.session_id],
    ...(agent.worktree_id === null ? [] : [['worktree', agent.worktree_id] as const]),
    ...agent.not_applied.map((cap) => ['not applied', cap] as const),
    ...(prompt === null ? [] : [['prompt', prompt.id] as const]),
    ...(prompt === null ? [] : [['waits for', `${prompt.kind}: ${prompt.text.replace(/\s+/g, ' ')}`] as const]),
    ...(prompt?.options ?? []).map(({ id, label }) => ['option', `${id}: ${label}`] as const),
  ];
  const tail = agent.output_tail === null ? '' : `\n\n${lastWords(agent.output_tail)}`;
  return `${facts(lines)}${tail}`;
}

/**
 * The one agent meant: by id; else by name, beginning or end of the id.
 * @throws Failure when there is none, or several
 */
export function agentById(agents: readonly Agent[], wanted: string): Agent {
  const exact = agents.find(({ id }) => id === wanted);
  if (exact) return exact;
  const matches = agents.filter(({ id, name }) => name === wanted || id.startsWith(wanted) || id.endsWith(wanted));
  const [only, ...others] = matches;
  if (only === undefined) throw new Failure(`no agent ${plain(wanted)}; see \`gatehouse agent list\``);
  if (others.length > 0) throw new Failure(`${matches.length} agents match ${plain(wanted)}; give more of the id`);
  return only;
}

function stateText({ state, confidence }: Agent): string {
  return confidence === 'low' ? `${state.replaceAll('_', ' ')}?` : state.replaceAll('_', ' ');
}

/** Output as text: without control sequences, line by line. */
const lastWords = (tail: string): string =>
  tail
    // eslint-disable-next-line no-control-regex -- what is taken out are control sequences
    .replace(/\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])/g, '')
    .split(/\r?\n/)
    .map((line) => plain(line).trimEnd())
    .filter((line) => line !== '')
    .slice(-12)
    .join('\n');
