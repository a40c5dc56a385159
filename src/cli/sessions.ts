import { Api } from './api.js';
import { JSON_FLAG, none, only, parsed } from './arguments.js';
import { loadCredentials } from './credentials.js';
import { Failure, plain, UsageError } from './failure.js';
import { printJson } from './output.js';
import { shorten } from './display-width.js';
import { type Column, table } from './table.js';
import { attachTerminal, parseDetachKey } from './terminal.js';
import { terminalSize } from './terminal-size.js';
import { parseSpan, span } from './times.js';
import { WorktreeApi } from './worktree-api.js';

const LIVE = new Set(['starting', 'running']);
const DETACH_KEY = { 'detach-key': { type: 'string', default: '^]' } } as const;
const TIMES = { 'idle-timeout': { type: 'string' }, 'max-duration': { type: 'string' } } as const;
const MAX_COMMAND = 40;

/** A session as REST shows it. */
interface Session {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly state: string;
  readonly command: readonly string[];
  readonly cols: number;
  readonly rows: number;
  readonly created_at: string;
}

const COLUMNS: readonly Column<Session>[] = [
  { heading: 'ID', of: ({ id }) => id },
  { heading: 'NAME', of: ({ name }) => name, shrinks: true },
  { heading: 'STATE', of: ({ state }) => state },
  { heading: 'OWNER', of: ({ owner }) => owner, shrinks: true },
  { heading: 'SIZE', of: ({ cols, rows }) => `${cols}x${rows}` },
  { heading: 'AGE', of: ({ created_at: created }) => span(Date.now() - Date.parse(created)) },
  { heading: 'COMMAND', of: ({ command }) => shorten(command.join(' '), MAX_COMMAND), shrinks: true },
];

/** `gatehouse run`: starts a session and attaches to it. */
export async function run(args: string[]): Promise<number> {
  const split = commandStart(args);
  const { values, positionals } = parsed(args.slice(0, split), {
    name: { type: 'string' },
    cwd: { type: 'string' },
    worktree: { type: 'string' },
    ...TIMES,
    'request-id': { type: 'string' },
    detach: { type: 'boolean', default: false },
    ...DETACH_KEY,
  });
  const api = new Api(loadCredentials());
  const detachKey = parseDetachKey(values['detach-key']);
  const session = (await api.call('POST', '/sessions', {
    ...(values.name === undefined ? {} : { name: values.name }),
    ...(values.cwd === undefined ? {} : { cwd: values.cwd }),
    ...(values.worktree === undefined ? {} : { worktree_id: (await new WorktreeApi(api).find(values.worktree)).id }),
    ...timesOf(values),
    ...(values['request-id'] === undefined ? {} : { request_id: values['request-id'] }),
    command: [...positionals, ...args.slice(split).filter((arg, index) => index > 0 || arg !== '--')],
    // A repeated request has to be the same from any window. Who attaches as controller sets the size.
    ...(values['request-id'] === undefined ? terminalSize() : {}),
  })) as Session;
  if (values.detach) {
    console.log(plain(session.id));
    return 0;
  }
  return attachTerminal(api.credentials, {
    session: session.id,
    label: session.name,
    viewer: false,
    take: false,
    // What it has written since its start scrolls by, as if it ran here.
    from: 0,
    detachKey,
  });
}

/** What of the times was given, as the server wants it. */
function timesOf(values: { readonly [name in keyof typeof TIMES]?: string | undefined }): object {
  const { 'idle-timeout': idle, 'max-duration': max } = values;
  return {
    ...(idle === undefined ? {} : { idle_timeout_seconds: parseSpan('--idle-timeout', idle) }),
    ...(max === undefined ? {} : { max_duration_seconds: parseSpan('--max-duration', max) }),
  };
}

/** Flags after the program's name are the program's. */
function commandStart(args: readonly string[]): number {
  const takesValue = new Set([
    '--name',
    '--cwd',
    '--worktree',
    '--idle-timeout',
    '--max-duration',
    '--request-id',
    '--detach-key',
  ]);
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? '';
    if (arg === '--' || !arg.startsWith('-')) return index;
    if (takesValue.has(arg)) index += 1;
  }
  return args.length;
}

/** `gatehouse attach`: comes back to a session. */
export async function attach(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, {
    viewer: { type: 'boolean', default: false },
    take: { type: 'boolean', default: false },
    ...DETACH_KEY,
  });
  const wanted = only(positionals, 'attach takes one session, by id, end of id, or name');
  const api = new Api(loadCredentials());
  const detachKey = parseDetachKey(values['detach-key']);
  const session = pick(await listed(api), wanted);
  const { viewer, take } = values;
  // A person sees the screen as it is; a file or pipe gets all the output that is retained.
  const from = process.stdout.isTTY ? null : await api.oldestOutput(session.id);
  const { id, name } = session;
  return attachTerminal(api.credentials, { session: id, label: name, viewer, take, from, detachKey });
}

/** The one session meant: by id; else among the live ones by name, beginning or end of the id. */
function pick(sessions: readonly Session[], wanted: string): Session {
  const exact = sessions.find(({ id }) => id === wanted);
  if (exact) return exact;
  const live = sessions.filter(({ state }) => LIVE.has(state));
  const matches = live.filter(({ id, name }) => name === wanted || id.startsWith(wanted) || id.endsWith(wanted));
  const [only, ...others] = matches;
  if (only === undefined) throw new Failure(`no session ${plain(wanted)}; see \`gatehouse list\``);
  if (others.length > 0) throw new Failure(`${matches.length} sessions match ${plain(wanted)}; give more of the id`);
  return only;
}

/** `gatehouse list`. */
export async function list(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { ...JSON_FLAG, all: { type: 'boolean', default: false } });
  none(positionals, 'list takes no names');
  const sessions = await listed(new Api(loadCredentials()));
  const shown = values.all ? sessions : sessions.filter(({ state }) => LIVE.has(state));
  if (values.json) printJson({ items: shown });
  else console.log(shown.length === 0 ? 'no sessions; start one with `gatehouse run`' : table(COLUMNS, shown));
  return 0;
}

/** `gatehouse kill`. */
export async function kill(args: string[]): Promise<number> {
  const { positionals } = parsed(args, {});
  if (positionals.length === 0) throw new UsageError('kill takes sessions');
  const api = new Api(loadCredentials());
  const sessions = await listed(api);
  for (const wanted of positionals) {
    const { id, name } = pick(sessions, wanted);
    await api.call('DELETE', `/sessions/${encodeURIComponent(id)}`);
    console.log(`killed ${id} (${plain(name)})`);
  }
  return 0;
}

/** All sessions the caller may see, newest first. */
async function listed(api: Api): Promise<Session[]> {
  return (await api.list('/sessions')) as Session[];
}
