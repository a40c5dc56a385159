import { Readable } from 'node:stream';
import { DomainError } from '../../kernel/errors.js';

/** How long a reader may take for one piece. One that does not read must not keep others from exporting. */
export const STALLED_MS = 60_000;
/** What is made before it is read. */
const AHEAD_BYTES = 64 * 1024;

/**
 * Text that is made piece by piece, each when the one before was taken.
 * @param stalledMs how long a piece may lie there; after it the stream fails with LAGGING
 * @returns text, to be read to its end or destroyed
 */
export function exportStream(pieces: AsyncIterable<string>, stalledMs = STALLED_MS): Readable {
  let timer: NodeJS.Timeout | undefined;
  const stalled = (): void => {
    readable.destroy(new DomainError('LAGGING', 'The export was not read.'));
  };
  async function* timed(): AsyncGenerator<string> {
    for await (const piece of pieces) {
      timer = setTimeout(stalled, stalledMs).unref();
      yield piece;
      clearTimeout(timer);
    }
  }
  const readable = Readable.from(timed(), { objectMode: false, highWaterMark: AHEAD_BYTES });
  readable.once('close', () => {
    clearTimeout(timer);
  });
  return readable;
}
