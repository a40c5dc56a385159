import { setTimeout } from 'node:timers/promises';

/** Waits for something to become true; generous, because what fails here fails for good. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  limitMs = 40_000,
): Promise<void> {
  for (const begin = Date.now(); !(await condition());) {
    if (Date.now() - begin > limitMs) throw new Error(`waited in vain until ${what}`);
    await setTimeout(5);
  }
}
