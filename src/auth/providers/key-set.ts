import type { Clock } from '../../kernel/clock.js';
import type { DomainError } from '../../kernel/errors.js';
import { refusal } from '../tokens/refusal.js';
import type { ProviderAlgorithm } from '../tokens/signature.js';
import { FetchError, type FetchFault, type PublishedKeys } from './jwks-client.js';
import { usableKeys, type VerificationKey } from './usable-keys.js';

/** A flood of unknown key ids makes one fetch in this time (contract: identity). */
const UNKNOWN_KEY_MS = 30_000;
const MAX_BACK_OFF_SECONDS = 60;
/** Calls that wait for one fetch; more are told to come back. */
const MAX_WAITING = 1000;

/** How long keys serve; the fields of auth.yaml, seconds. */
export interface KeyTimes {
  readonly cache_ttl_seconds: number;
  readonly refresh_interval_seconds: number;
  readonly max_stale_seconds: number;
}

/** What a key set tells of itself. */
export interface KeySetListener {
  /** Keys were fetched, and are others than before. */
  changed(keys: number): void;
  /** They could not be fetched; told for every attempt. @param failures since they last could */
  failed(fault: FetchFault, failures: number): void;
  /** Keys past their time go on being used, since the provider is away; told once per outage. */
  stale(ageSeconds: number): void;
}

/** What a key set is made of. */
export interface KeySetParts {
  readonly algorithms: readonly ProviderAlgorithm[];
  readonly times: () => KeyTimes;
  /** @throws FetchError; ends within the configured timeout, and when the signal is aborted */
  readonly fetch: (signal: AbortSignal) => Promise<PublishedKeys>;
  readonly clock: Pick<Clock, 'now'>;
  readonly listener: KeySetListener;
}

/**
 * The keys of one provider: fetched once for all callers, refreshed in the background, and used on for a stated time
 * while the provider is away.
 */
export class KeySet {
  #keys: readonly VerificationKey[] | null = null;
  #fetchedAt = 0;
  /** When to fetch next by itself. After a failure nothing is fetched before. */
  #due = 0;
  #failures = 0;
  #unknownKeyAt = -Infinity;
  #staleTold = false;
  #underWay: Promise<void> | null = null;
  #waiting = 0;
  readonly #stopped = new AbortController();

  constructor(private readonly parts: KeySetParts) {}

