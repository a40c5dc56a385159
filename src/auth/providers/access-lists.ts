import type { DomainError } from '../../kernel/errors.js';
import { LOCAL_PROVIDER, type Principal } from '../../kernel/principal.js';
import { refusal } from '../tokens/refusal.js';

/** Who is let in at all, before any role is asked for. The names are those of auth.yaml. */
export interface AccessLists {
  readonly allowed_users: readonly string[];
  readonly allowed_groups: readonly string[];
  readonly deny_users: readonly string[];
  readonly deny_groups: readonly string[];
}

type Listed = Pick<Principal, 'subject' | 'groups' | 'provider' | 'owner'>;

/** A list that is asked at every call, of up to 10,000 entries: most are names, found at once. */
interface CompiledList {
  readonly names: ReadonlySet<string>;
  /** The segments of each entry with a `*`. */
  readonly patterns: readonly (readonly string[])[];
}

/** Why somebody is not let in: the code and the reason of {@link accessRefusal}. */
type Verdict = readonly ['UNAUTHORIZED_USER' | 'UNAUTHORIZED_GROUP', reason: string] | null;

interface Compiled extends Readonly<Record<keyof AccessLists, CompiledList>> {
  /** What was found of each principal: the lists and he stay as they are, both are made anew with a change. */
  readonly verdicts: WeakMap<Listed, Verdict>;
}

/** By the lists of a configuration: what was made of them goes with it. */
const compiledLists = new WeakMap<AccessLists, Compiled>();

/**
 * Is it an entry of a list: a name, in which `*` stands for a whole segment between `/`, also after the kind that a name
 * may begin with (`user:default/*`, `group:*`)?
 */
export function isListEntry(entry: string): boolean {
  return entry
    .split('/')
    .every((segment, index) => !segment.includes('*') || segment === '*' || (index === 0 && kindOf(segment) !== null));
}

/** `user:` of `user:*`; null of anything else. */
function kindOf(segment: string): string | null {
  const kind = segment.slice(0, -1);
  return segment.endsWith(':*') && !kind.includes('*') ? kind : null;
}

/** Does the entry speak of this name? Upper and lower case are told apart. */
export const matchesEntry = (entry: string, name: string): boolean => speaksOf(compileList([entry]), name);

const speaksOf = ({ names, patterns }: CompiledList, name: string): boolean => {
  if (names.has(name)) return true;
  if (patterns.length === 0) return false;
  const found = name.split('/');
  return patterns.some((wanted) => matches(wanted, found));
};

const matches = (wanted: readonly string[], found: readonly string[]): boolean =>
  wanted.length === found.length && wanted.every((segment, index) => meets(segment, found[index] ?? ''));

function meets(wanted: string, found: string): boolean {
  const kind = kindOf(wanted);
  if (kind !== null) return found.startsWith(kind) && found.length > kind.length;
  return wanted === '*' ? found !== '' : wanted === found;
}

/**
 * Why somebody is not let in; null when he is. Deny wins, and meets everybody, local tokens and the owners of API keys
 * included; the lists of who is allowed are for those whom an identity provider vouches for. Each list that is not empty
 * must be met, so that one more list never lets more people in.
 *
 * Found once for each configuration and principal, since it is asked at every call and for every message of a stream.
 */
export function accessRefusal(lists: AccessLists, listed: Listed): DomainError | null {
  const compiled = compiledOf(lists);
  const known = compiled.verdicts.get(listed);
  const verdict = known === undefined ? verdictOf(compiled, listed) : known;
  compiled.verdicts.set(listed, verdict);
  return verdict === null ? null : refusal(...verdict);
}

function verdictOf(lists: Compiled, { subject, groups, provider, owner }: Listed): Verdict {
  const memberOf = owner === null ? groups : [...groups, ...owner.groups];
  const isUser = (list: CompiledList): boolean => speaksOf(list, subject);
  const isMember = (list: CompiledList): boolean => memberOf.some((group) => speaksOf(list, group));
  if (isUser(lists.deny_users)) return ['UNAUTHORIZED_USER', 'user_denied'];
  if (isMember(lists.deny_groups)) return ['UNAUTHORIZED_GROUP', 'group_denied'];
  if (provider === LOCAL_PROVIDER) return null;
  const { allowed_users: users, allowed_groups: ofGroups } = lists;
  if (!isEmpty(users) && !isUser(users)) return ['UNAUTHORIZED_USER', 'user_not_allowed'];
  if (!isEmpty(ofGroups) && !isMember(ofGroups)) return ['UNAUTHORIZED_GROUP', 'group_not_allowed'];
  return null;
}

function compiledOf(lists: AccessLists): Compiled {
  const known = compiledLists.get(lists);
  if (known !== undefined) return known;
  const compiled: Compiled = {
    allowed_users: compileList(lists.allowed_users),
    allowed_groups: compileList(lists.allowed_groups),
    deny_users: compileList(lists.deny_users),
    deny_groups: compileList(lists.deny_groups),
    verdicts: new WeakMap(),
  };
  compiledLists.set(lists, compiled);
  return compiled;
}

const compileList = (entries: readonly string[]): CompiledList => ({
  names: new Set(entries.filter((entry) => !entry.includes('*'))),
  patterns: entries.filter((entry) => entry.includes('*')).map((entry) => entry.split('/')),
});

const isEmpty = ({ names, patterns }: CompiledList): boolean => names.size === 0 && patterns.length === 0;
