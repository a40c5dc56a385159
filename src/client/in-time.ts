import type { Timing } from './timing.js';

/**
 * What `work` resolves to, if it does so within so many milliseconds.
 * @param over aborted when nobody waits for it any more: then no timer is left
 * @throws Error when the time is up or nobody waits, and what `work` rejects with
 */
export function inTime<T>(work: Promise<T>, milliseconds: number, timing: Timing, over: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => {
      settle();
      reject(new Error('It took too long.'));
    };
    const cancel = timing.after(milliseconds, giveUp);
    const settle = (): void => {
      cancel();
      over.removeEventListener('abort', giveUp);
    };
    over.addEventListener('abort', giveUp);
    work.then(resolve, reject).finally(settle);
  });
}
