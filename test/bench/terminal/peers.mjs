/** The servers that are measured. Each runs the same programs (programs.sh), and says where a client finds one. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { clearTimeout, setTimeout } from 'node:timers';
import { fileURLToPath } from 'node:url';
import jwt from 'jsonwebtoken';
import { shortHash } from '../../../dist/src/kernel/private-directory.js';

const SECRET = 'a-secret-for-benchmarks-that-is-long-enough';
const READY_MS = 60_000;
const MANY = '100000';
/** As `npm start` does. */
const STARTED_WITH = ['--disable-sigusr1', '--max-semi-space-size=4'];

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Starts a process and waits until it says `ready` in these words. */
function launch(command, args, ready, options = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let said = '';
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${command} did not start: ${said}`)), READY_MS);
    const listen = (chunk) => {
      if (said.includes(ready)) return;
      said += chunk.toString();
      if (!said.includes(ready)) return;
      clearTimeout(timer);
      resolve(child);
    };
    child.stdout.on('data', listen);
    child.stderr.on('data', listen);
    child.once('exit', () => reject(new Error(`${command} ended: ${said}`)));
  });
}

function end(child) {
  return new Promise((resolve) => {
    child.once('exit', resolve);
    child.kill('SIGTERM');
  });
}

/** A server where a connection is a session. */
class Simple {
  /** @param dialect how a client speaks with it */
  constructor(name, child, port, path, dialect = name) {
    Object.assign(this, { name, child, port, path, dialect });
  }

  get pids() {
    return [this.child.pid];
  }

  async open(program) {
    return { dialect: this.dialect, port: this.port, path: `${this.path}?arg=${program}` };
  }

  async close() {
    await pause(50);
  }

  stop() {
    return end(this.child);
  }
}

export async function startPlain(script) {
  const port = await freePort();
  const main = fileURLToPath(new URL('plain.mjs', import.meta.url));
  return new Simple('plain', await launch(process.execPath, [main, String(port), script], 'ready'), port, '/');
}

/** Two processes without anything in between, for the echo. */
export async function startSplit(script, folder) {
  const port = await freePort();
  const main = fileURLToPath(new URL('split.mjs', import.meta.url));
  const child = await launch(process.execPath, [main, String(port), script, folder], 'ready');
  return new Simple('split', child, port, '/', 'plain');
}

/** @returns null when there is no ttyd in `$TTYD` or on the PATH */
export async function startTtyd(script) {
  const ttyd = process.env.TTYD ?? 'ttyd';
  if (spawnSync(ttyd, ['--version']).status !== 0) return null;
  const port = await freePort();
  const args = ['-W', '-a', '-i', '127.0.0.1', '-p', String(port), '/bin/sh', script];
  return new Simple('ttyd', await launch(ttyd, args, 'Listening on port'), port, '/ws');
}

/** A gateway with all that it brings, and its runner. */
class Gatehouse {
  name = 'gatehouse';

  constructor(child, port, script, dataDir) {
    const claims = { sub: 'bench', roles: ['user'], iss: 'gatehouse', aud: 'gatehouse' };
    this.token = jwt.sign(claims, SECRET, { algorithm: 'HS256', expiresIn: '12h' });
    Object.assign(this, { child, port, script, dataDir });
    this.runner = Number(readFileSync(join(dataDir, 'run', 'runner.pid'), 'utf8'));
  }

  get pids() {
    return [this.child.pid, this.runner];
  }

  async #call(method, path, body) {
    const answer = await fetch(`http://127.0.0.1:${this.port}/api/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.token}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? {} : answer.json();
  }

  /** Starts a session; `from` of its target is the beginning, so that the output is what the others send. */
  async open(program) {
    const command = ['/bin/sh', this.script, program];
    const { id } = await this.#call('POST', '/sessions', { command, cols: 100, rows: 30 });
    return this.target(id, '&from=0');
  }

  target(session, query) {
    const path = `/ws/pty?id=${session}${query}`;
    return { dialect: 'gatehouse', port: this.port, path, token: this.token, session };
  }

  /** How much of a session's output is retained: `[from, to]`. */
  async retained(session) {
    const answer = await fetch(`http://127.0.0.1:${this.port}/api/v1/sessions/${session}/output?limit=1`, {
      headers: { authorization: `Bearer ${this.token}` },
    });
    await answer.arrayBuffer();
    return [Number(answer.headers.get('x-output-dropped-before')), Number(answer.headers.get('x-output-end'))];
  }

  async close({ session }) {
    // It may have ended by itself.
    await this.#call('DELETE', `/sessions/${session}`).catch(() => undefined);
  }

  async stop() {
    const place = join('/var/lib/gatehouse', shortHash(this.dataDir));
    await end(this.child);
    while (existsSync(`/proc/${this.runner}`)) await pause(20);
    // Root's cluster lies outside DATA_DIR.
    for (const left of [place, `${place}.password`]) rmSync(left, { recursive: true, force: true });
  }
}

/** @param folder a temporary folder of its own */
export async function startGatehouse(script, folder) {
  const [httpPort, grpcPort] = [await freePort(), await freePort()];
  const dataDir = join(folder, 'data');
  const main = fileURLToPath(new URL('../../../dist/src/main.js', import.meta.url));
  const flags = (process.env.BENCH_NODE_FLAGS ?? '').split(' ').filter(Boolean);
  const child = await launch(process.execPath, [...flags, ...STARTED_WITH, main], 'Gatehouse is ready', {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOME: folder,
      NODE_ENV: 'production',
      TLS_TERMINATED_BY_PROXY: 'true',
      DATA_DIR: dataDir,
      HTTP_PORT: String(httpPort),
      GRPC_PORT: String(grpcPort),
      AUTH_SECRET: SECRET,
      LOG_FORMAT: 'json',
      SESSIONS_PER_USER: MANY,
      SESSIONS_PER_TENANT: MANY,
      CONNECTIONS_PER_PRINCIPAL: MANY,
      ...{ RATE_LIMIT_CREATE_BURST: MANY, RATE_LIMIT_PRINCIPAL_BURST: MANY },
      RATE_LIMIT_INPUT_BYTES_PER_SECOND: String(1024 ** 3),
    },
  });
  return new Gatehouse(child, httpPort, script, dataDir);
}
