import type { Credentials } from './credentials.js';
import { Failure, plain } from './failure.js';

const TIMEOUT_MS = 30_000;

/** A session as REST shows it. */
export interface Session {
  readonly id: string;
  readonly name: string;
  readonly owner: string;
  readonly state: string;
  readonly command: readonly string[];
  readonly cols: number;
  readonly rows: number;
  readonly created_at: string;
  readonly exit_code: number | null;
  readonly signal: string | null;
}

export interface StartRequest {
  readonly name?: string;
  readonly cwd?: string;
  readonly command: readonly string[];
  readonly cols: number;
  readonly rows: number;
}

/** The REST calls that the command line needs. */
export class Api {
  constructor(readonly credentials: Credentials) {}

  async start(request: StartRequest): Promise<Session> {
    return (await this.#call('POST', '/sessions', request)) as Session;
  }

  async kill(id: string): Promise<void> {
    await this.#call('DELETE', `/sessions/${encodeURIComponent(id)}`);
  }

  /** Checks that the server accepts the credential. */
  async check(): Promise<void> {
    await this.#call('GET', '/sessions?limit=1');
  }

  /** All sessions the caller may see, newest first. */
  async list(): Promise<Session[]> {
    const sessions: Session[] = [];
    let cursor: string | null = null;
    do {
      const query: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const page = (await this.#call('GET', `/sessions?limit=100${query}`)) as {
        items?: Session[];
        next_cursor?: string | null;
      };
      if (!Array.isArray(page.items)) throw new Failure(`${this.credentials.url} does not answer like a Gatehouse`);
      sessions.push(...page.items);
      cursor = page.next_cursor ?? null;
    } while (cursor !== null);
    return sessions;
  }

  async #call(method: string, path: string, body?: object): Promise<unknown> {
    const { url, token } = this.credentials;
    let response: Response;
    try {
      response = await fetch(`${url}/api/v1${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        // A redirect could lead the credential elsewhere.
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch (error) {
      throw new Failure(`${url} cannot be reached: ${reasonOf(error)}`);
    }
    const text = await response.text();
    if (response.ok) return parse(text) ?? {};
    if (response.status >= 300 && response.status < 400)
      throw new Failure(`${url} answered with a redirect, which is not followed`);
    throw refusal(response.status, parse(text));
  }
}

/** The server's own words. */
export function refusal(status: number, body: unknown): Failure {
  const error = (body as { error?: { code?: unknown; message?: unknown; request_id?: unknown } } | null)?.error;
  if (typeof error?.message !== 'string') return new Failure(`the server answered ${status}`);
  return new Failure(plain(`${error.message} (${String(error.code)}, request ${String(error.request_id)})`));
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
