import { Inject, Injectable } from '@nestjs/common';
import { exceeds } from '../authorization/exceeds.js';
import { grantsOf } from '../authorization/grants.js';
import { PolicyState } from '../authorization/policy-state.js';
import { canonicalRole } from '../authorization/roles.js';
import { isScope } from '../authorization/scopes.js';
import { CONFIG, type Config } from '../config/load.js';
import { DomainError, type FieldIssue } from '../kernel/errors.js';
import type { Principal } from '../kernel/principal.js';
import type { CallerContext } from '../kernel/request-context.js';
import { MAX_ROLES, MAX_SCOPES } from './api-keys.schema.js';
import { cidrsBeyond, type KeyBounds } from './key-changes.js';
import { KeyRecords } from './key-records.js';
import { beyondReach } from './key-reach.js';
import { endOf, keyRefused } from './key-standing.js';
import type { KeyOwner } from './key-store.js';

const DAY_MS = 24 * 3600 * 1000;
/** A lifetime this long is none: keys that name no end have none. */
const UNLIMITED_DAYS = 36_500;

/** What a key is to hold. */
export interface Powers extends KeyBounds {
  readonly roles: string[];
}

/** A key that is to be, and whose. */
export type WantedKey = Powers & KeyOwner;

/** What was asked for; what is left out comes from the caller. */
export interface WantedPowers {
  readonly roles?: readonly string[] | undefined;
  readonly scopes?: string[] | undefined;
  readonly allowed_cidrs?: string[] | undefined;
  readonly rate_limit_per_minute?: number | undefined;
  readonly expires_at?: Date | undefined;
}

/** Nobody hands out more than they have: what a new key may hold, by whom it is made. */
@Injectable()
export class KeyPowers {
  constructor(
    private readonly policy: PolicyState,
    private readonly records: KeyRecords,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * The powers of a new key: what is wanted, and where nothing is, what the caller holds at present.
   * @param owner whose the key will be
   * @param now milliseconds since 1970
   * @throws DomainError INVALID_ARGUMENT naming the field; PERMISSION_DENIED naming what the caller does not hold
   */
  async forNew(caller: Principal, owner: KeyOwner, wanted: WantedPowers, now: number): Promise<Powers> {
    const roles = this.#roles(caller, wanted.roles);
    const scopes = wanted.scopes ?? heldScopes(caller);
    if (scopes !== null && scopes.length > MAX_SCOPES) throw invalid([{ field: 'scopes', problem: 'must be named' }]);
    const bounds = await this.boundsOf(caller);
    const powers: Powers = {
      roles,
      scopes,
      allowedCidrs: wanted.allowed_cidrs ?? bounds.allowedCidrs,
      rateLimitPerMinute: wanted.rate_limit_per_minute ?? null,
      expiresAt: wanted.expires_at ?? earlier(bounds.expiresAt, this.latestEnd(now)),
    };
    requireUnlimited(bounds);
    const issues = [...this.checkEnd(powers.expiresAt, now), ...beyond(powers, bounds)];
    if (issues.length > 0) throw invalid(issues);
    this.requireHeld(caller, { ...powers, ...owner });
    return powers;
  }

  /**
   * The same of a key that is about to be stored, by what the caller is by now.
   * @throws DomainError as {@link forNew}
   */
  async requireStill(caller: Principal, key: WantedKey): Promise<void> {
    const bounds = await this.boundsOf(caller);
    requireUnlimited(bounds);
    const issues = beyond(key, bounds);
    if (issues.length > 0) throw invalid(issues);
    this.requireHeld(caller, key);
  }

  /** @throws DomainError PERMISSION_DENIED naming the first permission that the caller does not hold, or not for others */
  requireHeld(caller: Principal, key: Pick<WantedKey, 'roles' | 'scopes' | keyof KeyOwner>): void {
    const { roles, scopes, ownerProvider, ownerSubject } = key;
    const lacking = exceeds(caller, { roles, scopes }, this.policy.current);
    if (lacking !== null) {
      const what = lacking === '*' ? 'more than your own scopes let through' : lacking;
      throw new DomainError('PERMISSION_DENIED', `A key cannot hold more than you do: ${what}.`);
    }
    if (ownerProvider === caller.provider && ownerSubject === caller.subject) return;
    const wide = beyondReach(caller, key, this.policy.current);
    if (wide === null) return;
    throw new DomainError('PERMISSION_DENIED', `A key of another owner cannot reach further than you do: ${wide}.`);
  }

  /**
   * What a caller with a key is bound to, and with it every key that it makes: it must not get rid of its end, addresses
   * and limit that way. Nothing for everybody else.
   * @throws DomainError API_KEY_INVALID when that key is gone
   */
  async boundsOf({ keyId, tenant }: Principal): Promise<Omit<KeyBounds, 'scopes'>> {
    if (keyId === null) return { allowedCidrs: null, rateLimitPerMinute: null, expiresAt: null };
    const record = await this.records.get(keyId);
    if (record?.row.tenant !== tenant) throw keyRefused('unknown');
    const { allowedCidrs, rateLimitPerMinute } = record.row;
    return { allowedCidrs, rateLimitPerMinute, expiresAt: endOf(record.row) };
  }

  /** The latest end that a key made now may have; null where keys need not end. */
  latestEnd(now: number): Date | null {
    const days = this.config.API_KEY_MAX_LIFETIME_DAYS;
    return days >= UNLIMITED_DAYS ? null : new Date(now + days * DAY_MS);
  }

  /** What is wrong with such an end. */
  checkEnd(expiresAt: Date | null, now: number): FieldIssue[] {
    if (expiresAt === null) return [];
    if (expiresAt.getTime() <= now) return [{ field: 'expires_at', problem: 'is in the past' }];
    const days = this.config.API_KEY_MAX_LIFETIME_DAYS;
    const tooLate = expiresAt.getTime() > now + days * DAY_MS;
    return tooLate ? [{ field: 'expires_at', problem: `a key lives for ${days} days at most` }] : [];
  }

  #roles(caller: Principal, wanted: readonly string[] | undefined): string[] {
    const policy = this.policy.current;
    const roles = wanted?.map(canonicalRole) ?? grantsOf(caller, policy).roles;
    const unknown = roles.flatMap((role, index) =>
      policy.roles.has(role) ? [] : [{ field: `roles.${index}`, problem: 'there is no such role' }],
    );
    if (unknown.length > 0) throw invalid(unknown);
    if (roles.length > MAX_ROLES) throw invalid([{ field: 'roles', problem: 'must be named' }]);
    return [...new Set(roles)];
  }
}

