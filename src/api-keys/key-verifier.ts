import { createHash } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { type Restraint, UNRESTRAINED } from '../kernel/authenticator.js';
import { Counter } from '../kernel/counter.js';
import { DomainError } from '../kernel/errors.js';
import type { ParsedKey } from '../kernel/api-key-text.js';
import { KeyRecord, KeyRecords } from './key-records.js';
import { KeyUsage } from './key-usage.js';
import { KeyedVerifier } from './keyed-verifier.js';
import { SecretHasher } from './secret-hasher.js';

/** Texts that are checked at once, most of them waiting for the database; what waits for bcrypt has its own bound. */
export const MAX_CHECKS = 2048;

export interface KeyVerdict {
  /** Null when there is no key of this id. */
  readonly record: KeyRecord | null;
  /** Is it the secret of that key? */
  readonly matches: boolean;
}

/** What a restraint threw: an answer to whom it restrains, and to nobody else. */
class Restrained extends Error {
  constructor(readonly refusal: unknown) {
    super('restrained', { cause: refusal });
  }
}

/** @throws Restrained what `ask` throws */
function restrained(ask: () => void): void {
  try {
    ask();
  } catch (refusal) {
    throw new Restrained(refusal);
  }
}

/**
 * Is this the text of a key? Told from memory for a text that was accepted within the last minute; else by the keyed
 * verifier, and by bcrypt where that says nothing. Where it says no, the answer is no, but only after the bcrypt of an
 * unknown id: a wrong secret then costs the same, whatever BCRYPT_COST was when the key was made.
 */
@Injectable()
export class KeyVerifier {
  /** By digest of the text, so that a burst of one key costs one check. */
  readonly #checks = new Map<string, Promise<KeyVerdict>>();
  /** What was said, and by what: `memory`, `keyed` or `bcrypt`. */
  readonly verdicts = new Counter(['result', 'path']);

  constructor(
    private readonly records: KeyRecords,
    private readonly hasher: SecretHasher,
    private readonly keyed: KeyedVerifier,
    private readonly usage: KeyUsage,
  ) {}

  /**
   * Says nothing of whether the key is still good.
   * @param restraint asked before the database is, and before bcrypt
   * @throws DomainError AUTH_BUSY; what the restraint throws; the driver's error when the key has to be looked up and
   *   cannot be
   */
  async verify(text: string, { id, secret }: ParsedKey, restraint: Restraint = UNRESTRAINED): Promise<KeyVerdict> {
    const digest = createHash('sha256').update(text).digest();
    const known = this.records.peek(id);
    if (known?.accepts(digest) === true) {
      this.verdicts.add({ result: 'success', path: 'memory' });
      return { record: known, matches: true };
    }
    return this.#shared(digest.toString('base64'), () => this.#check(digest, id, secret, restraint));
  }

  /** Joins the check of this text that is under way. What somebody else was refused for where they are is no answer. */
  async #shared(name: string, work: () => Promise<KeyVerdict>): Promise<KeyVerdict> {
    for (;;) {
      const underWay = this.#checks.get(name);
      try {
        return await (underWay ?? this.#begin(name, work));
      } catch (thrown) {
        if (!(thrown instanceof Restrained)) throw thrown;
        if (underWay === undefined) throw thrown.refusal;
      }
    }
  }

  #begin(name: string, work: () => Promise<KeyVerdict>): Promise<KeyVerdict> {
    if (this.#checks.size >= MAX_CHECKS) {
      throw new DomainError('AUTH_BUSY', 'Too many credentials are being checked.', { details: { retry_after: 1 } });
    }
    const check = work().finally(() => this.#checks.delete(name));
    this.#checks.set(name, check);
    return check;
  }

  async #check(digest: Buffer, id: string, secret: string, restraint: Restraint): Promise<KeyVerdict> {
    restrained(() => {
      restraint.beforeLook(false);
    });
    const record = await this.records.look(id);
    const row = record?.row ?? null;
    const told = this.keyed.matches(secret, row);
    if (told !== true)
      restrained(() => {
        restraint.beforeHash();
      });
    const matches = told === true || (await this.hasher.matches(secret, told === null && row ? row.keyHash : null));
    const path = told === null ? 'bcrypt' : 'keyed';
    this.verdicts.add({ result: record !== null && matches ? 'success' : 'failure', path });
    if (record === null || !matches) return { record, matches: false };
    record.accept(digest);
    const missing = this.keyed.missing(secret, record.row);
    if (missing !== null) this.usage.keep(id, missing);
    return { record, matches };
  }
}
