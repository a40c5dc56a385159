import { isKeyId, parseKey } from '../kernel/api-key-text.js';
import { type Api, Refused } from './api.js';
import { Failure, plain, UsageError } from './failure.js';

/** An API key as REST shows it: never its text. Times are RFC 3339. */
export interface Key {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly display: string;
  readonly state: 'active' | 'rotated' | 'expired' | 'revoked';
  readonly roles: readonly string[];
  /** null: not narrowed. */
  readonly scopes: readonly string[] | null;
  /** null: from anywhere. */
  readonly allowed_cidrs: readonly string[] | null;
  readonly rate_limit_per_minute: number | null;
  readonly expiring: boolean;
  readonly unused: boolean;
  readonly expires_at: string | null;
  readonly last_used_at: string | null;
  readonly rotated_to: string | null;
  readonly grace_until: string | null;
}

/** The answer to a creation: the text, which exists nowhere else, and what the server tells of the key. */
export interface NewKey extends Partial<Key> {
  readonly key: string;
}

/** The keys of the server that this command may see. */
export class KeyStore {
  constructor(private readonly api: Api) {}

  async list(query: Readonly<Record<string, string>> = {}): Promise<Key[]> {
    return (await this.api.list('/api-keys', query)).map((each) => this.#key(each));
  }

  async create(request: object): Promise<NewKey> {
    return this.#newKey(await this.api.call('POST', '/api-keys', request));
  }

  async rotate(id: string, request: object): Promise<NewKey> {
    return this.#newKey(await this.api.call('POST', `/api-keys/${id}/rotate`, request));
  }

  async revoke(id: string, reason: string | undefined): Promise<Key> {
    const body = reason === undefined ? {} : { reason };
    return this.#key(await this.api.call('DELETE', `/api-keys/${id}`, body));
  }

  /**
   * The one key meant: by id, else among those that still work by the beginning of the id, or by name.
   * @throws Failure when there is none, or several
   */
  async find(wanted: string): Promise<Key> {
    if (parseKey(wanted) !== null) {
      throw new UsageError('that is a key, which others can now see in the list of processes; give its id');
    }
    return (isKeyId(wanted) ? await this.#byId(wanted) : null) ?? pick(await this.list(), wanted);
  }

  async #byId(id: string): Promise<Key | null> {
    try {
      return this.#key(await this.api.call('GET', `/api-keys/${id}`));
    } catch (error) {
      if (error instanceof Refused && error.http === 404) return null;
      throw error;
    }
  }

  /** Only the text is insisted on: whatever else the answer has, the key is made, and shown this once. */
  #newKey(answer: unknown): NewKey {
    const { key } = Object(answer) as Partial<NewKey>;
    // Printed alone and handed on: it must be a key and nothing else.
    if (typeof key !== 'string' || parseKey(key) === null) throw this.api.stranger();
    return { ...(answer as Partial<Key>), key };
  }

  #key(answer: unknown): Key {
    if (!isKey(answer)) throw this.api.stranger();
    return answer;
  }
}

/** Has it what paths and refusals rely on? Other fields are shown as they come. */
function isKey(answer: unknown): answer is Key {
  const { id, name, owner, state } = Object(answer) as Partial<Key>;
  return [id, name, owner, state].every((each) => typeof each === 'string') && isKeyId(id ?? '');
}

/** Does the key still open anything? One that was rotated does until its grace ends. */
export function works({ state, grace_until: grace }: Key, now: number): boolean {
  return state === 'active' || (state === 'rotated' && grace !== null && Date.parse(grace) > now);
}

function pick(keys: readonly Key[], wanted: string): Key {
  const working = keys.filter((key) => works(key, Date.now()));
  const matches = working.filter(({ id, name }) => name === wanted || id.startsWith(wanted));
  const [only, ...others] = matches;
  if (only === undefined) throw new Failure(`no key ${plain(wanted)}; see \`gatehouse key list\``);
  if (others.length > 0) throw new Failure(`${matches.length} keys match ${plain(wanted)}; give more of the id`);
  return only;
}
