import type { Server as SecureServer } from 'node:https';
import { resolve } from 'node:path';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import type { Config } from './config/load.js';
import { AuditTrail } from './kernel/audit.js';
import type { Log } from './kernel/log.js';
import { Metrics } from './kernel/metrics.js';
import { boundFirstRequests } from './transport/first-requests.js';
import { guardHttp, httpServer } from './transport/http-server.js';
import { Site } from './transport/site/site.js';
import { GrpcTlsListener } from './transport/tls/grpc-listener.js';
import { ServerCertificates } from './transport/tls/server-certificates.js';
import { TlsFailures } from './transport/tls/tls-failures.js';

const EXPIRY = {
  name: 'tls_certificate_expiry_seconds',
  help: 'When the certificate in use ends, in seconds since 1970.',
};

/** What both ports have in common: the names of this server, and its certificate. */
export class Edges {
  readonly site: Site;
  readonly #certificates: ServerCertificates | null;

  /** @throws ConfigurationError when TLS is wanted and the certificate or its key cannot be used */
  constructor(
    private readonly config: Config,
    private readonly log: Log,
  ) {
    this.site = new Site(config);
    this.#certificates = config.TLS_ENABLED ? new ServerCertificates(config, log) : null;
  }

  /** The HTTP server, which Nest listens with. */
  adapter(): FastifyAdapter {
    return new FastifyAdapter(httpServer(this.config, this.site, this.#certificates));
  }

  /**
   * Bounds who waits at the door, puts TLS before both servers, and begins to look for renewed certificates.
   * @returns what the gRPC server listens with; null without TLS
   */
  guard(app: NestFastifyApplication): GrpcTlsListener | null {
    const [audit, metrics] = [app.get(AuditTrail), app.get(Metrics)];
    const failures = new TlsFailures(audit, metrics);
    metrics.read('gauge', EXPIRY, () =>
      this.#certificates === null ? [] : [{ value: Math.floor(this.#certificates.expires.getTime() / 1000) }],
    );
    boundFirstRequests(app.getHttpServer(), this.#certificates === null ? 'connection' : 'secureConnection');
    if (this.#certificates === null) return null;
    const server = app.getHttpServer() as SecureServer;
    guardHttp(server, this.site, { settings: this.config, failures });
    this.#certificates.renew(server);
    this.#certificates.watch(audit);
    return new GrpcTlsListener(this.config, this.#certificates, failures, this.log);
  }

  /** The file of the certificate where nobody else vouches for it, so that callers need it; null: they do not. */
  get ownAuthority(): string | null {
    return this.#certificates?.selfSigned === true ? resolve(this.config.TLS_CERT_FILE) : null;
  }

  /** How the HTTP server is called. @param url as Nest says it, which knows nothing of TLS */
  url(url: string): string {
    return this.#certificates === null ? url : url.replace(/^http:/, 'https:');
  }

  close(): void {
    this.#certificates?.close();
  }
}
