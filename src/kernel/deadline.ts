/** Longest delay a Node timer takes, milliseconds: 24.8 days. A longer one would go off at once. */
const MAX_DELAY_MS = 2 ** 31 - 1;

/**
 * Calls `act` once, when the system clock reaches `at`, however far away that is; at once (but never within this call)
 * when it is past. The timer does not keep the process alive.
 * @returns what cancels it; may be called at any time and more than once
 */
export function callAt(at: Date, act: () => void): () => void {
  let timer: NodeJS.Timeout;
  const arm = (): void => {
    const wait = at.getTime() - Date.now();
    timer = setTimeout(wait > MAX_DELAY_MS ? arm : act, Math.min(Math.max(wait, 0), MAX_DELAY_MS)).unref();
  };
  arm();
  return () => {
    clearTimeout(timer);
  };
}
