/** Combinations of label values of one metric; what comes beyond counts as `other`. */
export const MAX_SERIES = 1000;
const OTHER = 'other';

/** A value of each label. */
export type Labels<L extends string> = Readonly<Record<L, string>>;

/** One combination of label values. Whoever counts often keeps it, and counting is an addition. */
export interface Cell<L extends string> {
  readonly labels: Labels<L>;
  value: number;
}

/** Counts, for each combination of label values, and never for more of them than {@link MAX_SERIES}. */
export class Counter<L extends string = never> {
  readonly #cells = new Map<string, Cell<L>>();

  constructor(readonly labels: readonly L[] = []) {}

  /** Where these are counted; one and the same for `other` when there are too many. */
  at(labels: Labels<L>): Cell<L> {
    const key = JSON.stringify(this.labels.map((label) => labels[label]));
    return this.#cells.get(key) ?? this.#made(key, labels);
  }

  add(labels: Labels<L>, by = 1): void {
    this.at(labels).value += by;
  }

  get cells(): Iterable<Cell<L>> {
    return this.#cells.values();
  }

  #made(key: string, labels: Labels<L>): Cell<L> {
    const full = this.#cells.size >= MAX_SERIES;
    const other = Object.fromEntries(this.labels.map((label) => [label, OTHER])) as Record<L, string>;
    if (full && key !== JSON.stringify(this.labels.map(() => OTHER))) return this.at(other);
    const cell = { labels, value: 0 };
    this.#cells.set(key, cell);
    return cell;
  }
}
