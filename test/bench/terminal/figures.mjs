/** Figures of many rounds, and how they are written. */

export const percentile = (values, share) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
};

export const median = (values) => percentile(values, 0.5);

export const geometricMean = (values) =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

/** A number with three significant digits, or a dash. */
export function short(value) {
  if (value === undefined || Number.isNaN(value)) return '–';
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

/**
 * Collects the figures of one measure: by peer and name, one for each round.
 */
export class Figures {
  #rounds = new Map();

  add(peer, name, value) {
    const names = this.#rounds.get(peer) ?? new Map();
    this.#rounds.set(peer, names);
    names.set(name, [...(names.get(name) ?? []), value]);
  }

  /** The median over the rounds; undefined when it was not measured. */
  of(peer, name) {
    const values = this.#rounds.get(peer)?.get(name);
    return values === undefined ? undefined : median(values);
  }

  /** Prints one line for each name, with Gatehouse's ratio to every other peer. */
  print(title, unit = '') {
    console.log(`\n${title}${unit === '' ? '' : `, ${unit}`}`);
    const peers = [...this.#rounds.keys()];
    const names = new Set(peers.flatMap((peer) => [...this.#rounds.get(peer).keys()]));
    for (const name of names) {
      const ours = this.of('gatehouse', name);
      const cells = peers.map((peer) => {
        const value = this.of(peer, name);
        const ratio = peer === 'gatehouse' || !value || !ours ? '' : ` (× ${short(ours / value)})`;
        return `${peer} ${short(value)}${ratio}`;
      });
      console.log(`  ${name.padEnd(30)} ${cells.join('   ')}`);
    }
  }
}
