import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Config } from '../../config/load.js';
import { DomainError } from '../../kernel/errors.js';
import { rawHeader } from '../credential.js';
import { AllowedHosts } from './allowed-hosts.js';
import { Origins } from './origins.js';
import { securityHeaders } from './security-headers.js';

type Settings = Pick<
  Config,
  | 'HOST'
  | 'ALLOWED_HOSTS'
  | 'CORS_ALLOWED_ORIGINS'
  | 'CORS_ALLOW_CREDENTIALS'
  | 'TLS_ENABLED'
  | 'TLS_TERMINATED_BY_PROXY'
>;

/** What this server is to browsers: its names, the sites whose pages may call it, and what every answer tells them. */
export class Site {
  /** Headers of every HTTP answer. */
  readonly headers: Readonly<Record<string, string>>;
  readonly #scheme: 'http' | 'https';
  readonly #hosts: AllowedHosts;
  readonly #origins: Origins;

  constructor(settings: Settings) {
    const secure = settings.TLS_ENABLED || settings.TLS_TERMINATED_BY_PROXY;
    this.headers = securityHeaders(secure);
    this.#scheme = secure ? 'https' : 'http';
    this.#hosts = new AllowedHosts(settings.HOST, settings.ALLOWED_HOSTS);
    this.#origins = new Origins(settings.CORS_ALLOWED_ORIGINS, settings.CORS_ALLOW_CREDENTIALS);
  }

  /**
   * @param host what a call says in its `Host` header or `:authority`; undefined when it says nothing
   * @throws DomainError HOST_NOT_ALLOWED
   */
  requireAuthority(host: string | undefined): void {
    if (!this.#hosts.checked || (host !== undefined && this.#hosts.has(host))) return;
    throw new DomainError('HOST_NOT_ALLOWED', 'This server is not called by that name.');
  }

  /** @throws DomainError HOST_NOT_ALLOWED, MALFORMED_REQUEST for several names, or none where HTTP wants one */
  requireHost({ rawHeaders, httpVersion }: IncomingMessage): void {
    const hosts = rawHeader(rawHeaders, 'host');
    if (hosts.length > 1 || (hosts.length === 0 && httpVersion === '1.1')) {
      throw new DomainError('MALFORMED_REQUEST', 'A request has one Host header.');
    }
    this.requireAuthority(hosts[0]);
  }

  /**
   * Who opens a WebSocket: no browser asks before it does, so the server looks whose page it is. Programs say nothing.
   * @throws DomainError ORIGIN_NOT_ALLOWED
   */
  requireOrigin({ rawHeaders, headers }: IncomingMessage): void {
    const origins = rawHeader(rawHeaders, 'origin');
    const [origin, another] = origins;
    if (origin === undefined) return;
    if (another === undefined && (this.#origins.has(origin) || this.#isOwn(origin, headers.host))) return;
    throw new DomainError('ORIGIN_NOT_ALLOWED', 'Pages of this origin may not call this server.');
  }

  /**
   * What a browser asks before it lets a page of another site call.
   * @returns the headers of the answer; null when it is another request
   * @throws DomainError ORIGIN_NOT_ALLOWED
   */
  preflight({ method, headers }: IncomingMessage): Readonly<Record<string, string>> | null {
    const { origin } = headers;
    if (method !== 'OPTIONS' || origin === undefined) return null;
    if (headers['access-control-request-method'] === undefined) return null;
    if (this.#origins.has(origin)) return this.#origins.preflight;
    throw new DomainError('ORIGIN_NOT_ALLOWED', 'Pages of this origin may not call this server.');
  }

  /**
   * The answers of an HTTP server, with the headers from the beginning: those that Node gives by itself, and that no hook
   * of the framework sees, have them too.
   */
  answers(): typeof ServerResponse {
    const { headers } = this;
    const origins = this.#origins;
    return class<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
      constructor(...given: ConstructorParameters<typeof ServerResponse<Request>>) {
        super(...given);
        const [{ headers: asked }] = given;
        for (const [name, value] of Object.entries(headers)) this.setHeader(name, value);
        for (const [name, value] of Object.entries(origins.headers(asked.origin))) this.setHeader(name, value);
      }
    };
  }

  /** A page that came from here, under a name that is known to be ours. */
  #isOwn(origin: string, host: string | undefined): boolean {
    return host !== undefined && this.#hosts.has(host) && URL.parse(`${this.#scheme}://${host}`)?.origin === origin;
  }
}
