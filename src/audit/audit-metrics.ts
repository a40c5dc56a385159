import { Injectable } from '@nestjs/common';
import { Counter } from '../kernel/counter.js';
import { Metrics } from '../kernel/metrics.js';
import { AuditWriter } from './record/audit-writer.js';
import { Spool } from './record/spool.js';

/** What the trail tells of itself in figures. */
@Injectable()
export class AuditMetrics {
  constructor(metrics: Metrics, writer: AuditWriter, spool: Spool) {
    const events = new Counter(['action']);
    writer.onEvent(({ event: { action } }) => {
      events.add({ action });
    });
    metrics.count({ name: 'audit_events_total', help: 'Events that are safe, in the table or in the spool.' }, events);
    const commits = metrics.durations(
      { name: 'audit_commit_duration_seconds', help: 'How long PostgreSQL took for a batch of events.' },
      [],
    );
    writer.onCommit((seconds) => {
      commits.observe({}, seconds);
    });
    metrics.read('gauge', { name: 'audit_spool_bytes', help: 'Bytes in the spool that wait for PostgreSQL.' }, () => [
      { value: spool.bytes },
    ]);
    const { figures } = writer;
    metrics.read(
      'counter',
      {
        name: 'audit_write_failures_total',
        help: 'Times that events could not be written, to PostgreSQL or the spool.',
      },
      () => [{ value: figures.failures }],
    );
    metrics.read(
      'counter',
      {
        name: 'audit_events_dropped_total',
        help: 'Events that are in the log alone: no room for them, or refused as they are.',
      },
      () => [{ value: figures.dropped + figures.refused }],
    );
  }
}
