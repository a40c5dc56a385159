import { Inject, Injectable } from '@nestjs/common';
import { Counter } from '../kernel/counter.js';
import { type Durations, Metrics } from '../kernel/metrics.js';
import { RUNNER_ID } from '../kernel/tokens.js';
import type { Attachment, AttachmentTotals } from './attachment.js';
import type { SessionState } from './session.entity.js';
import { SessionStore } from './session-store.js';

/** What sessions and attachments tell of themselves in figures. */
@Injectable()
export class TerminalMetrics {
  readonly #open = new Set<Attachment>();
  readonly #ends = new Counter(['end']);
  readonly #starts: Durations<never>;
  /** Without what open attachments carried: they count that themselves. */
  readonly #bytes = { out: 0, in: 0 };

  constructor(
    metrics: Metrics,
    private readonly store: SessionStore,
    @Inject(RUNNER_ID) private readonly runnerId: string,
  ) {
    metrics.read(
      'gauge',
      { name: 'sessions_active', help: 'Sessions of the runner that have not ended.' },
      async () => [{ value: await this.store.countLive(this.runnerId) }],
    );
    metrics.count({ name: 'sessions_total', help: 'Ends of sessions that this gateway recorded.' }, this.#ends);
    const start = { name: 'session_start_duration_seconds', help: 'How long sessions took to start that did.' };
    this.#starts = metrics.durations(start, []);
    const open = { name: 'attachments_active', help: 'Open attachments.', labels: ['mode'] };
    metrics.read('gauge', open, () => this.#modes());
    metrics.read('counter', { name: 'terminal_output_bytes_total', help: 'Bytes of output given to clients.' }, () => [
      { value: this.#total('out') },
    ]);
    metrics.read('counter', { name: 'terminal_input_bytes_total', help: 'Bytes of input taken from clients.' }, () => [
      { value: this.#total('in') },
    ]);
  }

  /** @param began by `performance.now()` */
  started(began: number): void {
    this.#starts.observe({}, (performance.now() - began) / 1000);
  }

  ended(end: SessionState): void {
    this.#ends.add({ end });
  }

  attached(attachment: Attachment): void {
    this.#open.add(attachment);
  }

  detached(attachment: Attachment, { bytes_out, bytes_in }: AttachmentTotals): void {
    this.#open.delete(attachment);
    this.carried('out', bytes_out);
    this.carried('in', bytes_in);
  }

  /** What went by without an attachment. */
  carried(way: 'in' | 'out', bytes: number): void {
    this.#bytes[way] += bytes;
  }

  #modes(): { labels: { mode: string }; value: number }[] {
    const modes = { controller: 0, viewer: 0 };
    for (const { mode } of this.#open) modes[mode] += 1;
    return Object.entries(modes).map(([mode, value]) => ({ labels: { mode }, value }));
  }

  #total(way: 'in' | 'out'): number {
    let bytes = this.#bytes[way];
    for (const { carried } of this.#open) bytes += carried[way];
    return bytes;
  }
}
