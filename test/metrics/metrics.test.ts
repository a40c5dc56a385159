import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { makeKey } from '../support/api-keys.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { GrpcClient, refused } from '../support/grpc-client.js';
import { waitingFor, whileLocked } from '../support/locks.js';
import { rest, startSession } from '../support/rest.js';
import { type Scrape, scrape } from '../support/scrape.js';
import { WsClient } from '../support/ws-client.js';

describe('GET /metrics', () => {
  let gateway: TestGateway;
  let before: Scrape;
  const admin = token({ sub: 'root-of-all', roles: ['admin'] });
  const alice = token({ sub: 'alice-of-metrics' });
  /** What is nobody's business: ids, keys, names. */
  const secrets: string[] = ['alice-of-metrics', 'root-of-all'];

  beforeAll(async () => {
    gateway = await TestGateway.start();
    before = await scrape(gateway, admin);
  });
  afterAll(() => gateway.remove());

  /** Waits until this has grown since the last look by so much at least. */
  const grows = async (name: string, labels: Record<string, string> = {}, by = 1): Promise<void> => {
    let now = before;
    await until(`${name} ${JSON.stringify(labels)} to grow`, async () => {
      now = await scrape(gateway, admin);
      return now.of(name, labels) >= before.of(name, labels) + by;
    });
  };
  const shows = (name: string, labels: Record<string, string>, value: number): Promise<void> =>
    until(`${name} to be ${String(value)}`, async () => (await scrape(gateway, admin)).of(name, labels) === value);

  it('is for who holds metrics:read, and may be all that a key is good for', async () => {
    expect((await rest(gateway, null, 'GET', '/metrics')).status).toBe(401);
    for (const role of ['user', 'operator', 'auditor', 'viewer'])
      expect((await rest(gateway, token({ roles: [role] }), 'GET', '/metrics')).status).toBe(403);
    const { key, id } = await makeKey(gateway, admin, { roles: ['admin'], scopes: ['metrics:read'] });
    secrets.push(key, id);
    const answer = await rest(gateway, key, 'GET', '/metrics');
    expect([answer.status, answer.headers.get('content-type')]).toEqual([
      200,
      expect.stringContaining('text/plain; version=0.0.4'),
    ]);
    expect((await rest(gateway, key, 'GET', '/api/v1/sessions')).status).toBe(403);
  });

  it('counts credentials, permissions and keys', async () => {
    await grows('authz_checks_total', { result: 'denied', permission: 'metrics:read' }, 4);
    await grows('authz_checks_total', { result: 'granted', permission: 'metrics:read' });
    await grows('auth_attempts_total', { result: 'failure', provider: 'unknown', method: 'none' });
    await grows('auth_attempts_total', { result: 'success', provider: 'gatehouse', method: 'jwt' });
    await grows('auth_attempts_total', { result: 'success', provider: 'gatehouse', method: 'api_key' });
    await grows('auth_duration_seconds_count');
    await grows('api_key_verifications_total', { result: 'success', path: 'memory' });
    const wrong = token({ sub: 'alice-of-metrics' }, 'another-secret-that-is-long-enough-0123456789');
    await rest(gateway, wrong, 'GET', '/api/v1/sessions');
    await grows('auth_attempts_total', { result: 'failure', provider: 'unknown', method: 'jwt' });
  });

  it('counts sessions, attachments and what they carry', async () => {
    const id = await startSession(gateway, alice, { command: ['/bin/cat'] });
    secrets.push(id);
    await shows('sessions_active', {}, 1);
    await grows('session_start_duration_seconds_count');
    const ws = await WsClient.open(gateway, `/ws/pty?id=${id}`, { credential: alice, binary: true });
    await ws.next('attached');
    await shows('attachments_active', { mode: 'controller' }, 1);
    ws.type('hello\n', 0);
    await grows('terminal_input_bytes_total', {}, 6);
    await grows('terminal_output_bytes_total', {}, 6);
    ws.send({ type: 'ping' });
    await ws.next('pong');
    for (const [direction, type] of [
      ['in', 'input_frame'],
      ['in', 'ping'],
      ['out', 'output_frame'],
      ['out', 'pong'],
    ] as const)
      await grows('websocket_messages_total', { direction, type });
    const carried = (await scrape(gateway, admin)).of('terminal_output_bytes_total');
    ws.socket.close();
    await shows('attachments_active', {}, 0);
    await rest(gateway, alice, 'POST', `/api/v1/sessions/${id}/input`, { data: 'more\n' });
    await grows('terminal_input_bytes_total', {}, 11);
    await rest(gateway, alice, 'GET', `/api/v1/sessions/${id}/output`);
    expect((await scrape(gateway, admin)).of('terminal_output_bytes_total')).toBeGreaterThan(carried);
    await rest(gateway, alice, 'DELETE', `/api/v1/sessions/${id}`);
    await grows('sessions_total', { end: 'killed' });
    await shows('sessions_active', {}, 0);
  });

  it('counts calls over HTTP by route and calls over gRPC by method, refused ones too', async () => {
    const unknown = '0190aaaa-0000-7000-8000-000000000000';
    secrets.push(unknown);
    await rest(gateway, alice, 'GET', `/api/v1/sessions/${unknown}`);
    await rest(gateway, alice, 'GET', `/no/such/${unknown}`);
    const http = 'http_request_duration_seconds_count';
    await grows(http, { route: '/api/v1/sessions/:id', method: 'GET', status: '404' });
    await grows(http, { route: 'none', method: 'GET', status: '404' });
    const grpc = new GrpcClient(gateway, alice);
    await grpc.call('list', {});
    await refused(grpc.call('get', { id: unknown }));
    grpc.close();
    const stranger = new GrpcClient(gateway, null);
    await refused(stranger.call('list', {}));
    stranger.close();
    for (const [method, code] of [
      ['PtyService/List', 'OK'],
      ['PtyService/Get', 'NOT_FOUND'],
      ['PtyService/List', 'UNAUTHENTICATED'],
    ] as const)
      await grows('grpc_requests_total', { method, code });
    await grows('grpc_request_duration_seconds_count', { method: 'PtyService/List' }, 2);
  });

  it('counts the audit trail, and what goes to the spool while PostgreSQL does not take it', async () => {
    await grows('audit_events_total', { action: 'pty.kill' });
    await grows('audit_commit_duration_seconds_count');
    await gateway.query('ALTER TABLE audit_events RENAME TO away');
    await rest(gateway, alice, 'POST', '/api/v1/auth/tokens', { ttl_seconds: 60 });
    await grows('audit_write_failures_total');
    await until('the spool', async () => (await scrape(gateway, admin)).of('audit_spool_bytes') > 0);
    await gateway.query('ALTER TABLE away RENAME TO audit_events');
    await shows('audit_spool_bytes', {}, 0);
  });

  it('says whether the runner is there, and answers all the same when the database does not', async () => {
    expect(before.of('runner_up')).toBe(1);
    await whileLocked(gateway, 'sessions', async () => {
      const scrapes = await Promise.all(Array.from({ length: 4 }, () => scrape(gateway, admin)));
      for (const each of scrapes) {
        expect(each.samples.some(({ name }) => name === 'sessions_active')).toBe(false);
        expect(each.of('process_resident_memory_bytes')).toBeGreaterThan(0);
      }
      // One for all of them; the gateway's own look at its sessions may wait beside it.
      expect(await waitingFor(gateway, 'sessions')).toBeLessThanOrEqual(2);
    });
    await until('it to be back', async () =>
      (await scrape(gateway, admin)).samples.some(({ name }) => name === 'sessions_active'),
    );
    for (const pid of gateway.runnerPids()) process.kill(pid, 'SIGKILL');
    await grows('audit_events_total', { action: 'runner.lost' });
    await shows('runner_up', {}, 1);
  });

  it('names nobody: no id, no key, no name, no path', async () => {
    const { text, samples } = await scrape(gateway, admin);
    for (const secret of secrets) expect(text).not.toContain(secret);
    expect(text).not.toContain(gateway.dataDir);
    expect(text).not.toMatch(/[0-9a-f]{8}-[0-9a-f]{4}-|gh_(?:test|live)_|eyJ/);
    const values = new Set(
      samples.flatMap(({ labels }) => Object.entries(labels)).map(([label, value]) => `${label} ${value}`),
    );
    // Patterns of routes are the only ones with slashes, but for the methods of gRPC.
    for (const value of values) expect(value).toMatch(/^route |^method \w+\/\w+$|^[^/]+$/);
  });

  it('is described in docs/metrics.md, metric for metric', async () => {
    const { types, samples } = await scrape(gateway, admin);
    const page = readFileSync('docs/metrics.md', 'utf8');
    const rows = [...page.matchAll(/^\| `(\w+)` \| (\w+) \| (.*?) ?\| .*\|$/gm)];
    expect(new Map(rows.map(([, name, type]) => [name, type]))).toEqual(types);
    for (const [, name = '', , labels = ''] of rows) {
      const told = [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label);
      const own = samples.filter(
        (each) => each.name.replace(/_(?:bucket|sum|count)$/, '') === name || each.name === name,
      );
      const shown = new Set(own.flatMap((each) => Object.keys(each.labels)).filter((label) => label !== 'le'));
      if (own.length > 0) expect([name, [...shown].sort()]).toEqual([name, told.sort()]);
    }
  });
});
