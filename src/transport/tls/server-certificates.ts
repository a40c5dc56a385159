import type { SecureContextOptions } from 'node:tls';
import { ConfigurationError } from '../../config/load.js';
import type { AuditTrail } from '../../kernel/audit.js';
import { fileSignature } from '../../kernel/file-signature.js';
import type { Log } from '../../kernel/log.js';
import { systemContext } from '../../kernel/request-context.js';
import { pairFiles, type PairSettings, readServerPair, type ServerPair } from './server-pair.js';

const LOOK_EVERY_MS = 1000;

/** A server that takes another certificate for the connections to come. */
interface Renewable {
  setSecureContext(options: SecureContextOptions): void;
}

/**
 * The certificate of this gateway, for all its listeners. The files are looked at every second, and at SIGHUP: a renewed
 * pair serves new connections, and those that are open go on. A pair that is not good changes nothing.
 */
export class ServerCertificates {
  readonly #servers: Renewable[] = [];
  #pair: ServerPair;
  #seen: string;
  /** What the last look found, where that was new: what is being written is not read half. */
  #changing: string | null = null;
  /** What is wrong with the files as they are; empty when nothing is. */
  #mistake = '';
  #timer: NodeJS.Timeout | undefined;
  #audit: AuditTrail | null = null;
  readonly #hangUp = (): void => {
    this.#reload();
  };

  /** @throws ConfigurationError naming the variable, the file and what is wrong with it */
  constructor(
    private readonly settings: PairSettings,
    private readonly log: Log,
    private readonly now: () => Date = () => new Date(),
  ) {
    this.#seen = this.#signature();
    this.#pair = readServerPair(settings, now());
    for (const warning of this.#pair.warnings) log.warn({}, warning);
  }

  /** For a TLS server that is made now; {@link renew} keeps it up to date. */
  get options(): SecureContextOptions {
    return this.#pair.options;
  }

  get selfSigned(): boolean {
    return this.#pair.selfSigned;
  }

  /** When the one in use ends. */
  get expires(): Date {
    return this.#pair.expires;
  }

  /** Gives this server every pair to come. */
  renew(server: Renewable): void {
    this.#servers.push(server);
  }

  /** Begins to look at the files, and says what became of them. */
  watch(audit: AuditTrail): void {
    this.#audit = audit;
    this.#timer = setInterval(() => {
      this.#look();
    }, LOOK_EVERY_MS).unref();
    process.on('SIGHUP', this.#hangUp);
  }

  close(): void {
    clearInterval(this.#timer);
    process.off('SIGHUP', this.#hangUp);
  }

  #look(): void {
    const now = this.#signature();
    const settled = now === this.#changing;
    this.#changing = now === this.#seen ? null : now;
    // A certificate that was not valid yet becomes so without a change.
    if (now === this.#seen ? this.#mistake !== '' : settled) this.#reload();
  }

  #reload(): void {
    this.#seen = this.#signature();
    try {
      const pair = readServerPair(this.settings, this.now());
      this.#mistake = '';
      if (JSON.stringify(pair.options) !== JSON.stringify(this.#pair.options)) this.#take(pair);
    } catch (error) {
      if (!(error instanceof ConfigurationError)) throw error;
      this.#reject(error);
    }
  }

  #take(pair: ServerPair): void {
    for (const server of this.#servers) server.setSecureContext(pair.options);
    this.#pair = pair;
    const expires = pair.expires.toISOString();
    for (const warning of pair.warnings) this.log.warn({}, warning);
    this.log.info({ file: this.settings.TLS_CERT_FILE, expires }, 'a renewed certificate is in use');
    const fact = { action: 'tls.certificate_reloaded', resource: this.#resource, success: true } as const;
    this.#audit?.note(systemContext(), { ...fact, metadata: { expires } });
  }

  /** Told once for each mistake, however often it is looked at. */
  #reject({ message, problems }: ConfigurationError): void {
    if (message === this.#mistake) return;
    this.#mistake = message;
    this.log.error({ problems }, 'the certificate files cannot be used; the certificate of before stays in use');
    this.#audit?.note(systemContext(), {
      ...{ action: 'config.rejected', resource: this.#resource, success: false, reason: 'INVALID_ARGUMENT' },
      metadata: { problems },
    });
  }

  get #resource(): string {
    return `file:${this.settings.TLS_CERT_FILE}`;
  }

  #signature(): string {
    return pairFiles(this.settings).map(fileSignature).join();
  }
}
