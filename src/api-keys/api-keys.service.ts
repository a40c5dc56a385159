import { isDeepStrictEqual } from 'node:util';
import { Inject, Injectable } from '@nestjs/common';
import { Standings } from '../authorization/standings.js';
import { type Clock } from '../kernel/clock.js';
import { type Restraint, UNRESTRAINED } from '../kernel/authenticator.js';
import type { Principal } from '../kernel/principal.js';
import type { LiveCredential } from '../kernel/request-context.js';
import { CLOCK } from '../kernel/tokens.js';
import { parseKey } from '../kernel/api-key-text.js';
import { KeyRecord, KeyRecords } from './key-records.js';
import { endedBy, endOf, type KeyRefusal, keyRefused } from './key-standing.js';
import { KeyUsage } from './key-usage.js';
import { KeyVerifier } from './key-verifier.js';

/** A key that was accepted, and what it is worth now. */
export interface AcceptedKey extends Pick<LiveCredential, 'graceUntil' | 'revalidate'> {
  readonly principal: Principal;
}

/** Keys as credentials. Every refusal of a key is API_KEY_INVALID, its reason for the audit trail only. */
@Injectable()
export class ApiKeysService {
  constructor(
    private readonly records: KeyRecords,
    private readonly verifier: KeyVerifier,
    private readonly usage: KeyUsage,
    private readonly standings: Standings,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    standings.onRemapped(() => {
      records.forgetAll();
    });
  }

  /**
   * Accepts a key by its text.
   * @param now milliseconds since 1970
   * @param restraint asked before the database is, and before bcrypt
   * @throws DomainError API_KEY_INVALID; AUTH_BUSY when too many wait to be checked; what the restraint throws; the
   *   driver's error when the database is needed and away
   */
  async authenticate(
    text: string,
    remoteAddress: string,
    now: number,
    restraint: Restraint = UNRESTRAINED,
  ): Promise<AcceptedKey> {
    const parsed = parseKey(text);
    if (parsed === null) throw keyRefused('malformed');
    const { record, matches } = await this.verifier.verify(text, parsed, restraint);
    if (record === null) throw keyRefused('unknown');
    if (!matches) throw keyRefused('secret');
    if (record.row.prefix !== parsed.prefix) throw keyRefused('prefix');
    // Again, since it may have changed while bcrypt had its queue: mostly the same object, and then nothing waits.
    const current = this.records.peek(parsed.id) ?? (await this.records.get(parsed.id));
    if (current?.row.keyHash !== record.row.keyHash) throw keyRefused('secret');
    return this.#accept(current, remoteAddress, now);
  }

  /**
   * Accepts the key that a token or ticket was made from, whose own proof was the token's signature.
   * @param now milliseconds since 1970
   * @throws as {@link authenticate}, but AUTH_BUSY
   */
  async behind(keyId: string, tenant: string, remoteAddress: string, now: number): Promise<AcceptedKey> {
    const record = await this.records.get(keyId);
    if (record?.row.tenant !== tenant) throw keyRefused('unknown');
    return this.#accept(record, remoteAddress, now);
  }

  /** The principal that a key would be now, for questions about it; null when there is none or it is no good. */
  async principalOf(tenant: string, keyId: string): Promise<Principal | null> {
    const record = await this.records.get(keyId);
    if (record?.row.tenant !== tenant || endedBy(record.row, this.clock.now()) !== null) return null;
    return this.#principalOf(record);
  }

  async #accept(record: KeyRecord, address: string, now: number): Promise<AcceptedKey> {
    requireGood(record, address, now);
    const principal = await this.#principalOf(record);
    this.usage.note(record.row.id, address, now);
    return this.#live(record, principal, address);
  }

  #live(record: KeyRecord, principal: Principal, address: string): AcceptedKey {
    const now = { record, principal };
    const reload = async (): Promise<Principal> => {
      const next = await this.records.get(record.row.id);
      if (next?.row.keyHash !== record.row.keyHash) throw keyRefused('unknown');
      requireGood(next, address, this.clock.now());
      const found = await this.#principalOf(next);
      now.record = next;
      if (!isDeepStrictEqual(found, now.principal)) now.principal = found;
      return now.principal;
    };
    return {
      get principal() {
        return now.principal;
      },
      get graceUntil() {
        return now.record.row.graceUntil;
      },
      revalidate: () => {
        if (this.records.peek(record.row.id) !== now.record) return reload();
        requireGood(now.record, address, this.clock.now());
        return now.principal;
      },
    };
  }

  async #principalOf(record: KeyRecord): Promise<Principal> {
    if (record.principal !== null) return record.principal;
    const { id, tenant, ownerProvider, ownerSubject, roles, scopes, rateLimitPerMinute } = record.row;
    const owner = await this.standings.of(tenant, ownerProvider, ownerSubject);
    record.principal ??= {
      subject: ownerSubject,
      tenant,
      roles,
      groups: [],
      scopes,
      method: 'api_key',
      provider: ownerProvider,
      credentialId: id,
      keyId: id,
      owner,
      ...(rateLimitPerMinute === null ? {} : { ratePerMinute: rateLimitPerMinute }),
      issuedAt: null,
      expiresAt: endOf(record.row),
      kind: 'service',
    };
    return record.principal;
  }
}

/** @throws DomainError API_KEY_INVALID */
function requireGood({ row, allows }: KeyRecord, address: string, now: number): void {
  const reason: KeyRefusal | null = endedBy(row, now) ?? (allows(address) ? null : 'address');
  if (reason !== null) throw keyRefused(reason);
}
