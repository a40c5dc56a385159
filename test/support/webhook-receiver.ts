import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { until } from './gateway.js';

/** How a post is answered. */
type Answer = (response: ServerResponse) => void;

/** One post that came. */
export interface Received {
  readonly path: string;
  readonly text: string;
  readonly contentType: string | undefined;
  /** performance.now() */
  readonly at: number;
}

/** A webhook on loopback that keeps what it is sent. */
export class WebhookReceiver {
  readonly received: Received[] = [];
  /** Answers for the next posts; then each is taken. */
  readonly answers: Answer[] = [];
  /** False: connections are taken, and nothing is answered. */
  answering = true;

  private constructor(
    private readonly server: Server,
    private readonly scheme: 'http' | 'https',
  ) {
    server.on('request', (request, response) => {
      void this.#take(request, response);
    });
  }

  /**
   * @param port 0: any
   * @param tls a certificate and its key, in PEM: then it is an https one
   */
  static async start(port = 0, tls?: { readonly key: string; readonly cert: string }): Promise<WebhookReceiver> {
    const server = tls === undefined ? createServer() : createTlsServer(tls);
    await new Promise<void>((done) => server.listen(port, '127.0.0.1', done));
    return new WebhookReceiver(server, tls === undefined ? 'http' : 'https');
  }

  get url(): string {
    return `${this.scheme}://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get texts(): string[] {
    return this.received.map(({ text }) => text);
  }

  /** The posts whose text has this in it, when there are so many. */
  async has(part: string, atLeast = 1, ms = 20_000): Promise<string[]> {
    const found = (): string[] => this.texts.filter((text) => text.includes(part));
    await until(`${part} in ${JSON.stringify(this.texts)}`, () => found().length >= atLeast, ms);
    return found();
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = '';
    for await (const piece of request) body += String(piece);
    const { text } = JSON.parse(body) as { text: string };
    const contentType = request.headers['content-type'];
    this.received.push({ path: request.url ?? '', text, contentType, at: performance.now() });
    if (!this.answering) return;
    const answer = this.answers.shift();
    if (answer) answer(response);
    else response.writeHead(200).end('ok');
  }
}

/** Answers with a status, and headers where given. */
export const answer =
  (status: number, headers: Record<string, string> = {}): Answer =>
  (response) => {
    response.writeHead(status, headers).end('no');
  };
