/** What a page of a listed origin may send, and is shown. */
const METHODS = 'GET, HEAD, POST, PUT, PATCH, DELETE';
const REQUEST_HEADERS = 'authorization, content-type, last-event-id, traceparent, x-api-key, x-request-id';
const SHOWN_HEADERS = [
  ...['Content-Disposition', 'Retry-After', 'WWW-Authenticate', 'X-Api-Key-Rotated', 'X-Request-Id'],
  ...['X-Output-Dropped-Before', 'X-Output-End', 'X-Output-Next', 'X-Output-Offset'],
  ...['X-RateLimit-Limit', 'X-RateLimit-Remaining', 'X-RateLimit-Reset'],
].join(', ');
/** How long a browser need not ask again. */
const MAX_AGE_SECONDS = 600;
const ANY = '*';

type Headers = Readonly<Record<string, string>>;

/** The pages of other sites that may call (CORS). */
export class Origins {
  readonly #listed: ReadonlySet<string>;
  readonly #credentials: Headers;

  /**
   * @param listed exact origins; `*` for all that have one
   * @param credentials whether certificates of clients may be sent along; cookies are not read
   */
  constructor(listed: readonly string[], credentials: boolean) {
    this.#listed = new Set(listed);
    this.#credentials = credentials ? { 'Access-Control-Allow-Credentials': 'true' } : {};
  }

  /** `null` is the origin of pages that do not want to say theirs: nobody's. */
  has(origin: string): boolean {
    return this.#listed.has(origin) || (this.#listed.has(ANY) && origin !== 'null');
  }

  /** Headers of every answer to a request of this origin, which may be none. */
  headers(origin: string | undefined): Headers {
    if (this.#listed.size === 0) return {};
    // A cache must not show one site's answer to another.
    const vary = { Vary: 'Origin' };
    if (origin === undefined || !this.has(origin)) return vary;
    const allowed = this.#listed.has(ANY) ? ANY : origin;
    return {
      ...{ ...vary, ...this.#credentials },
      ...{ 'Access-Control-Allow-Origin': allowed, 'Access-Control-Expose-Headers': SHOWN_HEADERS },
    };
  }

  /** What the answer to a preflight of a listed origin has beside. */
  get preflight(): Headers {
    return {
      'Access-Control-Allow-Methods': METHODS,
      'Access-Control-Allow-Headers': REQUEST_HEADERS,
      'Access-Control-Max-Age': String(MAX_AGE_SECONDS),
    };
  }
}
