/**
 * What an API key costs: its verification against plain bcrypt, and a request with one against the same without.
 * Uses the built gateway: `npm run build && node test/bench/api-keys.mjs`.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compare } from 'bcrypt';
import Fastify from 'fastify';
import 'reflect-metadata';
import { ApiKeyEntity } from '../../dist/src/api-keys/api-key.entity.js';
import { parseKey } from '../../dist/src/kernel/api-key-text.js';
import { ApiKeysService } from '../../dist/src/api-keys/api-keys.service.js';
import { KeyRecords } from '../../dist/src/api-keys/key-records.js';
import { KeyUsage } from '../../dist/src/api-keys/key-usage.js';
import { KeyVerifier } from '../../dist/src/api-keys/key-verifier.js';
import { KeyedVerifier, verifierKeys } from '../../dist/src/api-keys/keyed-verifier.js';
import { newKey } from '../../dist/src/api-keys/new-key.js';
import { SecretHasher } from '../../dist/src/api-keys/secret-hasher.js';
import { loadConfig } from '../../dist/src/config/load.js';
import { createDataSource } from '../../dist/src/database/data-source.js';
import { EmbeddedPostgres } from '../../dist/src/database/embedded-postgres.js';
import { TenantScope } from '../../dist/src/database/tenant-scope.js';
import { systemClock } from '../../dist/src/kernel/clock.js';
import { InFlight } from '../../dist/src/kernel/in-flight.js';
import { ClientAddresses } from '../../dist/src/transport/client-address.js';
import { guardRest } from '../../dist/src/transport/rest-edge.js';
import { Site } from '../../dist/src/transport/site/site.js';

const SECRET = 'a-secret-for-the-benchmark-0123456789abcdef';
const KEYS = 10_000;
const CONNECTIONS = 16;
const SECONDS = 4;
const config = loadConfig({ NODE_ENV: 'test', AUTH_SECRET: SECRET });
const silent = { warn: () => undefined, error: () => undefined, info: () => undefined };

/** The keys of one gateway, as after a start. */
function keysOn(dataSource) {
  const scope = new TenantScope(dataSource);
  const feed = { on: () => undefined, onReset: () => undefined };
  const usage = new KeyUsage(scope, silent);
  const records = new KeyRecords(scope, feed, config);
  const keyed = new KeyedVerifier(verifierKeys([SECRET]));
  const verifier = new KeyVerifier(records, new SecretHasher(config.BCRYPT_COST), keyed, usage);
  const standings = { of: () => Promise.resolve({ roles: ['admin'], groups: [] }) };
  const service = new ApiKeysService(records, verifier, usage, standings, systemClock);
  return { service, usage, authenticate: (text) => service.authenticate(text, '127.0.0.1', Date.now()) };
}

async function openDatabase(url) {
  const dataSource = createDataSource(url, config);
  await dataSource.initialize();
  return dataSource;
}

/** Microseconds of each call. */
async function timed(calls, call) {
  const times = [];
  for (let index = 0; index < calls; index += 1) {
    const began = performance.now();
    await call(index);
    times.push((performance.now() - began) * 1000);
  }
  return times.sort((a, b) => a - b);
}

const at = (times, share) => times[Math.min(times.length - 1, Math.floor(times.length * share))];

async function makeKeys(dataSource, count) {
  const hasher = new SecretHasher(config.BCRYPT_COST);
  const made = [];
  for (let index = 0; index < count; index += 1) {
    const key = await newKey(hasher, 'gh_test', {
      ...{
        tenant: 'default',
        name: `key ${index}`,
        description: '',
        ownerProvider: 'gatehouse',
        ownerSubject: 'admin',
      },
      ...{ createdByProvider: 'gatehouse', createdBy: 'admin', roles: ['admin'], scopes: null, allowedCidrs: null },
      ...{ rateLimitPerMinute: null, expiresAt: null, createdAt: new Date() },
    });
    await dataSource.getRepository(ApiKeyEntity).insert(key.row);
    made.push(key);
  }
  await dataSource.query(
    `INSERT INTO api_keys (id, tenant, name, owner_provider, owner_subject, created_by_provider, created_by, key_hash,
       prefix, roles)
     SELECT lpad(n::text, 16, '0'), 'default', 'x', 'gatehouse', 'x', 'gatehouse', 'x', 'x', 'gh_test', '{}'
     FROM generate_series(1, $1::int) AS n`,
    [KEYS],
  );
  await dataSource.query('ANALYZE api_keys');
  return made;
}

