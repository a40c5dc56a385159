import { Injectable } from '@nestjs/common';
import { collectDefaultMetrics, Counter as PromCounter, Gauge, Histogram, Registry } from 'prom-client';
import { Counter, type Labels } from '../kernel/counter.js';
import { type Durations, type MetricName, Metrics, type Reading, type ReadMetric } from '../kernel/metrics.js';
import { readInTime } from './read-in-time.js';

const PREFIX = 'gatehouse_';
/** From a fast call to one that is as long as a stop waits for. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** The figures of this process in Prometheus' text format. */
@Injectable()
export class PrometheusMetrics extends Metrics {
  readonly #registry = new Registry();

  constructor() {
    super();
    // The process itself, its memory, and how late the event loop is.
    collectDefaultMetrics({ register: this.#registry, prefix: PREFIX });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Everything that is counted, as it is now. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  count<L extends string>({ name, help }: MetricName, counter: Counter<L>): void {
    const shown = new PromCounter({
      ...this.#named(name, help),
      labelNames: counter.labels,
      collect: () => {
        shown.reset();
        // Without labels it is there before anything was counted; with them, once there is something to tell.
        for (const { labels, value } of counter.cells) shown.inc({ ...labels }, value);
      },
    });
  }

  durations<L extends string>({ name, help }: MetricName, labels: readonly L[]): Durations<L> {
    const histogram = new Histogram({ ...this.#named(name, help), labelNames: labels, buckets: SECONDS });
    // Which combinations there are is bounded here: the histogram itself takes any.
    const known = new Counter(labels);
    return {
      observe: (given: Labels<L>, seconds: number): void => {
        histogram.observe({ ...known.at(given).labels }, seconds);
      },
    };
  }

  read(
    type: 'counter' | 'gauge',
    { name, help, labels: labelNames = [] }: ReadMetric,
    read: () => readonly Reading[] | Promise<readonly Reading[]>,
  ): void {
    const inTime = readInTime(read);
    const collect = async (): Promise<void> => {
      const readings = await inTime();
      shown.reset();
      // Without labels a reset leaves a nought, which nobody read.
      if (readings.length === 0 && labelNames.length === 0) shown.remove();
      for (const { labels = {}, value } of readings) shown.inc({ ...labels }, value);
    };
    const options = { ...this.#named(name, help), labelNames, collect };
    const shown = type === 'counter' ? new PromCounter(options) : new Gauge(options);
  }

  #named(name: string, help: string): { name: string; help: string; registers: Registry[] } {
    return { name: `${PREFIX}${name}`, help, registers: [this.#registry] };
  }
}
