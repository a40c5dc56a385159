import '../support/nest-first.js';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { type AuditDraft, toDraft } from '../../src/audit/record/audit-event.js';
import type { AuditWriter } from '../../src/audit/record/audit-writer.js';
import { systemClock } from '../../src/kernel/clock.js';
import { newId } from '../../src/kernel/ids.js';
import type { Principal } from '../../src/kernel/principal.js';
import { systemContext } from '../../src/kernel/request-context.js';
import { createDatabase } from '../support/gateway.js';
import { draft, idOf, TrailDatabase } from '../support/trail-database.js';

describe('the chain of a node', () => {
  let trail: TrailDatabase;
  let writer: AuditWriter;

  beforeAll(async () => {
    trail = await TrailDatabase.open(await createDatabase());
  });
  beforeEach(async () => {
    await trail.empty();
    trail.told = [];
    writer = await trail.writer();
  });
  afterEach(() => writer.beforeApplicationShutdown());
  afterAll(() => trail.close());

  it('writes an event once, though the answer to its first try was lost', async () => {
    const store = trail.store();
    const drafts = Array.from({ length: 5 }, () => draft());
    await store.append(drafts.slice(0, 3));
    // What a writer does that was not trail.told: the same again, with what came behind, and no idea where the chain ends.
    const again = await trail.store().append(drafts);
    expect(again.map(({ place: { seq } }) => seq)).toEqual([1, 2, 3, 4, 5]);
    expect(await trail.chain()).toEqual(drafts.map(idOf));
    // The first one's idea of the end is an old one: it finds out.
    const late = draft();
    await store.append([late]);
    expect((await trail.chain()).at(-1)).toBe(idOf(late));
  });

  it('writes what comes again once, wherever it stands among what is new', async () => {
    const store = trail.store();
    const drafts = Array.from({ length: 6 }, () => draft());
    await store.append(drafts.slice(0, 4));
    const again = await store.append([...drafts.slice(2, 4), ...drafts.slice(4)]);
    expect(again.map(({ place: { seq } }) => seq)).toEqual([3, 4, 5, 6]);
    expect(await trail.chain()).toEqual(drafts.map(idOf));
  });

  it('goes on with the chain of before after a restart', async () => {
    await writer.commit(draft());
    await writer.beforeApplicationShutdown();
    writer = await trail.writer();
    await writer.commit(draft());
    expect(await trail.chain()).toHaveLength(2);
  });

  it('makes the month that a row is of', async () => {
    const old = draft({ timestamp: '2031-05-17T00:00:00.000000Z' });
    await writer.commit(old);
    const { rows } = await trail.operator.query(
      'SELECT tableoid::regclass::text AS part FROM audit_events WHERE id = $1',
      [idOf(old)],
    );
    expect(rows).toEqual([{ part: 'audit_events_2031_05' }]);
  });

  it('has a token in the place of what is somebody’s, the same one each time, and its meaning beside it', async () => {
    const principal = {
      tenant: 'default',
      provider: 'idp',
      subject: 'alice',
      kind: 'user',
      method: 'jwt',
    } as Principal;
    const caller = { ...systemContext(), principal, remoteAddress: '192.0.2.7', userAgent: 'curl/8' };
    const owner = { provider: 'idp', subject: 'alice' };
    const fact = {
      action: 'pty.share',
      resource: 'session:1',
      success: true,
      metadata: { owner, level: 'view' },
    } as const;
    const made = [0, 1].map(() => toDraft(newId(), systemClock.microseconds(), caller, fact));
    for (const each of made) await writer.commit(each);
    const { rows } = await trail.operator.query<Record<string, unknown>>(
      'SELECT user_id, remote_addr, user_agent, metadata, canonical FROM audit_events WHERE id = ANY ($1)',
      [made.map(idOf)],
    );
    expect(JSON.stringify(rows)).not.toMatch(/alice|192\.0\.2\.7|curl/);
    expect(new Set(rows.map(({ user_id }) => user_id)).size).toBe(1);
    expect((rows[0]?.['metadata'] as Record<string, unknown>)['owner']).toBe(rows[0]?.['user_id']);
    const shown = await trail.operator.query(
      'SELECT user_id, remote_addr, user_agent, metadata FROM audit_trail WHERE id = $1',
      [idOf(made[0] as AuditDraft)],
    );
    expect(shown.rows).toEqual([
      {
        ...{ user_id: 'alice', remote_addr: '192.0.2.7', user_agent: 'curl/8' },
        metadata: { owner: 'alice', level: 'view' },
      },
    ]);
    expect(trail.events()[0]).toMatchObject({ user_id: 'alice', metadata: { owner: 'alice' } });
  });
});
