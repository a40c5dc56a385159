import { request, createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Client, credentials, Server as GrpcServer, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import { loadConfig, type Config } from '../../src/config/load.js';
import { guardHttp, httpServer } from '../../src/transport/http-server.js';
import { Site } from '../../src/transport/site/site.js';
import { verifiedSubject } from '../../src/transport/tls/client-certificates.js';
import { GrpcTlsListener } from '../../src/transport/tls/grpc-listener.js';
import { ServerCertificates } from '../../src/transport/tls/server-certificates.js';
import { freePort } from './gateway.js';
import type { Issued } from './link-certificates.js';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const PATH = '/test/Who';
const asText = (text: string): Buffer => Buffer.from(text);
const fromBytes = (bytes: Buffer): string => bytes.toString();

/** What a client was answered: who it is by its certificate, or why it is not served. */
export interface Met {
  readonly status: number;
  readonly text: string;
}

/** Both listeners behind their doors, with nothing behind but who a client is. */
export class Doors {
  /** Failures as they were told, `transport reason detail`. */
  readonly failures: string[] = [];

  private constructor(
    readonly certificates: ServerCertificates,
    private readonly http: Server,
    private readonly grpc: { readonly port: number; readonly server: GrpcServer; readonly listener: GrpcTlsListener },
  ) {}

  static async open(environment: Record<string, string>): Promise<Doors> {
    const config: Config = loadConfig({ NODE_ENV: 'test', TLS_ENABLED: 'true', ...environment });
    const site = new Site(config);
    const certificates = new ServerCertificates(config, silent);
    const options = httpServer(config, site, certificates);
    if (!('https' in options)) throw new Error('impossible');
    const http = createServer(options.https, (asked, answer) => {
      answer.end(verifiedSubject(asked.socket) ?? 'nobody');
    });
    const told = (): string[] => doors.failures;
    const failures = {
      add: (transport: string, _address: unknown, reason: string, detail = '') => {
        told().push(`${transport} ${reason} ${detail}`.trim());
      },
    };
    guardHttp(http, site, { settings: config, failures });
    const listener = new GrpcTlsListener(config, certificates, failures, silent);
    const [server, port] = [new GrpcServer(), await freePort()];
    server.addService(
      { who: { path: PATH, requestStream: false, responseStream: false, ...SERIAL } },
      {
        who: (call: ServerUnaryCall<string, string>, done: sendUnaryData<string>) => {
          const ends = (call as unknown as { call: { getConnectionInfo(): object } }).call.getConnectionInfo();
          done(null, verifiedSubject(ends) ?? 'nobody');
        },
      },
    );
    await listener.open(server, '127.0.0.1', port);
    await new Promise<void>((done) => http.listen(0, '127.0.0.1', done));
    const doors = new Doors(certificates, http, { port, server, listener });
    return doors;
  }

  get httpPort(): number {
    return (this.http.address() as AddressInfo).port;
  }

  get grpcPort(): number {
    return this.grpc.port;
  }

  /** One request over HTTP. @param own the client's certificate */
  overHttp(ca: string, own?: Issued): Promise<Met> {
    return new Promise((done, fail) => {
      const asked = request(
        { host: 'localhost', family: 4, port: this.httpPort, ca, agent: false, ...own },
        (answer) => {
          let text = '';
          answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
          answer.on('end', () => {
            done({ status: answer.statusCode ?? 0, text });
          });
        },
      );
      asked.on('error', fail).end();
    });
  }

  /** One call over gRPC; its status, 0 is fine. */
  overGrpc(ca: string, own?: Issued): Promise<Met> {
    const secure = credentials.createSsl(
      Buffer.from(ca),
      own ? Buffer.from(own.key) : null,
      own ? Buffer.from(own.cert) : null,
    );
    const client = new Client(`127.0.0.1:${String(this.grpcPort)}`, secure);
    return new Promise((done) => {
      client.makeUnaryRequest(PATH, asText, fromBytes, 'who am I?', (error, text) => {
        client.close();
        done({ status: error?.code ?? 0, text: error?.details ?? text ?? '' });
      });
    });
  }

  async close(): Promise<void> {
    this.certificates.close();
    this.grpc.listener.close();
    this.grpc.server.forceShutdown();
    this.http.closeAllConnections();
    await new Promise((done) => this.http.close(done));
  }
}

const SERIAL = {
  ...{ requestSerialize: asText, requestDeserialize: fromBytes },
  ...{ responseSerialize: asText, responseDeserialize: fromBytes },
};
