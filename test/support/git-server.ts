/** A git server over https on loopback: `git http-backend` behind Node, for one person. */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { Issued } from './link-certificates.js';

/** Who may sign in. */
export interface Person {
  readonly name: string;
  readonly password: string;
}

/** What one request came with. */
export interface Seen {
  readonly host: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly status: number;
}

export class GitServer {
  readonly seen: Seen[] = [];
  /** Arguments of all processes of the machine, as they were during requests. */
  readonly commands = new Set<string>();

  private constructor(
    private readonly server: Server,
    private readonly folder: string,
    private readonly person: Person,
  ) {}

  /** @param folder with bare repositories; `/moved/…` is told to be at `localhost` */
  static async start(folder: string, person: Person, { cert, key }: Issued): Promise<GitServer> {
    const server = createServer({ cert, key });
    const git = new GitServer(server, folder, person);
    server.on('request', (request, response) => void git.#answer(request, response));
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
    return git;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#lookAtProcesses();
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://any');
    const { authorization, host = '' } = request.headers;
    const expected = `Basic ${Buffer.from(`${this.person.name}:${this.person.password}`).toString('base64')}`;
    response.on('finish', () => this.seen.push({ host, path: pathname, authorization, status: response.statusCode }));
    if (pathname.startsWith('/moved/')) {
      const location = `https://localhost:${String(this.port)}${(request.url ?? '').slice('/moved'.length)}`;
      response.writeHead(302, { location }).end();
    } else if (authorization !== expected) {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
    } else {
      await this.#backend(request, response, pathname, searchParams.toString());
    }
  }

  async #backend(request: IncomingMessage, response: ServerResponse, path: string, query: string): Promise<void> {
    const { headers, method = 'GET' } = request;
    const child = spawn('git', ['http-backend'], {
      env: {
        ...{ PATH: process.env['PATH'], GIT_PROJECT_ROOT: this.folder, GIT_HTTP_EXPORT_ALL: '1' },
        ...{ REQUEST_METHOD: method, PATH_INFO: path, QUERY_STRING: query, REMOTE_USER: this.person.name },
        ...{ CONTENT_TYPE: headers['content-type'], HTTP_CONTENT_ENCODING: headers['content-encoding'] },
      },
    });
    request.pipe(child.stdin);
    const answer = await buffer(child.stdout);
    const end = answer.indexOf('\r\n\r\n');
    for (const line of answer.toString('utf8', 0, end).split('\r\n')) {
      const [name = '', value = ''] = line.split(': ');
      if (name === 'Status') response.statusCode = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.end(answer.subarray(end + 4));
  }

  #lookAtProcesses(): void {
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        this.commands.add(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
      } catch {
        // it has ended
      }
    }
  }
}
