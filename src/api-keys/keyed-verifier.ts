import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import type { ApiKeyEntity } from './api-key.entity.js';

/** Injection token of the server keys, as {@link verifierKeys} makes them: the first one makes verifiers, all check. */
export const KEY_VERIFIER_SECRETS = Symbol('KEY_VERIFIER_SECRETS');

const KEY_BYTES = 32;
/** Only tells server keys apart: too short to try out guesses of a signing secret with any certainty. */
const FINGERPRINT_BYTES = 4;
/** Compared with where there is no verifier. */
const NO_VERIFIER = Buffer.alloc(KEY_BYTES);

/** One for each signing secret, by HKDF-SHA-256 (RFC 5869): it can verify keys, and sign no token. */
export const verifierKeys = (secrets: readonly string[]): readonly Buffer[] =>
  secrets.map((secret) => Buffer.from(hkdfSync('sha256', secret, '', 'gatehouse api key verifier', KEY_BYTES)));

/** What is kept beside the bcrypt hash. */
export interface Verifier {
  readonly verifier: string;
  readonly verifierKey: string;
}

type Stored = Pick<ApiKeyEntity, 'keyHash' | 'verifier' | 'verifierKey'>;

interface ServerKey {
  readonly key: Buffer;
  readonly fingerprint: string;
}

/**
 * What spares a key that bcrypt has accepted once the next bcrypt, such as after a deploy: HMAC-SHA-256 of its secret and
 * its hash, under a key that is not in the database. Safe for a random secret of 256 bits; with the hash in it, since a
 * verifier must not outlive the hash it stands for.
 */
@Injectable()
export class KeyedVerifier {
  readonly #keys: readonly [ServerKey, ...ServerKey[]];

  /** @throws Error without a server key */
  constructor(@Inject(KEY_VERIFIER_SECRETS) keys: readonly Buffer[]) {
    const [first, ...others] = keys.map((key) => ({ key, fingerprint: fingerprintOf(key) }));
    if (first === undefined) throw new Error('No server key for the verifiers of API keys');
    this.#keys = [first, ...others];
  }

  /**
   * Does the verifier say that this is the secret? Null where there is none, or one of an unknown server key.
   * @param stored null where there is no such key: takes as long
   */
  matches(secret: string, stored: Stored | null): boolean | null {
    const [current] = this.#keys;
    const known = this.#keys.find(({ fingerprint }) => fingerprint === stored?.verifierKey);
    const expected = Buffer.from((known && stored?.verifier) ?? '', 'base64');
    const actual = macOf((known ?? current).key, secret, stored?.keyHash ?? '');
    const usable = known !== undefined && expected.length === KEY_BYTES;
    const same = timingSafeEqual(actual, usable ? expected : NO_VERIFIER);
    return usable ? same : null;
  }

  /** The verifier to write for a secret that was accepted; null when the right one is there already. */
  missing(secret: string, stored: Stored): Verifier | null {
    const [{ key, fingerprint }] = this.#keys;
    const verifier = macOf(key, secret, stored.keyHash).toString('base64');
    return stored.verifierKey === fingerprint && stored.verifier === verifier
      ? null
      : { verifier, verifierKey: fingerprint };
  }
}

const macOf = (key: Buffer, secret: string, keyHash: string): Buffer =>
  createHmac('sha256', key).update(`${keyHash}\n${secret}`).digest();

const fingerprintOf = (key: Buffer): string =>
  createHmac('sha256', key).update('fingerprint').digest().subarray(0, FINGERPRINT_BYTES).toString('hex');