async function verification(dataSource) {
  const made = await makeKeys(dataSource, 60);
  const plain = await timed(made.length, (index) =>
    compare(parseKey(made[index].text).secret, made[index].row.keyHash),
  );
  const first = keysOn(dataSource);
  const cold = await timed(made.length, (index) => first.authenticate(made[index].text));
  await first.usage.flush();
  const second = keysOn(dataSource);
  const keyed = await timed(made.length, (index) => second.authenticate(made[index].text));
  const cached = await timed(200_000, (index) => second.authenticate(made[index % made.length].text));
  console.log(`\nVerification, in process, bcrypt cost ${config.BCRYPT_COST}, ${KEYS + made.length} keys in the table`);
  console.log('                                      p50 µs      p99 µs   of plain bcrypt');
  const base = at(plain, 0.5);
  for (const [name, times] of Object.entries({
    'plain bcrypt': plain,
    'cold: database and bcrypt': cold,
    'first use after a restart: verifier': keyed,
    'second and later uses': cached,
  })) {
    const [p50, p99] = [at(times, 0.5), at(times, 0.99)];
    console.log(
      `${name.padEnd(36)}${p50.toFixed(1).padStart(8)}${p99.toFixed(1).padStart(12)}   1 / ${(base / p50).toFixed(1)}`,
    );
  }
  return made[0].text;
}

/** Sends requests over connections that are kept, one after the other on each. */
async function load(port, path, credential) {
  const request =
    `GET ${path} HTTP/1.1\r\nhost: x\r\n` +
    (credential === null ? '\r\n' : `authorization: Bearer ${credential}\r\n\r\n`);
  const times = [];
  const until = performance.now() + SECONDS * 1000;
  const one = () =>
    new Promise((done, reject) => {
      const socket = connect(port, '127.0.0.1');
      let [answer, began] = ['', 0];
      const send = () => {
        [answer, began] = ['', performance.now()];
        socket.write(request);
      };
      socket.once('connect', send).once('error', reject);
      socket.once('close', () => {
        done();
      });
      socket.on('data', (chunk) => {
        answer += chunk.toString('latin1');
        const end = answer.indexOf('\r\n\r\n');
        const length = Number(/content-length: (\d+)/i.exec(answer)?.[1]);
        if (end < 0 || answer.length < end + 4 + length) return;
        if (!answer.startsWith('HTTP/1.1 200')) reject(new Error(answer));
        times.push((performance.now() - began) * 1000);
        if (performance.now() > until || /\r\nconnection: close/i.test(answer)) socket.end();
        else send();
      });
    });
  const connection = async () => {
    while (performance.now() < until) await one();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, connection));
  return times.sort((a, b) => a - b);
}

async function told(name, port, path, credential) {
  await load(port, path, credential);
  const times = await load(port, path, credential);
  const perSecond = Math.round(times.length / SECONDS);
  const [p50, p99] = [at(times, 0.5), at(times, 0.99)];
  console.log(
    `${name.padEnd(48)}${String(perSecond).padStart(8)}${p50.toFixed(0).padStart(10)}${p99.toFixed(0).padStart(10)}`,
  );
  return perSecond;
}

/** A port that is free now. */
const freePort = () =>
  new Promise((done) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => done(port));
    });
  });

