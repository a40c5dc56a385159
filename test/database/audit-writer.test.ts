import '../support/nest-first.js';
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { AuditMetrics } from '../../src/audit/audit-metrics.js';
import { AuditRecorder } from '../../src/audit/record/audit-recorder.js';
import { type AuditWriter, MAX_WAITING, RESERVED } from '../../src/audit/record/audit-writer.js';
import { Spool } from '../../src/audit/record/spool.js';
import { systemClock } from '../../src/kernel/clock.js';
import { PrometheusMetrics } from '../../src/metrics/prometheus-metrics.js';
import { InFlight } from '../../src/kernel/in-flight.js';
import { systemContext } from '../../src/kernel/request-context.js';
import { createDatabase, until } from '../support/gateway.js';
import { draft, idOf, TrailDatabase } from '../support/trail-database.js';

/** An event that PostgreSQL refuses: a NUL in a text is SQLSTATE 22021. */
const poison = () => draft({ reason: 'a\0b' });

/** A disk that is soon full needs a mount, which is for root. */
const tmpfs = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0;
if (!tmpfs) console.warn('SKIPPED: the test of a full disk, since nothing can be mounted here (it needs root)');

describe('the audit writer', () => {
  let url: string;
  let trail: TrailDatabase;
  let writer: AuditWriter;

  beforeAll(async () => {
    url = await createDatabase();
  });
  beforeEach(async () => {
    trail = await TrailDatabase.open(url);
    writer = await trail.writer();
  });
  afterEach(async () => {
    await writer.beforeApplicationShutdown();
    await trail.close();
  });

  it('drops the one row that PostgreSQL refuses, tells its id, and writes the others', async () => {
    const metrics = new PrometheusMetrics();
    new AuditMetrics(metrics, writer, await Spool.open(trail.folder, 1 << 20));
    const good = Array.from({ length: 40 }, () => draft());
    const bad = poison();
    for (const each of good.slice(0, 20)) writer.enqueue(each);
    writer.enqueue(bad);
    for (const each of good.slice(20)) writer.enqueue(each);
    await expect(writer.commit(poison())).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    await writer.flush();
    expect(await trail.written(good.map(idOf))).toBe(40);
    expect(trail.told.filter(([, text]) => text.includes('refused')).map(([{ id }]) => id)).toContain(idOf(bad));
    expect(writer.healthy).toBe(true);
    expect(await metrics.text()).toMatch(/^gatehouse_audit_events_dropped_total 2$/m);
  });

  /** Connections made from here on cannot write, as after a failover; those that are open end. */
  const readOnly = async (on: boolean): Promise<void> => {
    await trail.operator.query('SET default_transaction_read_only = off');
    const name = new URL(url).pathname.slice(1);
    await trail.operator.query(
      `ALTER DATABASE ${name} ${on ? 'SET' : 'RESET'} default_transaction_read_only ${on ? '= on' : ''}`,
    );
    await trail.operator.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()',
      [name],
    );
  };

  it.each<[string, () => Promise<unknown>, () => Promise<unknown>]>([
    [
      'the table is missing',
      () => trail.operator.query('ALTER TABLE audit_events RENAME TO away'),
      () => trail.operator.query('ALTER TABLE away RENAME TO audit_events'),
    ],
    ['the database is read-only', () => readOnly(true), () => readOnly(false)],
    [
      'statements take too long',
      async () => {
        await trail.dataSource.query('SET statement_timeout = 300');
        await trail.operator.query('BEGIN');
        await trail.operator.query('LOCK TABLE audit_events');
      },
      () => trail.operator.query('COMMIT'),
    ],
  ])('keeps rows for which nobody waits while %s, and refuses those that wait', async (_what, breakIt, mendIt) => {
    const noted = Array.from({ length: 600 }, () => draft());
    await breakIt();
    try {
      for (const each of noted) writer.enqueue(each);
      // Behind more rows than one batch: it is trail.told all the same.
      await expect(writer.commit(draft())).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
      expect(writer.healthy).toBe(false);
    } finally {
      await mendIt();
    }
    await until('everything is written', async () => (await trail.written(noted.map(idOf))) === 600);
    await until('healthy', () => writer.healthy);
  });

  it('holds no more than its bound, and tells what it could not take', async () => {
    await trail.operator.query('BEGIN');
    await trail.operator.query('LOCK TABLE audit_events');
    const first = draft();
    writer.enqueue(first);
    await until('the first is being written', async () => {
      const { rowCount } = await trail.operator.query('SELECT 1 FROM pg_locks WHERE NOT granted');
      return (rowCount ?? 0) > 0;
    });
    const rest = Array.from({ length: MAX_WAITING - RESERVED }, () => draft());
    for (const each of rest) writer.enqueue(each);
    expect(trail.told).toEqual([]);
    const late = draft();
    writer.enqueue(late);
    expect(trail.told).toMatchObject([
      [{ audit: true, id: idOf(late) }, 'audit event dropped, too many wait to be written'],
    ]);
    // There is room left for those who wait for their commit, and that has an end too.
    const awaited = Array.from({ length: RESERVED }, () => writer.commit(draft()));
    await expect(writer.commit(draft())).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    await trail.operator.query('COMMIT');
    await Promise.all(awaited);
    const ids = [first, ...rest].map(idOf);
    expect(await trail.written(ids)).toBe(rest.length + 1);
  });

  it('at a stop tells the log what it could not write any more, and nobody waits on', async () => {
    await trail.operator.query('BEGIN');
    await trail.operator.query('LOCK TABLE audit_events');
    writer.enqueue(draft());
    await until('the first is being written', async () => {
      const { rowCount } = await trail.operator.query('SELECT 1 FROM pg_locks WHERE NOT granted');
      return (rowCount ?? 0) > 0;
    });
    const late = draft();
    const refused = expect(writer.commit(late)).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    await writer.beforeApplicationShutdown();
    await refused;
    expect(trail.told).toMatchObject([
      [{ audit: true, id: idOf(late) }, expect.stringContaining('the gateway stopped')],
    ]);
    await trail.operator.query('COMMIT');
  });

  it('a success that could not be committed is on record as such, and as not confirmed', async () => {
    const recorder = new AuditRecorder(writer, systemClock, new InFlight());
    await trail.operator.query('ALTER TABLE audit_events RENAME TO away');
    const recorded = recorder.record(systemContext(), { action: 'pty.kill', resource: 'session:1', success: true });
    await expect(recorded).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
    await trail.operator.query('ALTER TABLE away RENAME TO audit_events');
    recorder.onModuleDestroy();
    await until('both in the log', () => trail.events().length === 2);
    const [claim, correction] = trail.events();
    expect(claim).toMatchObject({ action: 'pty.kill', success: true });
    expect(correction).toMatchObject({
      action: 'pty.kill',
      metadata: { corrects: claim?.['id'] },
      success: false,
      reason: 'AUDIT_UNAVAILABLE',
    });
    await until(
      'their rows',
      async () => (await trail.written([String(claim?.['id']), String(correction?.['id'])])) === 2,
    );
  });

  const stop = async (): Promise<void> => {
    await writer.beforeApplicationShutdown();
    trail.told = [];
  };
  describe('while PostgreSQL is away', () => {
    beforeEach(() => trail.empty());

    it('confirms what is safe in the spool where the operator wants that, and puts it into the table in order', async () => {
      await stop();
      writer = await trail.writer('spool');
      await trail.away();
      const drafts = Array.from({ length: 1200 }, () => draft());
      await Promise.all(drafts.map((each) => writer.commit(each)));
      expect([writer.healthy, writer.figures.written, writer.figures.spooled]).toEqual([true, 0, 1200]);
      // It has no place in the chain yet.
      expect(trail.events()[0]).toMatchObject({ id: drafts[0]?.event.id, seq: null, hash: null });
      await trail.back();
      await until('all of it', async () => (await trail.written(drafts.map(idOf))) === 1200);
      await writer.commit(draft());
      expect((await trail.chain()).slice(0, 1200)).toEqual(drafts.map(idOf));
      expect(trail.events()).toHaveLength(1201);
    });

    it('confirms nothing where it is to be closed, and keeps what happened in the spool', async () => {
      await trail.away();
      await expect(writer.commit(draft())).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
      const ended = draft();
      writer.enqueue(ended);
      await until('its line', () => trail.events().length === 2);
      expect(writer.healthy).toBe(false);
      // A gateway that is gone now: the next one puts it into the table.
      await stop();
      const [left = ''] = readdirSync(trail.folder);
      renameSync(join(trail.folder, left), join(trail.folder, 'spool-4194304-77.ndjson'));
      await trail.back();
      writer = await trail.writer();
      await until('its row', async () => (await trail.written([idOf(ended)])) === 1);
      expect(await trail.chain()).toHaveLength(2);
      await until('the spool to be taken away', () => readdirSync(trail.folder).length === 0);
    });

    it('says that it does not know of an event that is told again, and has it once', async () => {
      await trail.away();
      const ended = draft();
      expect(await writer.keep(ended)).toBe(false);
      await trail.back();
      await until('it to write again', () => writer.healthy);
      expect(await writer.keep(ended)).toBe(true);
      expect(await trail.chain()).toEqual([idOf(ended)]);
    });

    it('takes up what a process that is gone had left, without half a line at its end, and tells of a broken one', async () => {
      await stop();
      const drafts = Array.from({ length: 3 }, () => draft());
      const [first, second, third] = drafts.map((each) => JSON.stringify(each));
      const left = join(trail.folder, 'spool-4194304-77.ndjson');
      writeFileSync(left, `${first ?? ''}\n{"event":\n${second ?? ''}\n${third?.slice(0, 100) ?? ''}`);
      writer = await trail.writer();
      await writer.commit(draft());
      const ids = await trail.chain();
      expect(ids.slice(0, 2)).toEqual(drafts.slice(0, 2).map(idOf));
      await until('the gap', () => trail.events().some(({ action }) => action === 'audit.gap'));
      await until('it to be in the table', () => readdirSync(trail.folder).length === 0);
      expect(ids).not.toContain(drafts[2]?.event.id);
    });

    it('is left to one of several that start at once, and goes on when somebody took it away', async () => {
      await stop();
      const left = draft();
      writeFileSync(join(trail.folder, 'spool-4194304-77.ndjson'), `${JSON.stringify(left)}\n`);
      await trail.away();
      const [first, second] = [await Spool.open(trail.folder, 1 << 20), await Spool.open(trail.folder, 1 << 20)];
      expect([first.bytes > 0, second.bytes]).toEqual([true, 0]);
      const [claimed = ''] = readdirSync(trail.folder);
      renameSync(join(trail.folder, claimed), join(trail.folder, 'spool-4194304-78.ndjson'));
      expect(await first.next()).toBe(null);
      await trail.back();
      writer = await trail.writer();
      await until('its row', async () => (await trail.written([idOf(left)])) === 1);
    });

    it('lets nothing be begun while PostgreSQL is away and the spool takes nothing either', async () => {
      await stop();
      writer = await trail.writer('spool', 1);
      await trail.away();
      await expect(writer.commit(draft())).rejects.toMatchObject({ code: 'AUDIT_UNAVAILABLE' });
      const failures = writer.figures.failures;
      // It is tried again, more than once, and nobody is let in meanwhile.
      const seen = new Set<boolean>();
      await until('further tries', () => {
        seen.add(writer.healthy);
        return writer.figures.failures > failures + 4;
      });
      expect([...seen]).toEqual([false]);
      await trail.back();
      await until('it to be over', () => writer.healthy);
    });

    it('is full at its bound: nothing is confirmed any more, memory holds the rest, and nothing of it is lost', async () => {
      await stop();
      writer = await trail.writer('spool', 65_536);
      await trail.away();
      const outcomes = await Promise.allSettled(Array.from({ length: 300 }, () => writer.commit(draft())));
      const more = Array.from({ length: 400 }, () => draft());
      for (const each of more) writer.enqueue(each);
      expect(outcomes.some(({ status }) => status === 'rejected')).toBe(true);
      expect([writer.healthy, writer.spoolUsable]).toEqual([false, false]);
      await trail.back();
      await until('all of it', async () => (await trail.written(more.map(idOf))) === 400);
      await until('healthy', () => writer.healthy);
      const ids = await trail.chain();
      expect(ids.filter((id) => more.some((each) => idOf(each) === id))).toEqual(more.map(idOf));
    });

    (tmpfs ? it : it.skip)('loses nothing and spoils nothing when the disk of the spool is full', async () => {
      await stop();
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', trail.folder]);
      try {
        writer = await trail.writer('spool');
        await trail.away();
        const outcomes = await Promise.allSettled(Array.from({ length: 100 }, () => writer.commit(draft())));
        const more = Array.from({ length: 200 }, () => draft());
        for (const each of more) writer.enqueue(each);
        await until('the disk to be full', () => !writer.healthy);
        expect(writer.figures.failures).toBeGreaterThan(0);
        await trail.back();
        await until('all of it', async () => (await trail.written(more.map(idOf))) === 200);
        await until('healthy', () => writer.healthy && writer.spoolUsable);
        const confirmed = outcomes.filter(({ status }) => status === 'fulfilled').length;
        expect((await trail.chain()).length).toBeGreaterThanOrEqual(confirmed + 200);
        expect(trail.events().filter(({ action }) => action === 'audit.gap')).toEqual([]);
      } finally {
        execFileSync('umount', ['-l', trail.folder]);
      }
    });

    it('says how many events it dropped once there was no room in memory either', async () => {
      await stop();
      await trail.away();
      writer = await trail.writer('closed', 1);
      for (let index = 0; index < MAX_WAITING + 10; index += 1) writer.enqueue(draft());
      expect(writer.figures.dropped).toBe(RESERVED + 10);
      await trail.back();
      await until(
        'the gap',
        () => trail.events().some(({ action, seq }) => action === 'audit.gap' && seq !== null),
        30_000,
      );
      expect(trail.events().find(({ action }) => action === 'audit.gap')).toMatchObject({
        metadata: { events: RESERVED + 10 },
        level: 'error',
      });
    });
  });
});
