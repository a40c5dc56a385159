import { Api } from './api.js';
import { JSON_FLAG, none, only, parsed, wholeNumber } from './arguments.js';
import { loadCredentials } from './credentials.js';
import { Failure, plain, UsageError } from './failure.js';
import type { Noun, Run } from './noun.js';
import { printJson } from './output.js';
import { GIT_MS, WorktreeApi } from './worktree-api.js';
import { remove } from './worktree-remove.js';
import {
  COMMITS,
  diffText,
  listText,
  REPOSITORIES,
  RESCUES,
  statusText,
  type Worktree,
  WORKTREES,
  worktreeText,
} from './worktree-views.js';

const HELP = `Checkouts of repositories, each on a branch of its own, to work in.

Usage: gatehouse worktree <command>

  create REPOSITORY NAME [--base REF] [--branch EXISTING] [--fetch] [--copy GLOB]… [--request-id R] [--json]
         [-- setup command…]
                            make one and print where it is; the setup command runs in it as a session
  list [--all] [--json]     those that are there; --all shows removed ones too
  status W [--disk] [--json]
  diff W [PATH] [--against REF] [--json]
                            what differs from its base, and of one file every line
  log W [--limit N] [--since-base] [--json]
  stage W [PATH…]           put files into the index; all without a path
  unstage W [PATH…]
  discard W PATH            give a file back its content of the last commit; an untracked one is removed
  commit W -m MESSAGE [--all] [--session S] [--json]
  push W [--remote R] [--json]
  merge W [--base REF] [--json]
  rebase W [--base REF] [--json]
  remove W [--force --confirm NAME] [--delete-branch] [--json]
                            never with work that is nowhere else: it says what, and how to put it aside
  rescues [--json]          what forced removals have put aside
  repositories [--json]     what worktrees can be made of

W is a worktree by id, beginning or end of id, or name.`;

const BASE = { base: { type: 'string' } } as const;

/** `gatehouse worktree repositories`. */
async function repositories(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, JSON_FLAG);
  none(positionals, 'repositories takes no names');
  const answer = (await api().call('GET', '/repositories', undefined, GIT_MS)) as { items: never[] };
  if (values.json) printJson(answer);
  else
    console.log(
      listText(REPOSITORIES, answer.items, 'no repositories; the server’s PROJECT_ROOTS says where they are'),
    );
  return 0;
}

/** `gatehouse worktree create`. */
async function create(args: string[]): Promise<number> {
  const split = args.indexOf('--');
  const { values, positionals } = parsed(split < 0 ? args : args.slice(0, split), {
    ...BASE,
    branch: { type: 'string' },
    fetch: { type: 'boolean', default: false },
    copy: { type: 'string', multiple: true },
    'request-id': { type: 'string' },
    ...JSON_FLAG,
  });
  const [repository, name, ...more] = positionals;
  if (repository === undefined || name === undefined || more.length > 0) {
    throw new UsageError('create takes a repository and a name');
  }
  const made = (await api().call(
    'POST',
    '/worktrees',
    {
      ...{ repository, name, base_ref: values.base, existing_branch: values.branch },
      ...{ fetch: values.fetch, copy: values.copy, request_id: values['request-id'] },
      setup: split < 0 ? [] : args.slice(split + 1),
    },
    GIT_MS,
  )) as Worktree;
  if (values.json) printJson(made);
  else console.log(worktreeText(made));
  return 0;
}

/** `gatehouse worktree list`. */
async function list(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { ...JSON_FLAG, all: { type: 'boolean', default: false } });
  none(positionals, 'list takes no names');
  const worktrees = await new WorktreeApi(api()).list(values.all);
  if (values.json) printJson({ items: worktrees });
  else console.log(listText(WORKTREES, worktrees, 'no worktrees; make one with `gatehouse worktree create`'));
  return 0;
}

/** `gatehouse worktree status`. */
async function status(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { ...JSON_FLAG, disk: { type: 'boolean', default: false } });
  const wanted = only(positionals, 'status takes one worktree');
  const answer = await get(wanted, `status${values.disk ? '?disk_use=true' : ''}`);
  if (values.json) printJson(answer);
  else console.log(statusText(answer as Parameters<typeof statusText>[0]));
  return 0;
}

/** `gatehouse worktree diff`. */
async function diff(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { ...JSON_FLAG, against: { type: 'string' } });
  const [wanted, path, ...more] = positionals;
  if (wanted === undefined || more.length > 0) throw new UsageError('diff takes one worktree, and one path at most');
  const answer = await get(wanted, `diff${queryOf({ against: values.against, path })}`);
  if (values.json) printJson(answer);
  else console.log(diffText(answer as Parameters<typeof diffText>[0]));
  return 0;
}