/** In a process of its own: one route twice behind the gate of REST, once of those that need no credential. */
async function serveOneRoute([port, url]) {
  const keys = keysOn(await openDatabase(url));
  const authenticator = {
    authenticate: async (present, context) => {
      const accepted = await keys.service.authenticate(present().text, context.remoteAddress, Date.now());
      await accepted.revalidate();
      context.principal = accepted.principal;
      context.credential = accepted;
    },
  };
  const fastify = Fastify();
  const addresses = new ClientAddresses([]);
  const [site, publicRoutes] = [new Site(config), new Set(['GET /open'])];
  guardRest(fastify, { authenticator, inFlight: new InFlight(), addresses, site, audit: null, publicRoutes });
  for (const path of ['/open', '/closed']) fastify.get(path, () => ({ answer: 42 }));
  await fastify.listen({ port: Number(port), host: '127.0.0.1' });
  process.send('ready');
}

const ready = (child, sign) =>
  new Promise((done, reject) => {
    child.once('message', done).once('exit', () => reject(new Error('a server did not start')));
    child.stdout?.on('data', (chunk) => chunk.toString().includes(sign) && done());
  });

async function requests(dataDir, url, key) {
  const [onePort, httpPort, grpcPort] = [await freePort(), await freePort(), await freePort()];
  const children = [
    fork(fileURLToPath(import.meta.url), ['serve', String(onePort), url]),
    fork(resolve('dist/src/main.js'), [], {
      cwd: dataDir,
      silent: true,
      env: {
        ...{ PATH: process.env.PATH, HOME: process.env.HOME, NODE_ENV: 'test', LOG_LEVEL: 'fatal', LOG_FORMAT: 'json' },
        ...{ DATA_DIR: join(dataDir, 'data'), HTTP_PORT: String(httpPort), GRPC_PORT: String(grpcPort) },
        ...{ AUTH_SECRET: SECRET, DATABASE_URL: url },
        // What is measured is how fast it goes, not how fast it may.
        ...Object.fromEntries(
          ['PRINCIPAL', 'HEALTH', 'AUTH'].flatMap((level) => [
            [`RATE_LIMIT_${level}_PER_MINUTE`, '1000000'],
            [`RATE_LIMIT_${level}_BURST`, '1000000'],
          ]),
        ),
      },
    }),
  ];
  try {
    await Promise.all(children.map((child) => ready(child, 'Gatehouse is ready')));
    console.log(`\nRequests, ${CONNECTIONS} connections, ${availableParallelism()} cores shared with the client`);
    console.log(`${''.padEnd(48)}   per s    p50 µs    p99 µs`);
    const open = await told('one route, no authentication', onePort, '/open', null);
    const closed = await told('the same route, key known', onePort, '/closed', key);
    console.log(`  with a key: ${((closed / open) * 100).toFixed(1)} % of the requests`);
    await told('gateway: GET /health/live, no authentication', httpPort, '/health/live', null);
    await told('gateway: GET /api/v1/auth/info, key known', httpPort, '/api/v1/auth/info', key);
    await told('gateway: GET /api/v1/sessions?limit=1, key known', httpPort, '/api/v1/sessions?limit=1', key);
  } finally {
    await Promise.all(
      children.map(
        (child) =>
          new Promise((done) => {
            if (child.exitCode !== null) done();
            child.once('exit', done).kill('SIGTERM');
          }),
      ),
    );
  }
}

async function main() {
  const dataDir = mkdtempSync(join(tmpdir(), 'gatehouse-bench-'));
  const postgres = await EmbeddedPostgres.open({ dataDir, log: () => undefined });
  try {
    const dataSource = await openDatabase(postgres.url);
    await dataSource.runMigrations();
    await dataSource.query(
      `INSERT INTO role_bindings (id, tenant, role, member_kind, member_provider, member, created_by)
       VALUES (gen_random_uuid(), 'default', 'admin', 'subject', 'gatehouse', 'admin', 'bench')`,
    );
    const key = await verification(dataSource);
    await dataSource.destroy();
    await requests(dataDir, postgres.url, key);
  } finally {
    await postgres.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

await (process.argv[2] === 'serve' ? serveOneRoute(process.argv.slice(3)) : main());
