import type { Message } from './alert-message.js';

const TIMEOUT_MS = 10_000;
/** Whoever asks for a longer pause is asked again after this one. */
const MAX_RETRY_AFTER_MS = 600_000;

/** How a message was taken: null when it was, else a word for the log, and whether it is worth another attempt. */
export interface Refusal {
  readonly fault: string;
  readonly again: boolean;
  /** The pause that was asked for, milliseconds. */
  readonly afterMs: number;
}

/**
 * Posts a message once. No redirect is followed, and nothing of the answer's body is read.
 * @param signal ends the attempt early
 */
export async function post(address: string, message: Message, signal: AbortSignal): Promise<Refusal | null> {
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  try {
    const response = await fetch(address, {
      method: 'POST',
      redirect: 'manual',
      signal: AbortSignal.any([signal, timeout]),
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(message),
    });
    await response.body?.cancel();
    return refusalOf(response);
  } catch {
    // Of the error nothing is told: it may have the address in it.
    return { fault: timeout.aborted ? 'timeout' : 'unreachable', again: true, afterMs: 0 };
  }
}

function refusalOf({ status, headers }: Response): Refusal | null {
  if (status >= 200 && status < 300) return null;
  const again = status === 429 || status >= 500;
  return { fault: `status ${status}`, again, afterMs: again ? retryAfterMs(headers.get('retry-after')) : 0 };
}

/** RFC 9110 section 10.2.3: seconds, or a date. */
function retryAfterMs(text: string | null): number {
  if (text === null) return 0;
  const ms = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? 0 : Math.min(Math.max(ms, 0), MAX_RETRY_AFTER_MS);
}
