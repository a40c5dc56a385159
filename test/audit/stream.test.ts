import '../support/nest-first.js';
import { get, type IncomingMessage } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { MAX_LOOK } from '../../src/audit/read/event-feed.js';
import { EventStream, MAX_BEHIND_BYTES } from '../../src/audit/read/event-stream.js';
import { MAX_STREAMS, MAX_STREAMS_EACH } from '../../src/audit/read/event-streams.js';
import type { EventView } from '../../src/audit/read/event-view.js';
import { EventSource } from '../support/event-source.js';
import { pause, TestGateway, token, until } from '../support/gateway.js';
import { rest, startSession } from '../support/rest.js';

describe('GET /audit/events/stream', () => {
  let gateway: TestGateway;
  let other: TestGateway;
  const auditor = token({ sub: 'eve', roles: ['auditor'] });
  const admin = token({ sub: 'root', roles: ['admin'] });
  const open: EventSource[] = [];
  const stream = async (query: Record<string, string> = {}, who = auditor, on = gateway): Promise<EventSource> => {
    const source = await EventSource.open(on, who, query);
    open.push(source);
    return source;
  };
  const start = (on = gateway, who = token()): Promise<string> => startSession(on, who, { command: ['/bin/true'] });
  const starts = (source: EventSource): unknown[] =>
    source.events.filter(({ action }) => action === 'pty.start').map(({ resource }) => resource);

  beforeAll(async () => {
    gateway = await TestGateway.start({ NODE_NAME: 'one', SESSIONS_PER_USER: '500' });
    other = await gateway.sibling();
  });
  afterEach(() => {
    for (const source of open.splice(0)) source.close();
  });
  afterAll(async () => {
    await other.end();
    await gateway.remove();
  });

  it('tells what happens on every gateway, as a page would show it, each once', async () => {
    const source = await stream({ action: 'pty.start' });
    expect(source.contentType).toContain('text/event-stream');
    const sessions: string[] = [];
    for (let round = 0; round < 6; round += 1) {
      sessions.push(await start(gateway), await start(other));
      await pause(300);
    }
    await until('all of them', () => starts(source).length >= sessions.length);
    // Whatever would come a second time has had the time to.
    await pause(2500);
    expect([...starts(source)].sort()).toEqual(sessions.map((id) => `session:${id}`).sort());
    expect(source.events[0]).toMatchObject({ user_id: 'alice', remote_addr: '127.0.0.1', tenant: 'default' });
    expect(source.comments).toBeGreaterThan(0);
    const page = await rest(gateway, auditor, 'GET', '/api/v1/audit/events?action=pty.start&limit=12');
    const items = page.body['items'] as { id: string }[];
    const byId = (a: { id?: unknown }, b: { id?: unknown }): number => String(a.id).localeCompare(String(b.id));
    expect([...source.events].sort(byId)).toEqual([...items].sort(byId));
  });

  it('has the same filters, and shows one’s own tenant only', async () => {
    const bobs = await stream({ user_id: 'bob', success: 'true', text: 'START', remote_addr: '127.0.0.1' });
    const none = await stream({ to: '2020-01-01T00:00:00Z' });
    const acme = await stream({}, token({ sub: 'ada', roles: ['admin'], tenant: 'acme' }));
    await start();
    const id = await start(gateway, token({ sub: 'bob' }));
    const theirs = await start(gateway, token({ sub: 'bob', tenant: 'acme' }));
    await until('the events', () => bobs.events.length > 0 && starts(acme).length > 0);
    expect(bobs.events.map(({ resource }) => resource)).toEqual([`session:${id}`]);
    expect(starts(acme)).toEqual([`session:${theirs}`]);
    expect(acme.events.every(({ tenant }) => tenant === 'acme')).toBe(true);
    expect(none.events).toEqual([]);
  });

  it('loses none of more than one look takes, and none that is committed late', async () => {
    const source = await stream({ action: 'auth.failed' });
    const many = MAX_LOOK * 2 + 500;
    // As a spool is replayed: old times, new numbers.
    await gateway.query(
      `WITH head AS (INSERT INTO audit_chains VALUES ('late', $1, '') RETURNING 1)
       INSERT INTO audit_events SELECT gen_random_uuid(), now() - interval '5 minutes', 'default', 'unknown', NULL, NULL,
         NULL, 'auth.failed', NULL, false, NULL, 'warn', 'rest', '9.9.9.9', NULL, 'r' || n, NULL, '{}', 'late', n, '', '', ''
       FROM generate_series(1, $1::int) AS n, head`,
      [many],
    );
    await until('all of them', () => source.events.length >= many);
    await pause(1500);
    expect(new Set(source.events.map(({ seq }) => seq)).size).toBe(many);
    expect(source.events).toHaveLength(many);
  });

  it('ends with the caller’s credential, and with the permission, and says so', async () => {
    const jti = 'a-stream-of-eves';
    const revoked = await stream({}, token({ sub: 'eve', roles: ['auditor'], jti }));
    const short = await stream({}, token({ sub: 'eve', roles: ['auditor'], exp: Math.floor(Date.now() / 1000) + 4 }));
    const bound = { role: 'auditor', member: { kind: 'subject', provider: 'gatehouse', name: 'gus' } };
    await rest(gateway, admin, 'PUT', '/api/v1/policy/bindings', bound);
    const gus = await stream({}, token({ sub: 'gus', roles: [] }));
    await rest(other, admin, 'POST', '/api/v1/auth/revocations', { jti });
    await rest(other, admin, 'DELETE', '/api/v1/policy/bindings', bound);
    await Promise.all([revoked.ended, short.ended, gus.ended]);
    expect([revoked.end, short.end, gus.end]).toEqual(['TOKEN_REVOKED', 'SESSION_EXPIRED', 'PERMISSION_DENIED']);
  });

  it('is refused past so many of one caller, and possible again when one has ended', async () => {
    const who = token({ sub: 'many', roles: ['auditor'] });
    const streams = await Promise.all(Array.from({ length: MAX_STREAMS_EACH }, () => stream({}, who)));
    await expect(stream({}, who)).rejects.toThrow('429');
    streams[0]?.close();
    await until('a place', () =>
      stream({}, who).then(
        () => true,
        () => false,
      ),
    );
  });

  it('is refused past so many on one gateway, whoever asks', async () => {
    const callers = Array.from({ length: MAX_STREAMS / MAX_STREAMS_EACH }, (_, index) =>
      token({ sub: `crowd-${String(index)}`, roles: ['auditor'] }),
    );
    // Those of the test before may still be ending.
    const last = token({ sub: 'last', roles: ['auditor'] });
    let held = 0;
    for (const who of callers) {
      for (let more = 0; more < MAX_STREAMS_EACH; more += 1) {
        await until('a place', () =>
          stream({ action: 'auth.replayed' }, who).then(
            () => true,
            () => false,
          ),
        );
        held += 1;
      }
    }
    expect(held).toBe(MAX_STREAMS);
    await expect(stream({}, last)).rejects.toThrow('429');
  });

  it('leaves nothing behind of a HEAD request', async () => {
    const who = token({ sub: 'head', roles: ['auditor'] });
    for (let round = 0; round <= MAX_STREAMS_EACH; round += 1) {
      const answer = await rest(gateway, who, 'HEAD', '/api/v1/audit/events/stream');
      expect(answer.status).toBe(200);
    }
  });

  it('keeps no more than its bound for one who does not read, and tells them', async () => {
    const source = new EventStream(() => true);
    const event = { id: 'x', metadata: { fill: 'x'.repeat(10_000) } } as unknown as EventView;
    for (let sent = 0; sent < 1000; sent += 1) source.take([event]);
    expect(source.text.readableLength).toBeLessThan(MAX_BEHIND_BYTES + 1000);
    let text = '';
    for await (const chunk of source.text) text += String(chunk);
    expect(text).toMatch(/event: end\ndata: \{"code":"LAGGING",[^\n]*\n\n$/);
  });

  it('sends away a client that does not read, over a real socket', async () => {
    const who = token({ sub: 'slow', roles: ['auditor'], jti: 'slow-one' });
    const answer = await new Promise<IncomingMessage>((done, reject) => {
      const headers = { authorization: `Bearer ${who}` };
      const path = `${gateway.url}/api/v1/audit/events/stream?action=pty.lost`;
      get(path, { headers, agent: false }, done).once('error', reject);
    });
    answer.on('error', () => undefined);
    for (let more = 1; more < MAX_STREAMS_EACH; more += 1) await stream({ action: 'auth.replayed' }, who);
    await expect(stream({}, who)).rejects.toThrow('429');
    await until('the stream', async () => (await gateway.audit({ action: 'audit.read', user_id: 'slow' })).length > 0);
    await gateway.query(
      `WITH head AS (INSERT INTO audit_chains VALUES ('flood', 5000, '') RETURNING 1)
       INSERT INTO audit_events SELECT gen_random_uuid(), now(), 'default', 'system', NULL, NULL, NULL, 'pty.lost', NULL,
         false, NULL, 'error', 'system', 'local', NULL, 'r', NULL, jsonb_build_object('fill', repeat('x', 5000)), 'flood', n,
         '', '', '' FROM generate_series(1, 5000) AS n, head`,
    );
    // Nothing of it is read, and its place is free all the same.
    await until('its end', () =>
      stream({ action: 'auth.replayed' }, who).then(
        () => true,
        () => false,
      ),
    );
    answer.destroy();
  });

  it('is in the trail when it begins and when it ends, whatever it tells', async () => {
    const source = await stream({ level: 'info' }, token({ sub: 'watcher', roles: ['auditor'] }));
    await start();
    await until('an event', () => source.events.length > 0);
    await pause(1500);
    const rows = await gateway.audit({ action: 'audit.read', user_id: 'watcher' });
    expect(rows.map(({ metadata }) => metadata)).toEqual([{ filters: ['level'], stream: true }]);
    source.close();
    const [, ended] = await gateway.audit({ action: 'audit.read', user_id: 'watcher' }, 2);
    expect(ended?.['metadata']).toMatchObject({ stream: true, ended: true });
    expect((ended?.['metadata'] as { events: number }).events).toBeGreaterThanOrEqual(source.events.length);
  });

  it('refuses wrong filters, and those who may not read', async () => {
    await expect(stream({ level: 'loud' })).rejects.toThrow('422');
    await expect(stream({ limit: '5' })).rejects.toThrow('422');
    await expect(stream({}, token())).rejects.toThrow('403');
  });

  it('ends when its gateway stops, and does not hold it up', async () => {
    const source = await stream({}, auditor, other);
    expect(await other.end()).toBe(0);
    await source.ended;
    expect(source.end).toBe('GOING_AWAY');
  });
});