  /** Called about once a second: fetches when it is time. */
  tick(): void {
    if (this.parts.clock.now() >= this.#due) void this.#fetchOnce();
  }

  /** Ends a fetch under way; nothing is fetched afterwards. */
  stop(): void {
    this.#stopped.abort();
  }

  /**
   * The key that a token names, fetched when it has to be.
   * @param kid null when the token names none: then there must be exactly one key that fits
   * @throws DomainError JWT_INVALID when there is no such key, JWKS_UNAVAILABLE when that cannot be known
   */
  async find(algorithm: ProviderAlgorithm, kid: string | null): Promise<VerificationKey> {
    const justFetched = await this.#provide();
    if (!justFetched && !this.#isKnown(kid)) await this.#lookAgain();
    const named = this.#current().filter((each) => kid === null || each.kid === kid);
    if (named.length === 0) throw refusal('JWT_INVALID', 'key_unknown');
    const [key, another] = named.filter(({ algorithms }) => algorithms.includes(algorithm));
    if (key === undefined) throw refusal('JWT_INVALID', 'key_does_not_fit');
    if (another !== undefined) throw refusal('JWT_INVALID', kid === null ? 'kid_missing' : 'kid_ambiguous');
    this.#tellStale();
    return key;
  }

  /** Why a key that was found before is not good any more; null when it is. */
  refusalOf({ fingerprint }: Pick<VerificationKey, 'fingerprint'>): DomainError | null {
    if (this.#keys === null || this.#ageSeconds() > this.parts.times().max_stale_seconds) {
      return refusal('JWKS_UNAVAILABLE', 'keys_too_old');
    }
    return this.#keys.some((key) => key.fingerprint === fingerprint) ? null : refusal('JWT_INVALID', 'key_withdrawn');
  }

  /** Keys that may be used now. @throws DomainError JWKS_UNAVAILABLE */
  #current(): readonly VerificationKey[] {
    if (this.#keys === null) throw refusal('JWKS_UNAVAILABLE', 'no_keys');
    if (this.#ageSeconds() > this.parts.times().max_stale_seconds) throw refusal('JWKS_UNAVAILABLE', 'keys_too_old');
    return this.#keys;
  }

  /**
   * Waits for keys where there are none, or only such as are past their time and nobody has tried to replace yet. A
   * provider that is known to be away holds up nobody who can be served without it.
   * @returns whether it waited for a fetch
   */
  async #provide(): Promise<boolean> {
    const { cache_ttl_seconds: ttl, max_stale_seconds: maxStale } = this.parts.times();
    const age = this.#ageSeconds();
    const needed = this.#keys === null || age > maxStale || (age > ttl && this.#failures === 0);
    if (!needed || (this.#underWay === null && this.#backsOff())) return false;
    await this.#await();
    return true;
  }

  #isKnown(kid: string | null): boolean {
    const keys = this.#keys ?? [];
    return kid === null ? keys.length > 0 : keys.some((key) => key.kid === kid);
  }

  /** A key id that is not known may be new: one fetch for everybody, and not again for a while. */
  async #lookAgain(): Promise<void> {
    const now = this.parts.clock.now();
    if (this.#underWay === null) {
      if (this.#backsOff() || now - this.#unknownKeyAt < UNKNOWN_KEY_MS) return;
      this.#unknownKeyAt = now;
    }
    await this.#await();
  }

  async #await(): Promise<void> {
    if (this.#waiting >= MAX_WAITING) throw refusal('JWKS_UNAVAILABLE', 'too_many_waiting');
    this.#waiting += 1;
    try {
      await this.#fetchOnce();
    } finally {
      this.#waiting -= 1;
    }
  }

  /** The fetch under way, or a new one; never rejects. */
  #fetchOnce(): Promise<void> {
    this.#underWay ??= this.#fetch().finally(() => {
      this.#underWay = null;
    });
    return this.#underWay;
  }

  async #fetch(): Promise<void> {
    const { signal } = this.#stopped;
    const isStopped = (): boolean => signal.aborted;
    if (isStopped()) return;
    try {
      const published = await this.parts.fetch(signal);
      this.#succeed(usableKeys(published, this.parts.algorithms));
    } catch (error) {
      if (!isStopped()) this.#fail(error instanceof FetchError ? error.fault : 'unreachable');
    }
  }

  #succeed(keys: readonly VerificationKey[]): void {
    const changed = this.#keys === null || nameOf(this.#keys) !== nameOf(keys);
    const { cache_ttl_seconds: ttl, refresh_interval_seconds: interval } = this.parts.times();
    this.#keys = keys;
    this.#fetchedAt = this.parts.clock.now();
    this.#due = this.#fetchedAt + Math.min(ttl, interval) * 1000;
    this.#failures = 0;
    this.#staleTold = false;
    if (changed) this.parts.listener.changed(keys.length);
  }

  #fail(fault: FetchFault): void {
    const seconds = Math.min(2 ** this.#failures, MAX_BACK_OFF_SECONDS);
    this.#failures += 1;
    this.#due = this.parts.clock.now() + seconds * 1000;
    this.parts.listener.failed(fault, this.#failures);
  }

  #backsOff(): boolean {
    return this.#failures > 0 && this.parts.clock.now() < this.#due;
  }

  #ageSeconds(): number {
    return (this.parts.clock.now() - this.#fetchedAt) / 1000;
  }

  #tellStale(): void {
    const age = this.#ageSeconds();
    if (this.#staleTold || age <= this.parts.times().cache_ttl_seconds) return;
    this.#staleTold = true;
    this.parts.listener.stale(Math.floor(age));
  }
}

/** The same for the same keys, in whatever order they are published. */
const nameOf = (keys: readonly VerificationKey[]): string =>
  keys
    .map(({ fingerprint }) => fingerprint)
    .sort()
    .join(' ');