/** `gatehouse worktree log`. */
async function log(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, {
    ...JSON_FLAG,
    limit: { type: 'string' },
    'since-base': { type: 'boolean', default: false },
  });
  const wanted = only(positionals, 'log takes one worktree');
  const limit = values.limit === undefined ? undefined : String(wholeNumber('--limit', values.limit));
  const since = values['since-base'] ? 'true' : undefined;
  const answer = (await get(wanted, `log${queryOf({ limit, since_base: since })}`)) as { commits: never[] };
  if (values.json) printJson(answer);
  else console.log(listText(COMMITS, answer.commits, 'no commits'));
  return 0;
}

/** `gatehouse worktree stage` and `unstage`. */
const index =
  (verb: 'stage' | 'unstage'): Run =>
  async (args) => {
    const [wanted, ...paths] = parsed(args, {}).positionals;
    if (wanted === undefined) throw new UsageError(`${verb} takes one worktree, and paths`);
    await post(wanted, verb, { paths });
    return 0;
  };

/** `gatehouse worktree discard`. */
async function discard(args: string[]): Promise<number> {
  const [wanted, path, ...more] = parsed(args, {}).positionals;
  if (wanted === undefined || path === undefined || more.length > 0) {
    throw new UsageError('discard takes one worktree and one path');
  }
  await post(wanted, 'discard', { path });
  return 0;
}

/** `gatehouse worktree commit`. */
async function commit(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, {
    message: { type: 'string', short: 'm' },
    all: { type: 'boolean', default: false },
    session: { type: 'string' },
    ...JSON_FLAG,
  });
  const wanted = only(positionals, 'commit takes one worktree');
  const { message, all, session } = values;
  if (message === undefined) throw new UsageError('commit needs -m MESSAGE');
  const answer = (await post(wanted, 'commit', { message, all, session_id: session })) as { commit: string };
  if (values.json) printJson(answer);
  else console.log(plain(answer.commit));
  return 0;
}

/** `gatehouse worktree push`. */
async function push(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { remote: { type: 'string' }, ...JSON_FLAG });
  const wanted = only(positionals, 'push takes one worktree');
  const answer = (await post(wanted, 'push', { remote: values.remote })) as Record<string, string>;
  if (values.json) printJson(answer);
  else
    console.log(plain(`${String(answer['branch'])} is at ${String(answer['commit'])} on ${String(answer['remote'])}`));
  return 0;
}

/** `gatehouse worktree merge` and `rebase`. A conflict is a failure, after which everything is as before. */
const integrate =
  (verb: 'merge' | 'rebase'): Run =>
  async (args) => {
    const { values, positionals } = parsed(args, { ...BASE, ...JSON_FLAG });
    const wanted = only(positionals, `${verb} takes one worktree`);
    const answer = (await post(wanted, verb, { base_ref: values.base })) as {
      readonly result: string;
      readonly head: string;
      readonly conflicts: readonly string[];
    };
    if (values.json) printJson(answer);
    if (answer.result === 'conflict') {
      throw new Failure(`these are in conflict, and nothing was changed: ${answer.conflicts.join(', ')}`);
    }
    if (!values.json) console.log(plain(answer.result === 'done' ? `now at ${answer.head}` : 'nothing to do'));
    return 0;
  };

/** `gatehouse worktree rescues`. */
async function rescues(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, JSON_FLAG);
  none(positionals, 'rescues takes no names');
  const items = await api().list('/worktrees/rescues');
  if (values.json) printJson({ items });
  else console.log(listText(RESCUES, items as never[], 'nothing was put aside'));
  return 0;
}

export const WORKTREE: Noun = {
  help: HELP,
  verbs: {
    ...{ create, list, status, diff, log, discard, commit, push, remove, rescues, repositories },
    ...{ stage: index('stage'), unstage: index('unstage'), merge: integrate('merge'), rebase: integrate('rebase') },
  },
};

const api = (): Api => new Api(loadCredentials());

const get = (wanted: string, what: string): Promise<unknown> => new WorktreeApi(api()).on(wanted, 'GET', what);
const post = (wanted: string, verb: string, body: object): Promise<unknown> =>
  new WorktreeApi(api()).on(wanted, 'POST', verb, body);

/** `?name=value&…` of what was given. */
function queryOf(values: Readonly<Record<string, string | undefined>>): string {
  const given = Object.entries(values).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return given.length === 0 ? '' : `?${new URLSearchParams(given).toString()}`;
}
