import type { Reading } from '../kernel/metrics.js';

/** How long a scrape waits for one figure: Prometheus waits ten seconds for all of them. */
const READ_MS = 2000;

type Read = () => readonly Reading[] | Promise<readonly Reading[]>;

/**
 * Reads without failing or being late: nothing is told then. Of what takes long only one reading is under way, however many
 * ask for it.
 */
export function readInTime(read: Read): () => Promise<readonly Reading[]> {
  let underWay: Promise<readonly Reading[]> | null = null;
  return async () => {
    underWay ??= Promise.resolve()
      .then(read)
      .catch((): readonly Reading[] => [])
      .finally(() => (underWay = null));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<readonly Reading[]>((resolve) => {
      timer = setTimeout(resolve, READ_MS, []);
    });
    return Promise.race([underWay, late]).finally(() => {
      clearTimeout(timer);
    });
  };
}