/**
 * The caller as he is by now: a key waits for bcrypt, and what it is made with may be revoked meanwhile.
 * @throws DomainError when the credential is not accepted any more
 */
export async function currentCaller(context: CallerContext): Promise<CallerContext> {
  const principal = (await context.credential?.revalidate()) ?? context.principal;
  return { ...context, principal };
}

/**
 * Each key has its limit for itself, so that with a second one there would be two.
 * @throws DomainError PERMISSION_DENIED for what is bound by a limit
 */
export function requireUnlimited({ rateLimitPerMinute }: Pick<KeyBounds, 'rateLimitPerMinute'>): void {
  if (rateLimitPerMinute === null) return;
  throw new DomainError(
    'PERMISSION_DENIED',
    'A key with a rate limit of its own makes no keys; it may rotate itself with grace_seconds 0.',
  );
}

type Reach = Pick<KeyBounds, 'allowedCidrs' | 'expiresAt'>;

/** What a new key would have beyond the key that it is made with. */
export function beyond(powers: Reach, bounds: Reach): FieldIssue[] {
  const issues: FieldIssue[] =
    powers.allowedCidrs === null && bounds.allowedCidrs !== null
      ? [{ field: 'allowed_cidrs', problem: 'your own key is bound to addresses' }]
      : cidrsBeyond(bounds.allowedCidrs, powers.allowedCidrs ?? []);
  if ((powers.expiresAt?.getTime() ?? Infinity) > (bounds.expiresAt?.getTime() ?? Infinity)) {
    issues.push({ field: 'expires_at', problem: 'is after the end of your own key' });
  }
  return issues;
}

/** The refusal that names the wrong fields. */
export function invalid(fields: readonly FieldIssue[]): DomainError {
  const [first] = fields;
  const message = first === undefined ? 'The request is not valid.' : `${first.field}: ${first.problem}`;
  return new DomainError('INVALID_ARGUMENT', message, { details: { fields: fields.slice(0, 10) } });
}

/** The scopes of the caller that mean something here; a token may carry others, such as `openid`. */
const heldScopes = ({ scopes }: Principal): string[] | null => scopes?.filter(isScope) ?? null;

const earlier = (a: Date | null, b: Date | null): Date | null => (a === null || (b !== null && b < a) ? b : a);
