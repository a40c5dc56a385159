import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { gatehouse } from '../support/command-line.js';
import { TestGateway, token, until } from '../support/gateway.js';
import { whileLocked, waitingFor } from '../support/locks.js';
import { type Answer, codeOf, rest } from '../support/rest.js';

describe('verifying the audit trail of a gateway', () => {
  let gateway: TestGateway;
  const auditor = token({ sub: 'ann', roles: ['auditor'] });

  beforeAll(async () => {
    gateway = await TestGateway.start({
      NODE_NAME: 'gate-1',
      AUDIT_CHECKPOINT_FILE: 'checkpoints.ndjson',
      PLATFORM_ADMINS: 'default/gatehouse/ann',
    });
  });
  afterAll(() => gateway.remove());

  const verify = (body: unknown = {}, credential = auditor): Promise<Answer> =>
    rest(gateway, credential, 'POST', '/api/v1/audit/verify', body);
  const command = (...args: string[]) =>
    gatehouse(['audit', 'verify', ...args], { env: { GATEHOUSE_URL: gateway.url, GATEHOUSE_TOKEN: auditor } });

  it('says that everything is as it was written, and puts on record who asked', async () => {
    const { status, body } = await verify();
    expect([status, body]).toMatchObject([
      200,
      { ok: true, problem: null, from: null, to: null, counts: { nodes: 1, unchained: 0, pruned: 0 } },
    ]);
    const [row] = await gateway.audit({ action: 'audit.verified', success: true });
    expect(row).toMatchObject({ user_id: 'ann', resource: 'audit', reason: null, metadata: { nodes: 1 } });
  });

  it('counts the checkpoints of before a restart, of the database and of the file', async () => {
    await gateway.end();
    await gateway.launch();
    const lines = readFileSync(join(gateway.dataDir, '..', 'checkpoints.ndjson'), 'utf8')
      .trim()
      .split('\n');
    expect((await verify()).body).toMatchObject({
      ok: true,
      counts: { checkpoints: lines.length, checkpoints_elsewhere: lines.length },
    });
  });

  it('tells others whether it is whole, and the number of their own tenant’s events', async () => {
    await rest(gateway, token({ sub: 'cy', tenant: 'other', roles: ['admin'] }), 'POST', '/api/v1/auth/tokens', {
      ttl_seconds: 60,
    });
    const before = (await gateway.audit({ tenant: 'other' })).length;
    const foreign = token({ sub: 'ann', tenant: 'other', roles: ['admin'] });
    const { body } = await verify({}, foreign);
    expect(body).toEqual({ ok: true, problem: null, from: null, to: null, counts: { events: expect.any(Number) } });
    const { events } = body['counts'] as { events: number };
    expect(events).toBeGreaterThanOrEqual(before);
    expect(events).toBeLessThanOrEqual((await gateway.audit({ tenant: 'other' })).length);
    expect((await verify()).body['counts']).toMatchObject({ nodes: 1 });
    const [row] = await gateway.audit({ action: 'audit.verified', tenant: 'other' });
    expect(row?.['metadata']).toEqual({ from: null, to: null, events });
  });

  it('takes a period, and nothing that is none', async () => {
    const from = '2026-01-01T00:00:00+01:00';
    expect((await verify({ from, to: '2100-01-01T00:00:00Z' })).body).toMatchObject({ ok: true, from });
    for (const [body, field] of [
      [{ from: 'yesterday' }, 'from'],
      [{ to: 5 }, 'to'],
      [{ from, to: from }, 'to'],
      [{ since: from }, '(request)'],
    ] as const) {
      const answer = await verify(body);
      expect([answer.status, codeOf(answer)]).toEqual([422, 'INVALID_ARGUMENT']);
      expect(answer.text).toContain(field);
    }
  });

  it('takes the permission', async () => {
    expect((await verify({}, token())).status).toBe(403);
    expect((await rest(gateway, null, 'POST', '/api/v1/audit/verify', {})).status).toBe(401);
  });

  it('verifies once at a time', async () => {
    let first: Promise<Answer> | undefined;
    await whileLocked(gateway, 'audit_tombstones', async () => {
      first = verify();
      await until('the first to be under way', async () => (await waitingFor(gateway, 'audit_tombstones')) > 0);
      const second = await verify();
      expect([second.status, codeOf(second)]).toEqual([409, 'VERIFICATION_RUNNING']);
    });
    expect((await first)?.body).toMatchObject({ ok: true });
    expect((await verify()).body).toMatchObject({ ok: true });
  });

  it('from the command line', async () => {
    const { status, stdout } = await command();
    expect([status, stdout]).toEqual([
      0,
      expect.stringMatching(/^The audit trail is as it was written\.\n\nevents +\d+/),
    ]);
    expect(await command('--from', 'today')).toMatchObject({ status: 2, stderr: expect.stringContaining('--from') });
    const refused = await gatehouse(['audit', 'verify'], {
      env: { GATEHOUSE_URL: gateway.url, GATEHOUSE_TOKEN: token() },
    });
    expect([refused.status, refused.stdout]).toEqual([2, '']);
  });

  it('names what was changed, loudly, and puts that on record', async () => {
    await gateway.query(`ALTER TABLE audit_events DISABLE TRIGGER USER`);
    const [part] = await gateway.query('SELECT tableoid::regclass::text AS name FROM audit_events LIMIT 1');
    await gateway.query(`ALTER TABLE ${String(part?.['name'])} DISABLE TRIGGER USER`);
    const [edited] = await gateway.query(`UPDATE audit_events SET success = NOT success WHERE seq = 2 RETURNING id`);
    const problem = { kind: 'altered', node: 'gate-1', seq: 2, id: edited?.['id'] };
    expect(await verify()).toMatchObject({ status: 200, body: { ok: false, problem } });
    expect(await gateway.audit({ action: 'audit.verified', success: false })).toMatchObject([
      { reason: 'altered', level: 'warn', metadata: { node: 'gate-1', seq: 2, id: edited?.['id'] } },
    ]);
    expect(gateway.log.filter(({ auditProblem }) => auditProblem !== undefined)).toMatchObject([
      { auditProblem: problem, msg: expect.stringMatching(/NOT AS IT WAS WRITTEN/) },
    ]);
    const own = await verify({}, token({ sub: 'bea', roles: ['auditor'] }));
    expect(own.body).toEqual({
      ...{ ok: false, from: null, to: null, counts: { events: expect.any(Number) } },
      problem: { ...problem, detail: expect.any(String) },
    });
    const foreign = await verify({}, token({ sub: 'cy', tenant: 'other', roles: ['auditor'] }));
    expect(foreign.body).toEqual({
      ...{ ok: false, from: null, to: null, counts: { events: 0 } },
      problem: { kind: 'altered', node: 'gate-1', seq: 2 },
    });
    expect(await gateway.audit({ action: 'audit.verified', tenant: 'other', success: false })).toMatchObject([
      { reason: 'altered', metadata: { events: 0, node: 'gate-1', seq: 2, id: null } },
    ]);
    // Nor by giving it to one's own tenant.
    await gateway.query(`UPDATE audit_events SET tenant = 'other' WHERE seq = 2`);
    const given = await verify({}, token({ sub: 'cy', tenant: 'other', roles: ['auditor'] }));
    expect(given.body['problem']).toEqual({ kind: 'altered', node: 'gate-1', seq: 2 });
    await gateway.query(`UPDATE audit_events SET tenant = 'default' WHERE seq = 2`);
    const { status, stdout } = await command();
    expect([status, stdout]).toEqual([1, expect.stringMatching(/kind +altered\nnode +gate-1\nseq +2\n/)]);
    const json = await command('--json');
    expect([json.status, JSON.parse(json.stdout)]).toMatchObject([1, { ok: false, problem }]);
  });
});
