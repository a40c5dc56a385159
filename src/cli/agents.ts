import { text as readAll } from 'node:stream/consumers';
import { Api } from './api.js';
import { agentById, type Agent, AGENT_COLUMNS, describe, PROVIDER_COLUMNS, type Provider } from './agent-table.js';
import { JSON_FLAG, none, only, parsed } from './arguments.js';
import { loadCredentials } from './credentials.js';
import { Failure, plain, UsageError } from './failure.js';
import type { Noun } from './noun.js';
import { printJson } from './output.js';
import { ask } from './prompt.js';
import { table } from './table.js';
import { attachTerminal, parseDetachKey } from './terminal.js';
import { terminalSize } from './terminal-size.js';
import { parseSpan } from './times.js';

const HELP = `Coding agents, each in a terminal that outlives its window.

Usage: gatehouse agent <command>

  start PROVIDER [--prompt TEXT | --prompt-file FILE] [--repo REPOSITORY [--base REF] | --worktree ID | --cwd DIR]
        [--name N] [--model M] [--auto] [--share] [--env NAME[=VALUE]]… [--arg A]… [--max-run T] [--request-id R]
        [--attach] [--json]
                            start one; --repo makes a worktree for it, --prompt-file - reads standard input,
                            --env NAME passes on a variable of this shell, --auto lets it do anything unasked
  list [--all] [--json]     agents that run; --all shows the others too
  show AGENT [--json]       one of them, what it waits for, and its last words
  attach AGENT [--viewer] [--take]
                            its terminal; Ctrl-] leaves it
  send AGENT TEXT [--draft] type a message in and submit it; --draft leaves that to you
  approve AGENT [--option O] [--prompt ID | --yes]
  deny AGENT [--prompt ID | --yes]
                            answer what it waits for, which is shown first; --prompt answers that question and no
                            other, --yes whatever it is
  stop AGENT                ask it to end, then make it
  resume AGENT [--prompt TEXT | --prompt-file FILE] [--env NAME[=VALUE]]… [--attach] [--json]
                            take one up that has ended, where it was
  providers [--json]        what can be started, and what is installed

An AGENT is an id, its beginning or end, or a name, if only one agent has it.`;

export const AGENT: Noun = {
  help: HELP,
  verbs: { start, list, show, attach, send, approve, deny, stop, resume, providers },
};

/** Making a worktree may run a setup first. */
const START_MS = 15 * 60_000;
const STOP_MS = 60_000;
const LIVE: ReadonlySet<string> = new Set(['starting', 'working', 'waiting_for_input']);

const PROMPT = { prompt: { type: 'string' }, 'prompt-file': { type: 'string' } } as const;
const ENV = { env: { type: 'string', multiple: true } } as const;
const ATTACH = { attach: { type: 'boolean', default: false } } as const;

/** `gatehouse agent start`. */
async function start(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, {
    ...PROMPT,
    ...ENV,
    ...ATTACH,
    ...JSON_FLAG,
    repo: { type: 'string' },
    base: { type: 'string' },
    worktree: { type: 'string' },
    cwd: { type: 'string' },
    name: { type: 'string' },
    model: { type: 'string' },
    auto: { type: 'boolean', default: false },
    share: { type: 'boolean', default: false },
    arg: { type: 'string', multiple: true },
    'max-run': { type: 'string' },
    'request-id': { type: 'string' },
  });
  const provider = only(positionals, 'start takes one provider; see `gatehouse agent providers`');
  if (values.base !== undefined && values.repo === undefined) throw new UsageError('--base goes with --repo');
  const api = new Api(loadCredentials());
  const agent = (await api.call(
    'POST',
    '/agents',
    {
      provider,
      prompt: await promptOf(values),
      name: values.name,
      model: values.model,
      create_worktree:
        values.repo === undefined
          ? undefined
          : { repository: values.repo, name: values.name ?? provider, base_ref: values.base },
      worktree_id: values.worktree,
      cwd: values.cwd,
      share_worktree: values.share,
      args: values.arg,
      approve: values.auto ? 'auto' : 'ask',
      env: environmentOf(values.env),
      max_run_seconds: values['max-run'] === undefined ? undefined : parseSpan('--max-run', values['max-run']),
      request_id: values['request-id'],
      // A repeated request has to be the same from any window.
      ...(values['request-id'] === undefined ? terminalSize() : {}),
    },
    START_MS,
  )) as Agent;
  return started(api, agent, values);
}

/** `gatehouse agent resume`. */
async function resume(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { ...PROMPT, ...ENV, ...ATTACH, ...JSON_FLAG });
  const api = new Api(loadCredentials());
  const { id } = await named(api, positionals, 'resume takes one agent', true);
  const request = { prompt: await promptOf(values), env: environmentOf(values.env), ...terminalSize() };
  return started(api, (await api.call('POST', `/agents/${id}/resume`, request)) as Agent, values);
}

/** Prints the agent that was started, or shows its terminal. */
async function started(
  api: Api,
  agent: Agent,
  { json, attach: now }: { json: boolean; attach: boolean },
): Promise<number> {
  for (const cap of agent.not_applied) process.stderr.write(`gatehouse: not applied: ${plain(cap)}\n`);
  if (now) return showTerminal(api, agent, { viewer: false, take: false });
  if (json) printJson(agent);
  else console.log(plain(agent.id));
  return 0;
}

