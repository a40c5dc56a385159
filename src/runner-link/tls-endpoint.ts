import { isIP, type Socket } from 'node:net';
import {
  checkServerIdentity,
  connect,
  type ConnectionOptions,
  createSecureContext,
  type PeerCertificate,
  type SecureContext,
} from 'node:tls';
import { credentials } from '@grpc/grpc-js';
import { ConfigurationError } from '../config/load.js';
import type { RemoteRunner } from '../config/remote-runner.js';
import { BYTES_PROTOCOL, CONTROL_PROTOCOL } from '../kernel/link.js';
import { readLinkTls } from '../kernel/link-tls.js';
import { type ControlChannel, readInto, type RunnerEndpoint } from './runner-endpoint.js';

/** A name for the runner's side to be asked for where there is only an address, which cannot be; it has one certificate. */
const NAME_OF_ADDRESS = 'gatehouse-runner';
/** The kernel asks a silent connection for a sign of life after so long, and gives it up ten seconds later. */
const KEEP_ALIVE_MS = 10_000;
/** How long a look at what is wrong may take. */
const DIAGNOSE_MS = 3000;

/** A runner that does not answer, though its machine may stand, is found out within nine seconds. */
const CHANNEL_OPTIONS = {
  'grpc.keepalive_time_ms': 5000,
  'grpc.keepalive_timeout_ms': 4000,
  'grpc.keepalive_permit_without_calls': 1,
  // What the environment or the DNS says is not to lead elsewhere what is meant for the runner.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  // A runner that comes back at another address of its name is found at once.
  'grpc.dns_min_time_between_resolutions_ms': 1000,
};

/** What went wrong, by the code of Node's error. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nobody listens there',
  ENOTFOUND: 'there is no such host',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is not of an authority in RUNNER_TLS_CA',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is not of an authority in RUNNER_TLS_CA',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is not of an authority in RUNNER_TLS_CA',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is not of an authority in RUNNER_TLS_CA',
  CERT_SIGNATURE_FAILURE: 'its certificate is not of an authority in RUNNER_TLS_CA',
  INVALID_PURPOSE: 'its certificate is not for servers',
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
    'something else answers, perhaps because the ports are the wrong way round',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'it does not speak TLS 1.3',
  ERR_SSL_UNSUPPORTED_PROTOCOL: 'it does not speak TLS 1.3',
};

/** A runner on another machine: two ports, TLS 1.3 with certificates on both sides. */
export class TlsEndpoint implements RunnerEndpoint {
  readonly place: string;
  readonly own = null;
  readonly control: ControlChannel;
  readonly #context: SecureContext;
  readonly #connections = new Set<Socket>();

  /** @throws ConfigurationError when the files are not what they should be */
  constructor(private readonly remote: RemoteRunner) {
    const { host, controlPort, bytesPort } = remote;
    this.place = `at RUNNER_HOST (${host}, ports ${controlPort} and ${bytesPort})`;
    this.#context = contextOf(remote);
    this.control = {
      address: `dns:${isIP(host) === 6 ? `[${host}]` : host}:${controlPort}`,
      credentials: credentials.createFromSecureContext(this.#context, { checkServerIdentity: this.#checkHost }),
      options: { ...CHANNEL_OPTIONS, 'grpc.ssl_target_name_override': this.#serverName },
    };
  }

  isThere(): boolean {
    return true;
  }

  isDeserted(): Promise<boolean> {
    return Promise.resolve(false);
  }

  connect(receive: (chunk: Buffer) => void): Socket {
    const socket = this.#connect(this.remote.bytesPort, BYTES_PROTOCOL, receive);
    this.#connections.add(socket);
    socket.on('close', () => this.#connections.delete(socket));
    return socket;
  }

  /**
   * What is under way to a machine that vanished is sent again for a quarter of an hour before TCP gives up. Clients that
   * are told come back by offset, should the runner be there after all.
   */
  lost(): void {
    for (const socket of this.#connections) socket.destroy();
  }

  async diagnose(): Promise<string> {
    const { controlPort, bytesPort } = this.remote;
    for (const [port, protocol] of [[controlPort, CONTROL_PROTOCOL] as const, [bytesPort, BYTES_PROTOCOL] as const]) {
      const reason = await this.#reason(port, protocol);
      if (reason !== null) return `on port ${port} ${reason}`;
    }
    return 'it takes connections and says nothing';
  }

  /** What is wrong with a port; null when TLS is as it should be on both sides. */
  #reason(port: number, protocol: string): Promise<string | null> {
    return new Promise((resolve) => {
      let secure = false;
      const socket = this.#connect(port, protocol, () => undefined);
      const timer = setTimeout(() => {
        // With TLS 1.3 the other side refuses a certificate after this one has begun; by now it would have.
        resolve(secure ? null : 'nothing answers');
        socket.destroy();
      }, DIAGNOSE_MS);
      socket.on('secureConnect', () => {
        secure = true;
      });
      socket.on('error', ({ code = '' }: NodeJS.ErrnoException) => {
        const refused = secure || code.includes('ALERT_CERTIFICATE');
        resolve(refused ? REFUSED : (REASONS[code] ?? `there is an error (${code})`));
      });
      socket.on('close', () => {
        clearTimeout(timer);
        resolve(secure ? REFUSED : 'it closes the connection');
      });
    });
  }

  #connect(port: number, protocol: string, receive: (chunk: Buffer) => void): Socket {
    // Node documents `onread` for TLS too; its types do not know.
    const options: ConnectionOptions & { onread: ReturnType<typeof readInto> } = {
      ...{ host: this.remote.host, port, servername: this.#serverName, ALPNProtocols: [protocol] },
      ...{ secureContext: this.#context, checkServerIdentity: this.#checkHost, rejectUnauthorized: true },
      onread: readInto(receive),
    };
    const socket = connect(options);
    return socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
  }

  get #serverName(): string {
    return isIP(this.remote.host) === 0 ? this.remote.host : NAME_OF_ADDRESS;
  }

  /** The certificate must be for the host that was configured, whatever name was asked for. */
  readonly #checkHost = (_name: string, certificate: PeerCertificate): Error | undefined =>
    checkServerIdentity(this.remote.host, certificate);
}

const REFUSED = 'it does not take the certificate in RUNNER_TLS_CERT for a gateway’s';

function contextOf({ cert, key, ca }: RemoteRunner): SecureContext {
  try {
    return createSecureContext(
      readLinkTls({
        cert: { name: 'RUNNER_TLS_CERT', path: cert },
        key: { name: 'RUNNER_TLS_KEY', path: key },
        ca: { name: 'RUNNER_TLS_CA', path: ca },
      }),
    );
  } catch (error) {
    throw new ConfigurationError([error instanceof Error ? error.message : 'RUNNER_TLS_CERT: cannot be used']);
  }
}
