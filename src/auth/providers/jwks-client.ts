import { parseStrictObject } from '../tokens/strict-json.js';
import type { KeyAddress } from './auth-config.js';
import { isKeyAddress } from './secure-address.js';

/** Two keys of 4096 bits are 2 KiB. */
const MAX_BYTES = 256 * 1024;
const MAX_KEYS = 100;

/** Why keys could not be fetched; a fixed word for the audit trail. */
export type FetchFault =
  | 'unreachable'
  | 'timeout'
  | 'redirected'
  | 'status'
  | 'too_large'
  | 'not_json'
  | 'no_key_list'
  | 'too_many_keys'
  | 'wrong_issuer'
  | 'address_not_allowed';

/** A provider's keys could not be fetched. */
export class FetchError extends Error {
  constructor(
    readonly fault: FetchFault,
    options?: ErrorOptions,
  ) {
    super(fault, options);
    this.name = 'FetchError';
  }
}

/** Keys as they were published (RFC 7517 section 5), nothing of them checked. */
export type PublishedKeys = readonly unknown[];

/** How to fetch. */
export interface FetchLimits {
  /** Of the whole fetch, discovery included. */
  readonly timeoutMs: number;
  /** HTTP on loopback is allowed, which it is outside production. */
  readonly loopbackHttp: boolean;
  /** Ends the fetch early. */
  readonly signal: AbortSignal;
}

/**
 * Fetches a provider's keys. No redirect is followed, and no more is read than a key set can be.
 * @throws FetchError
 */
export async function fetchKeys(address: KeyAddress, limits: FetchLimits): Promise<PublishedKeys> {
  const signal = AbortSignal.any([limits.signal, AbortSignal.timeout(limits.timeoutMs)]);
  const jwks = 'jwks' in address ? address.jwks : await discover(address, signal);
  if (!isKeyAddress(jwks, limits.loopbackHttp)) throw new FetchError('address_not_allowed');
  const { keys } = await fetchObject(jwks, signal);
  if (!Array.isArray(keys)) throw new FetchError('no_key_list');
  if (keys.length > MAX_KEYS) throw new FetchError('too_many_keys');
  return keys as PublishedKeys;
}

/** Who answers for another issuer could slip in keys (OpenID Connect Discovery 1.0 section 4.3). */
async function discover(
  { discovery, issuer }: { discovery: string; issuer: string },
  signal: AbortSignal,
): Promise<string> {
  const found = await fetchObject(discovery, signal);
  if (found['issuer'] !== issuer) throw new FetchError('wrong_issuer');
  if (typeof found['jwks_uri'] !== 'string') throw new FetchError('no_key_list');
  return found['jwks_uri'];
}

async function fetchObject(address: string, signal: AbortSignal): Promise<Record<string, unknown>> {
  const bytes = await fetchBytes(address, signal);
  try {
    return parseStrictObject(bytes);
  } catch (error) {
    throw new FetchError('not_json', { cause: error });
  }
}

async function fetchBytes(address: string, signal: AbortSignal): Promise<Uint8Array> {
  try {
    const response = await fetch(address, { redirect: 'manual', signal, headers: { accept: 'application/json' } });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new FetchError(response.status >= 300 && response.status < 400 ? 'redirected' : 'status');
    }
    return await bounded(response);
  } catch (error) {
    if (error instanceof FetchError) throw error;
    const timedOut = signal.reason instanceof DOMException && signal.reason.name === 'TimeoutError';
    throw new FetchError(timedOut ? 'timeout' : 'unreachable', { cause: error });
  }
}

/** The body, read piece by piece: what it claims to measure is not believed. */
async function bounded(response: Response): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  // Leaving the loop cancels the body.
  for await (const piece of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += piece.length;
    if (bytes > MAX_BYTES) throw new FetchError('too_large');
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
