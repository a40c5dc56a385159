import { Api } from './api.js';
import { JSON_FLAG, none, only, parsed, wholeNumber } from './arguments.js';
import { loadCredentials } from './credentials.js';
import { plain, UsageError } from './failure.js';
import { type Key, KeyStore, type NewKey, works } from './key-store.js';
import type { Noun } from './noun.js';
import { printJson, tell } from './output.js';
import { type Column, facts, table } from './table.js';
import { parseMoment, parseSpan, relativeText } from './times.js';

const HELP = `API keys for programs.

Usage: gatehouse key <command>

  create NAME [--role R]… [--scope S]… [--cidr C]… [--expires 30d|12h|TIME] [--owner O] [--rate-limit N]
         [--description D] [--json]
                            make a key. Prints nothing but the key, so that KEY=$(gatehouse key create …) works;
                            it is shown this once. --scope narrows it to a permission, --cidr to an address or
                            network, --rate-limit to so many calls a minute; TIME is like 2030-01-31T12:00:00Z
  list [--all] [--owner O] [--expiring] [--json]
                            keys that work; --all shows the others too, --expiring only those soon to expire
  rotate ID [--grace 24h] [--json]
                            make a successor with the same powers, printed as by create; the old key works until
                            the grace ends (0: not any more)
  revoke ID… [--reason TEXT] [--json]
                            end keys for good, and every terminal that they opened

An ID is the id of a key, the beginning of one, or a name, if only one key has it.`;

export const KEY: Noun = { help: HELP, verbs: { create, list, rotate, revoke } };

const COLUMNS: readonly Column<Key>[] = [
  { heading: 'ID', of: ({ id }) => id },
  { heading: 'NAME', of: ({ name }) => name, shrinks: true },
  { heading: 'OWNER', of: ({ owner }) => owner, shrinks: true },
  { heading: 'STATE', of: stateOf },
  { heading: 'SCOPES', of: scopesOf, shrinks: true },
  { heading: 'EXPIRES', of: ({ expires_at: expires }) => relativeText(expires, Date.now()) },
  { heading: 'LAST USED', of: ({ last_used_at: used }) => relativeText(used, Date.now()) },
];

/** `gatehouse key create`. */
async function create(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, {
    role: { type: 'string', multiple: true },
    scope: { type: 'string', multiple: true },
    cidr: { type: 'string', multiple: true },
    expires: { type: 'string' },
    owner: { type: 'string' },
    'rate-limit': { type: 'string' },
    description: { type: 'string' },
    ...JSON_FLAG,
  });
  const name = only(positionals, 'create takes one name');
  const { role, scope, cidr, expires, owner, 'rate-limit': rate, description } = values;
  const request = {
    name,
    description,
    owner,
    roles: role,
    scopes: scope,
    allowed_cidrs: cidr,
    rate_limit_per_minute: rate === undefined ? undefined : wholeNumber('--rate-limit', rate),
    expires_at: expires === undefined ? undefined : parseMoment('--expires', expires, Date.now()),
  };
  show(await store().create(request), values.json);
  return 0;
}

/** `gatehouse key list`. */
async function list(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, {
    all: { type: 'boolean', default: false },
    owner: { type: 'string' },
    expiring: { type: 'boolean', default: false },
    ...JSON_FLAG,
  });
  none(positionals, 'list takes no names');
  const keys = await store().list({
    ...(values.owner === undefined ? {} : { owner: values.owner }),
    ...(values.expiring ? { expiring: 'true' } : {}),
  });
  const now = Date.now();
  const shown = values.all ? keys : keys.filter((key) => works(key, now));
  if (values.json) printJson({ items: shown });
  else console.log(shown.length === 0 ? 'no such keys; make one with `gatehouse key create`' : table(COLUMNS, shown));
  return 0;
}

/** `gatehouse key rotate`. */
async function rotate(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { grace: { type: 'string' }, ...JSON_FLAG });
  const wanted = only(positionals, 'rotate takes one key, by id, beginning of id, or name');
  const request = values.grace === undefined ? {} : { grace_seconds: parseSpan('--grace', values.grace) };
  const keys = store();
  const { id } = await keys.find(wanted);
  show(await keys.rotate(id, request), values.json);
  return 0;
}

/** `gatehouse key revoke`. All keys are found before the first one is revoked. */
async function revoke(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, { reason: { type: 'string' }, ...JSON_FLAG });
  if (positionals.length === 0) throw new UsageError('revoke takes keys, by id, beginning of id, or name');
  const keys = store();
  const found: Key[] = [];
  for (const wanted of positionals) found.push(await keys.find(wanted));
  const revoked: Key[] = [];
  for (const { id } of found) {
    const key = await keys.revoke(id, values.reason);
    revoked.push(key);
    if (!values.json) console.log(`revoked ${key.id} (${plain(key.name)})`);
  }
  if (values.json) printJson({ items: revoked });
  return 0;
}

const store = (): KeyStore => new KeyStore(new Api(loadCredentials()));

/** The key for the program that takes it, what it is for the person. */
function show(created: NewKey, json: boolean): void {
  if (json) {
    printJson(created);
    return;
  }
  const { key, display = '', name = '', owner = '', roles = [], scopes = [] } = created;
  const { expires_at: expires = '', allowed_cidrs: cidrs = null, rate_limit_per_minute: rate = null } = created;
  const lines: [string, string][] = [
    ['key', display],
    ['name', name],
    ['owner', owner],
    ['roles', joined(roles) || 'none'],
    ['scopes', scopesOf({ scopes })],
    ['expires', relativeText(expires, Date.now())],
  ];
  if (joined(cidrs) !== '') lines.push(['only from', joined(cidrs)]);
  if (rate !== null) lines.push(['rate', `${rate} calls a minute`]);
  tell(facts(lines));
  tell('It is shown this once; keep it safe.');
  console.log(key);
}

/** The state, and what there is to know of it. */
function stateOf(key: Key): string {
  const now = Date.now();
  return [
    key.state === 'rotated' && works(key, now) ? `rotated, ends ${relativeText(key.grace_until, now)}` : key.state,
    ...(key.expiring ? ['expiring'] : []),
    ...(key.unused ? ['unused'] : []),
  ].join(', ');
}

function scopesOf({ scopes }: Pick<Key, 'scopes'>): string {
  return scopes === null ? 'all' : joined(scopes) || 'none';
}

/** The names, or nothing when the server has no list of them. */
const joined = (names: readonly string[] | null): string => (Array.isArray(names) ? names.join(', ') : '');
