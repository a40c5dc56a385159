import type { Credentials } from './credentials.js';
import { Failure, plain } from './failure.js';

const TIMEOUT_MS = 30_000;
const PAGE = 100;
/** Longest list that is fetched. */
const MAX_ITEMS = 100_000;

/** The REST calls that the command line needs. */
export class Api {
  constructor(readonly credentials: Credentials) {}

  /**
   * One call.
   * @param path below `/api/v1`
   * @param limitMs how long it may take, milliseconds
   * @returns the answer's JSON; an empty object when it has none
   * @throws Refused when the server refuses; Failure when it cannot be reached
   */
  async call(method: string, path: string, body?: object, limitMs = TIMEOUT_MS): Promise<unknown> {
    return parse((await this.#ask(method, path, body, limitMs)).text) ?? {};
  }

  /**
   * The body of an answer that may be long, or go on for long.
   * @param path below `/api/v1`
   * @throws Refused when the server refuses; Failure when it cannot be reached, and while it is read, when it ends too soon
   */
  async stream(path: string): Promise<AsyncIterable<Uint8Array>> {
    const { url, token } = this.credentials;
    const begun = new AbortController();
    const late = setTimeout(() => {
      begun.abort(new Error('no answer in time'));
    }, TIMEOUT_MS);
    const request = {
      headers: { authorization: `Bearer ${token}` },
      redirect: 'manual',
      signal: begun.signal,
    } as const;
    const response = await fetch(`${url}/api/v1${path}`, request)
      .catch((error: unknown) => {
        throw new Failure(`${url} cannot be reached: ${reasonOf(error)}`);
      })
      .finally(() => {
        clearTimeout(late);
      });
    const { status, body } = response;
    if (status >= 300 && status < 400) throw new Failure(`${url} answered with a redirect, which is not followed`);
    if (status !== 200) throw refusal(status, parse(await response.text()));
    if (body === null) throw this.stranger();
    return whole(body);
  }

  /** Offset of the oldest output of a session that is retained. @throws Refused, Failure */
  async oldestOutput(session: string): Promise<number> {
    const path = `/sessions/${encodeURIComponent(session)}/output?limit=1`;
    const offset = (await this.#ask('GET', path)).headers.get('x-output-dropped-before') ?? '';
    if (!/^\d{1,15}$/.test(offset)) throw this.stranger();
    return Number(offset);
  }

  /**
   * All items of a list that is given page by page.
   * @param path below `/api/v1`, without `limit` and `cursor`
   * @param query what else is asked
   * @throws Failure when there are more than a person can mean
   */
  async list(path: string, query: Readonly<Record<string, string>> = {}): Promise<unknown[]> {
    const items: unknown[] = [];
    let cursor: string | null = null;
    do {
      const asked = new URLSearchParams({ ...query, limit: String(PAGE), ...(cursor === null ? {} : { cursor }) });
      const page = (await this.call('GET', `${path}?${asked.toString()}`)) as Page;
      if (!Array.isArray(page.items)) throw this.stranger();
      items.push(...(page.items as unknown[]));
      if (items.length > MAX_ITEMS) throw new Failure(`there are more than ${MAX_ITEMS}; ask for fewer`);
      cursor = typeof page.next_cursor === 'string' && page.items.length > 0 ? page.next_cursor : null;
    } while (cursor !== null);
    return items;
  }

  async #ask(method: string, path: string, body?: object, limitMs = TIMEOUT_MS): Promise<Answer> {
    const { url, token } = this.credentials;
    const given = await answer(`${url}/api/v1${path}`, {
      signal: AbortSignal.timeout(limitMs),
      method,
      headers: {
        authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).catch((error: unknown) => {
      throw new Failure(`${url} cannot be reached: ${reasonOf(error)}`);
    });
    const { status, text } = given;
    if (status >= 200 && status < 300) return given;
    if (status >= 300 && status < 400) throw new Failure(`${url} answered with a redirect, which is not followed`);
    throw refusal(status, parse(text));
  }

  /** What there is to say of a server that answers something else than was asked. */
  stranger(): Failure {
    return new Failure(`${this.credentials.url} does not answer like a Gatehouse`);
  }
}

interface Page {
  readonly items?: unknown;
  readonly next_cursor?: unknown;
}

/** The server refused, in its own words. */
export class Refused extends Failure {
  /**
   * @param http the status
   * @param atStake what would be lost, where that is why
   * @param truncated there is more than is listed
   */
  constructor(
    message: string,
    readonly http: number,
    readonly atStake: readonly AtStake[] = [],
    readonly truncated = false,
  ) {
    super(message);
  }
}

/** The server's own words, and the fields that it did not like. */
export function refusal(status: number, body: unknown): Refused {
  const error = (body as { error?: Told } | null)?.error;
  if (typeof error?.message !== 'string') return new Refused(`the server answered ${status}`, status);
  const fields = Array.isArray(error.details?.fields) ? (error.details.fields as Partial<Issue>[]) : [];
  const { message } = error;
  // The message may name the first field by itself.
  const issues = fields
    .map(({ field, problem }) => `${String(field)}: ${String(problem)}`)
    .filter((issue) => !message.includes(issue))
    .map((issue) => `; ${issue}`)
    .join('');
  const text = `${message} (${String(error.code)}, request ${String(error.request_id)})${issues}`;
  return new Refused(plain(text), status, stakeOf(error.details?.at_stake), error.details?.truncated === true);
}

interface Told {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly request_id?: unknown;
  readonly details?: { readonly fields?: unknown; readonly at_stake?: unknown; readonly truncated?: unknown };
}

/** Something that would be lost. */
interface AtStake {
  readonly kind: string;
  readonly what: string;
}

const stakeOf = (told: unknown): AtStake[] =>
  Array.isArray(told)
    ? (told as Partial<Record<keyof AtStake, unknown>>[]).map(({ kind, what }) => ({
        kind: String(kind),
        what: String(what),
      }))
    : [];

interface Issue {
  readonly field: unknown;
  readonly problem: unknown;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

async function answer(url: string, request: RequestInit): Promise<Answer> {
  const response = await fetch(url, {
    ...request,
    // A redirect could lead the credential elsewhere.
    redirect: 'manual',
  });
  return { status: response.status, text: await response.text(), headers: response.headers };
}

/** The pieces of a body. @throws Failure when it breaks off */
async function* whole(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    throw new Failure(`the answer broke off: ${reasonOf(error)}`);
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** fetch hides the reason in the cause. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  return error.cause instanceof Error && error.cause.message !== '' ? error.cause.message : error.message;
}
