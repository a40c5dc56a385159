import { parseArgs, type ParseArgsConfig } from 'node:util';
import { VERSION } from '../kernel/package.js';
import { Api, type Session } from './api.js';
import { credentialsFile, loadCredentials, removeCredentials, serverUrl, storeCredentials } from './credentials.js';
import { Failure, plain, UsageError } from './failure.js';
import { ask } from './prompt.js';
import { sessionTable } from './table.js';
import { attachTerminal, parseDetachKey, terminalSize } from './terminal.js';

const LIVE = new Set(['starting', 'running']);
const DETACH_KEY = { 'detach-key': { type: 'string', default: '^]' } } as const;

/** Parses a command's arguments. @throws UsageError for unknown flags */
function parsed<T extends NonNullable<ParseArgsConfig['options']>>(args: string[], options: T) {
  try {
    return parseArgs({ args, options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? (error.message.split('.')[0] ?? '') : 'unknown argument');
  }
}

/** `gatehouse run`: starts a session and attaches to it. */
export async function run(args: string[]): Promise<number> {
  const split = commandStart(args);
  const { values, positionals } = parsed(args.slice(0, split), {
    name: { type: 'string' },
    cwd: { type: 'string' },
    detach: { type: 'boolean', default: false },
    ...DETACH_KEY,
  });
  const api = new Api(loadCredentials());
  const detachKey = parseDetachKey(values['detach-key']);
  const session = await api.start({
    ...(values.name === undefined ? {} : { name: values.name }),
    ...(values.cwd === undefined ? {} : { cwd: values.cwd }),
    command: [...positionals, ...args.slice(split).filter((arg, index) => index > 0 || arg !== '--')],
    ...terminalSize(),
  });
  if (values.detach) {
    console.log(plain(session.id));
    return 0;
  }
  return attachTerminal(api.credentials, {
    session: session.id,
    label: session.name,
    viewer: false,
    take: false,
    detachKey,
  });
}

/** Flags after the program's name are the program's. */
function commandStart(args: readonly string[]): number {
  const takesValue = new Set(['--name', '--cwd', '--detach-key']);
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
  const [wanted, ...more] = positionals;
  if (wanted === undefined || more.length > 0)
    throw new UsageError('attach takes one session, by id, end of id, or name');
  const api = new Api(loadCredentials());
  const detachKey = parseDetachKey(values['detach-key']);
  const session = pick(await api.list(), wanted);
  const { viewer, take } = values;
  return attachTerminal(api.credentials, { session: session.id, label: session.name, viewer, take, detachKey });
}

/** The one session meant: by id; else among the live ones by name, beginning or end of the id. */
export function pick(sessions: readonly Session[], wanted: string): Session {
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
  const { values, positionals } = parsed(args, {
    json: { type: 'boolean', default: false },
    all: { type: 'boolean', default: false },
  });
  if (positionals.length > 0) throw new UsageError('list takes no names');
  const sessions = await new Api(loadCredentials()).list();
  const shown = values.all ? sessions : sessions.filter(({ state }) => LIVE.has(state));
  if (values.json) console.log(JSON.stringify({ items: shown }, null, 2));
  else
    console.log(shown.length === 0 ? 'no sessions; start one with `gatehouse run`' : sessionTable(shown, Date.now()));
  return 0;
}

/** `gatehouse kill`. */
export async function kill(args: string[]): Promise<number> {
  const { positionals } = parsed(args, {});
  if (positionals.length === 0) throw new UsageError('kill takes sessions');
  const api = new Api(loadCredentials());
  const sessions = await api.list();
  for (const wanted of positionals) {
    const { id, name } = pick(sessions, wanted);
    await api.kill(id);
    console.log(`killed ${id} (${plain(name)})`);
  }
  return 0;
}

/** `gatehouse login`: keeps a credential in a file that only its user can read. */
export async function login(args: string[]): Promise<number> {
  const { values } = parsed(args, { url: { type: 'string' } });
  const url = serverUrl(values.url ?? ((await ask('Server [http://127.0.0.1:8080]: ')) || 'http://127.0.0.1:8080'));
  const token = await ask('API key or token (not shown): ', true);
  if (token === '') throw new Failure('no key was given');
  await new Api({ url, token }).check();
  console.log(`logged in to ${url}; the credential is in ${storeCredentials({ url, token })}`);
  return 0;
}

/** `gatehouse logout`. */
export function logout(args: string[]): number {
  parsed(args, {});
  removeCredentials();
  console.log(`removed ${credentialsFile()}`);
  return 0;
}

/** `gatehouse version`. */
export function version(): number {
  console.log(VERSION);
  return 0;
}