/** `gatehouse agent list`. */
async function list(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { ...JSON_FLAG, all: { type: 'boolean', default: false } });
  none(positionals, 'list takes no names');
  const agents = await listed(new Api(loadCredentials()));
  const shown = values.all ? agents : agents.filter(({ state }) => LIVE.has(state));
  if (values.json) printJson({ items: shown });
  else
    console.log(shown.length === 0 ? 'no agents; start one with `gatehouse agent start`' : table(AGENT_COLUMNS, shown));
  return 0;
}

/** `gatehouse agent show`. */
async function show(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, JSON_FLAG);
  const api = new Api(loadCredentials());
  const { id } = await named(api, positionals, 'show takes one agent', true);
  const agent = (await api.call('GET', `/agents/${id}`)) as Agent;
  if (values.json) printJson(agent);
  else console.log(describe(agent));
  return 0;
}

/** `gatehouse agent attach`. */
async function attach(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, {
    viewer: { type: 'boolean', default: false },
    take: { type: 'boolean', default: false },
  });
  const api = new Api(loadCredentials());
  return showTerminal(api, await named(api, positionals, 'attach takes one agent'), values);
}

async function showTerminal(
  api: Api,
  agent: Agent,
  { viewer, take }: { readonly viewer: boolean; readonly take: boolean },
): Promise<number> {
  const session = agent.session_id;
  const from = process.stdout.isTTY ? null : await api.oldestOutput(session);
  return attachTerminal(api.credentials, {
    ...{ session, label: agent.name, viewer, take, from },
    detachKey: parseDetachKey('^]'),
  });
}

/** `gatehouse agent send`. */
async function send(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { draft: { type: 'boolean', default: false } });
  const [name, text, ...more] = positionals;
  if (name === undefined || text === undefined || more.length > 0) {
    throw new UsageError('send takes an agent and one text; put it in quotes');
  }
  const api = new Api(loadCredentials());
  const { id } = await named(api, [name], '');
  await api.call('POST', `/agents/${id}/message`, { text, draft: values.draft });
  return 0;
}

const ANSWER = { prompt: { type: 'string' }, yes: { type: 'boolean', default: false } } as const;

/** `gatehouse agent approve`. */
async function approve(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { ...ANSWER, option: { type: 'string' } });
  return answer(positionals, values, values.option === undefined ? { approve: true } : { option_id: values.option });
}

/** `gatehouse agent deny`. */
async function deny(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, ANSWER);
  return answer(positionals, values, { approve: false });
}

/** Answers the question that was shown, and no other: if there is another one by then, the server refuses. */
async function answer(
  positionals: readonly string[],
  { prompt: shown, yes }: { readonly prompt?: string | undefined; readonly yes: boolean },
  how: object,
): Promise<number> {
  const api = new Api(loadCredentials());
  const { id, name, prompt } = await named(api, positionals, 'give one agent');
  if (prompt === null) throw new Failure(`${plain(name)} waits for nothing`);
  if (shown === undefined && !yes) {
    if (!process.stdin.isTTY) throw new UsageError('--prompt ID says which question is answered, --yes any');
    process.stderr.write(`${prompt.text.split('\n').map(plain).join('\n')}\n`);
    const word = 'approve' in how && how.approve === false ? 'Deny' : 'Approve';
    if (!/^y(es)?$/i.test(await ask(`${word}? [y/N] `))) return 1;
  }
  await api.call('POST', `/agents/${id}/answer`, { prompt_id: shown ?? prompt.id, ...how });
  return 0;
}

/** `gatehouse agent stop`. */
async function stop(args: string[]): Promise<number> {
  const { positionals } = parsed(args, {});
  const api = new Api(loadCredentials());
  const { id, name } = await named(api, positionals, 'stop takes one agent');
  const { state } = (await api.call('POST', `/agents/${id}/stop`, {}, STOP_MS)) as Agent;
  console.log(`${plain(state)} ${id} (${plain(name)})`);
  return 0;
}

/** `gatehouse agent providers`. */
async function providers(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, JSON_FLAG);
  none(positionals, 'providers takes no names');
  const { items } = (await new Api(loadCredentials()).call('GET', '/agents/providers')) as { items: Provider[] };
  if (values.json) printJson({ items });
  else console.log(table(PROVIDER_COLUMNS, items));
  return 0;
}

async function listed(api: Api): Promise<Agent[]> {
  return (await api.list('/agents')) as Agent[];
}

/** The one agent meant. @param ended one that has ended may be meant too */
async function named(api: Api, positionals: readonly string[], sentence: string, ended = false): Promise<Agent> {
  const wanted = only(positionals, sentence);
  const agents = await listed(api);
  return agentById(ended ? agents : agents.filter(({ state, id }) => LIVE.has(state) || id === wanted), wanted);
}

/** The text of the prompt: an argument can be read by everybody on the machine, a file or standard input cannot. */
async function promptOf(values: {
  readonly prompt?: string | undefined;
  readonly 'prompt-file'?: string | undefined;
}): Promise<string | undefined> {
  const { prompt, 'prompt-file': file } = values;
  if (prompt !== undefined && file !== undefined) throw new UsageError('--prompt or --prompt-file, not both');
  if (file === undefined) return prompt;
  const { createReadStream } = await import('node:fs');
  const from = file === '-' ? process.stdin : createReadStream(file);
  return readAll(from).catch(() => {
    throw new Failure(`${plain(file)} cannot be read`);
  });
}

/** `NAME=VALUE`, or `NAME` with the value that it has here. */
function environmentOf(given: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    given.map((each) => {
      const at = each.indexOf('=');
      if (at > 0) return [each.slice(0, at), each.slice(at + 1)];
      const value = process.env[each];
      if (value === undefined) throw new UsageError(`--env ${each}: there is no such variable here`);
      return [each, value];
    }),
  );
}
