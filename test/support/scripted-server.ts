import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** What a client asked, `path` below `/api/v1`, with its query. */
export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: unknown;
}

/** Status and JSON for one request. */
export type Script = (asked: Asked) => readonly [status: number, body: unknown];

/** A real HTTP server on loopback that answers as a test wrote it, to see what a client sends and makes of answers. */
export class ScriptedServer {
  readonly asked: Asked[] = [];
  script: Script = () => [404, refusal('NOT_FOUND', 'There is no such resource.')];

  private constructor(
    readonly server: Server,
    private readonly scheme: string,
  ) {
    server.on('request', (request: IncomingMessage, response) => {
      void this.#read(request).then((asked) => {
        const [status, body] = this.script(asked);
        response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
      });
    });
  }

  static async start(tls?: { key: string; cert: string }): Promise<ScriptedServer> {
    const server = tls === undefined ? createServer() : createTlsServer(tls);
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return new ScriptedServer(server, tls === undefined ? 'http' : 'https');
  }

  get url(): string {
    return `${this.scheme}://127.0.0.1:${String((this.server.address() as AddressInfo).port)}`;
  }

  /** What was asked since the last call of this. */
  take(): Asked[] {
    return this.asked.splice(0);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }

  async #read(request: IncomingMessage): Promise<Asked> {
    let text = '';
    for await (const chunk of request as AsyncIterable<Buffer>) text += chunk.toString('utf8');
    const asked: Asked = {
      method: request.method ?? '',
      path: (request.url ?? '').replace('/api/v1', ''),
      authorization: request.headers.authorization,
      body: text === '' ? undefined : JSON.parse(text),
    };
    this.asked.push(asked);
    return asked;
  }
}

/** The envelope in which a refusal comes. */
export const refusal = (code: string, message: string, details?: object): object => ({
  error: { code, message, request_id: '00000000-0000-7000-8000-000000000000', details },
});
