import type { AgentSpec } from '../../generated/gatehouse/runner/v1/AgentSpec.js';
import type { Provider } from './provider.schema.js';

/** What of a start goes into the making of its command line. */
export interface AgentWish {
  readonly binary: string;
  readonly model: string | null;
  readonly approve: 'ask' | 'auto';
  readonly args: readonly string[];
  readonly prompt: string;
  /** The conversation: one to take up, or the name for a new one. */
  readonly conversation: { readonly resume: boolean; readonly id: string };
  readonly caps: { readonly memoryBytes: number; readonly cpuPercent: number };
}

/** How the runner is to start, steer and watch the program. The order is the one that subcommands need: they come first. */
export function specOf(provider: Provider, wish: AgentWish): AgentSpec {
  const { prompt, keys, screen } = provider;
  return {
    binary: wish.binary,
    args: [...conversationArgs(provider, wish), ...settingArgs(provider, wish), ...wish.args],
    prompt: wish.prompt,
    delivery: prompt.delivery,
    prompt_flag: prompt.delivery === 'flag' ? prompt.flag : '',
    hooks: provider.hooks === 'none' ? '' : provider.hooks,
    acp: provider.acp,
    ready: screen.ready,
    waiting: screen.waiting,
    login: screen.login,
    approve_keys: Buffer.from(keys.approve),
    deny_keys: Buffer.from(keys.deny),
    submit_keys: Buffer.from(keys.submit),
    stop_keys: keys.stop.map((each) => Buffer.from(each)),
    quiet_ms: Math.round(provider.quiet_seconds * 1000),
    memory_bytes: wish.caps.memoryBytes,
    cpu_percent: wish.caps.cpuPercent,
    resume_id: wish.conversation.id,
  };
}

/** Variables that the provider's own settings are told by. */
export const specEnvironment = (provider: Provider, { model, approve }: AgentWish): Record<string, string> => ({
  ...(model === null ? {} : filledIn(provider.model?.env ?? {}, '{model}', model)),
  ...(approve === 'auto' ? provider.auto?.env : provider.ask.env),
});

/** Variables that say whether it asks: no caller sets them. */
export const decidingVariables = ({ auto, ask }: Provider): ReadonlySet<string> =>
  new Set([...Object.keys(auto?.env ?? {}), ...Object.keys(ask.env)]);

/** What credentials are called. */
const CREDENTIAL = /^[A-Z][A-Z0-9_]*_(?:API_KEY|AUTH_TOKEN|ACCESS_TOKEN|TOKEN)$/;

/** May anybody set this variable for it? Others could lead it to another configuration, or to other programs. */
export const isHarmless = ({ env }: Provider, name: string): boolean => CREDENTIAL.test(name) || env.includes(name);

/** Can one that has ended be taken up again? Where the provider names its conversations, only when the name is known. */
export const canResume = ({ resume_args }: Provider, resumeId: string | null): boolean =>
  resume_args !== null && (resumeId !== null || !resume_args.some((each) => each.includes('{session}')));

function conversationArgs({ args, session_args, resume_args }: Provider, { conversation }: AgentWish): string[] {
  const own = conversation.resume ? resume_args : session_args;
  const named = (own ?? []).map((each) => each.replaceAll('{session}', conversation.id));
  // `codex resume <id>`, but `goose session --resume`.
  return own?.[0]?.startsWith('-') === false ? [...named, ...args] : [...args, ...named];
}

function settingArgs({ ask, auto, model }: Provider, wish: AgentWish): string[] {
  const chosen =
    wish.model === null ? [] : (model?.args ?? []).map((each) => each.replaceAll('{model}', wish.model ?? ''));
  return [...chosen, ...(wish.approve === 'auto' ? (auto?.args ?? []) : ask.args)];
}

const filledIn = (env: Readonly<Record<string, string>>, place: string, value: string): Record<string, string> =>
  Object.fromEntries(Object.entries(env).map(([name, text]) => [name, text.replaceAll(place, value)]));
