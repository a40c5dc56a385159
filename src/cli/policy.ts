import { Api } from './api.js';
import { JSON_FLAG, only, parsed } from './arguments.js';
import { loadCredentials } from './credentials.js';
import { UsageError } from './failure.js';
import { KeyStore } from './key-store.js';
import type { Noun } from './noun.js';
import { printJson } from './output.js';
import { facts } from './table.js';

const HELP = `Who may do what, and why.

Usage: gatehouse policy explain PERMISSION [--resource session:ID] [--json]
                            [--user S [--provider P] [--group G]… [--role R]… [--scope S]… | --key ID]

Says yes or no, the rule that decides, and its reasons; ends with 0 for yes, 1 for no, and 2 when there is no answer. It
speaks of you, or of the user that --user describes as their token would, or of an API key. To ask about others, or about a resource, takes the
permission policy:read. A PERMISSION is like pty:input.`;

export const POLICY: Noun = { help: HELP, verbs: { explain } };

const PERMISSION = /^[a-z_]{1,64}:[a-z_]{1,64}$/;
/** What permissions are about: about one’s own the server says what is held, and cannot say what there is not. */
const AREAS: ReadonlySet<string> = new Set([
  ...['pty', 'agent', 'worktree', 'api_key', 'recording', 'audit', 'policy', 'token', 'secrets', 'config', 'metrics'],
]);
const RESOURCE = /^session:[\w-]{1,128}$/;

/** An answer to "may they?". */
interface Verdict {
  readonly allow: boolean;
  /** null where the server names none: it says only what a caller holds. */
  readonly rule: string | null;
  readonly roles: readonly string[];
  readonly reasons: readonly string[];
}

/** Whom the question is about, in the fields of `POST /policy/explain`. */
interface Subject {
  readonly subject?: string;
  readonly provider?: string | undefined;
  readonly groups?: readonly string[] | undefined;
  readonly roles?: readonly string[] | undefined;
  readonly scopes?: readonly string[] | undefined;
  readonly key?: string;
}

/** `gatehouse policy explain`. */
async function explain(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, {
    user: { type: 'string' },
    provider: { type: 'string' },
    group: { type: 'string', multiple: true },
    role: { type: 'string', multiple: true },
    scope: { type: 'string', multiple: true },
    key: { type: 'string' },
    resource: { type: 'string' },
    ...JSON_FLAG,
  });
  const permission = only(positionals, 'explain takes one permission, like pty:input');
  const { resource } = values;
  if (!PERMISSION.test(permission)) throw new UsageError('a permission is like pty:input');
  if (!AREAS.has(permission.slice(0, permission.indexOf(':')))) {
    throw new UsageError(
      `there is no permission ${permission}; what stands before the colon is one of ${[...AREAS].join(' ')}`,
    );
  }
  if (resource !== undefined && !RESOURCE.test(resource)) throw new UsageError('--resource takes session:ID');
  checkSubject(values);
  const api = new Api(loadCredentials());
  const other = await subjectOf(values, api);
  const verdict =
    other === null && resource === undefined
      ? await ownVerdict(api, permission)
      : await verdictOn(api, { ...(other ?? (await caller(api))), permission, resource });
  if (values.json) printJson(verdict);
  else console.log(shown(verdict));
  return verdict.allow ? 0 : 1;
}

interface Described {
  readonly user?: string | undefined;
  readonly provider?: string | undefined;
  readonly group?: readonly string[] | undefined;
  readonly role?: readonly string[] | undefined;
  readonly scope?: readonly string[] | undefined;
  readonly key?: string | undefined;
}

/** @throws UsageError when flags do not go together */
function checkSubject({ user, key, provider, group, role, scope }: Described): void {
  if (user !== undefined && key !== undefined) throw new UsageError('explain takes --user or --key, not both');
  const describing = [provider, group, role, scope].some((each) => each !== undefined);
  if (describing && user === undefined) {
    throw new UsageError('--provider, --group, --role and --scope describe a --user');
  }
}

/** Whom the flags describe; null for the caller. */
async function subjectOf({ user, key, provider, group, role, scope }: Described, api: Api): Promise<Subject | null> {
  if (key !== undefined) return { key: (await new KeyStore(api).find(key)).id };
  return user === undefined ? null : { subject: user, provider, groups: group, roles: role, scopes: scope };
}

/** The caller as its credential describes it. */
async function caller(api: Api): Promise<Subject> {
  const info = (await api.call('GET', '/auth/info')) as Record<string, unknown>;
  const { subject, provider, method, credential_id: id, scopes } = info;
  if (typeof subject !== 'string' || typeof provider !== 'string') throw api.stranger();
  if (method === 'api_key' && typeof id === 'string') return { key: id };
  return {
    subject,
    provider,
    groups: texts(info['groups']),
    roles: texts(info['roles']),
    scopes: Array.isArray(scopes) ? texts(scopes) : undefined,
  };
}

async function verdictOn(api: Api, question: object): Promise<Verdict> {
  const answer = (await api.call('POST', '/policy/explain', question)) as Record<string, unknown>;
  const { allow, rule } = answer;
  if (typeof allow !== 'boolean') throw api.stranger();
  const named = typeof rule === 'string' ? rule : null;
  return { allow, rule: named, roles: texts(answer['roles']), reasons: texts(answer['reasons']) };
}

/** What the caller holds, which it may always ask. A scope can limit it to a resource: `pty:view@<id>`. */
async function ownVerdict(api: Api, permission: string): Promise<Verdict> {
  const answer = (await api.call('GET', '/policy/effective')) as Record<string, unknown>;
  if (!Array.isArray(answer['permissions'])) throw api.stranger();
  const held = texts(answer['permissions']);
  const roles = texts(answer['roles']);
  const allow = held.includes(permission);
  const limited = held.filter((each) => each.startsWith(`${permission}@`));
  const reasons =
    limited.length > 0
      ? limited.map((each) => `only ${each}`)
      : [allow ? (permission.endsWith('_any') ? 'you hold it' : 'you hold it, on your own') : 'you do not hold it'];
  return { allow, rule: null, roles, reasons };
}

function shown({ allow, rule, roles, reasons }: Verdict): string {
  const lines: [string, string][] = rule === null ? [] : [['rule', rule]];
  lines.push(['roles', roles.join(', ') || 'none']);
  reasons.forEach((reason, index) => lines.push([index === 0 ? 'reasons' : '', reason]));
  return `${allow ? 'yes' : 'no'}\n${facts(lines)}`;
}

const texts = (value: unknown): string[] =>
  Array.isArray(value) ? value.filter((each): each is string => typeof each === 'string') : [];
