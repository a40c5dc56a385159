/** What rooms tell of themselves in figures. The metrics room shows them; every other room only knows this page. */
import type { Counter, Labels } from './counter.js';

/** What a metric is called, without the prefix, and what it means, in a sentence. */
export interface MetricName {
  readonly name: string;
  readonly help: string;
}

/** The same with the labels that its readings have. */
export interface ReadMetric extends MetricName {
  readonly labels?: readonly string[];
}

/** A figure as it is now. */
export interface Reading {
  readonly labels?: Readonly<Record<string, string>>;
  readonly value: number;
}

/** How long things took. */
export interface Durations<L extends string> {
  observe(labels: Labels<L>, seconds: number): void;
}

/**
 * Figures of this process. No label has a user's id, a key or a path as its value. An abstract class, so that it is its
 * own injection token.
 */
export abstract class Metrics {
  /** Shows a counter that the caller counts with. */
  abstract count<L extends string>(metric: MetricName, counter: Counter<L>): void;

  /** Makes a histogram; of combinations of label values there are no more than a counter has. */
  abstract durations<L extends string>(metric: MetricName, labels: readonly L[]): Durations<L>;

  /** Shows what is read when somebody asks: nothing when it cannot be read, which fails no scrape. */
  abstract read(
    type: 'counter' | 'gauge',
    metric: ReadMetric,
    read: () => readonly Reading[] | Promise<readonly Reading[]>,
  ): void;
}
