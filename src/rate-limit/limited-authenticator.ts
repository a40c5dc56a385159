import { Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { Authenticator, type Credential, CredentialCheck, UNRESTRAINED } from '../kernel/authenticator.js';
import { DomainError } from '../kernel/errors.js';
import { rateOf } from '../kernel/gcra.js';
import { tooOften } from '../kernel/rate-limits.js';
import type { CallerContext, RequestContext } from '../kernel/request-context.js';
import { AddressRestraint } from './address-restraint.js';
import { AddressShares } from './address-shares.js';
import { Buckets } from './buckets.js';
import { type CredentialName, nameOf } from './credential-name.js';
import { Lockouts } from './lockouts.js';
import { networkOf } from '../kernel/network.js';
import { RateLimitsService } from './rate-limits.service.js';

/** Looks at the database for credentials from an address that is closed: ten at once, and one a second. */
const LOOKS_WHEN_CLOSED = rateOf(1, 1000, 10);

/** Keys that are remembered for having been accepted. */
const MAX_PROVEN = 10_000;

/**
 * The limits around the check of a credential, on every transport alike: address and lockout first, then the check, which
 * costs no more than the address may cause, then the caller's own limit.
 */
@Injectable()
export class LimitedAuthenticator extends Authenticator {
  readonly #shares = new AddressShares();
  /** Keys that were accepted of late: of these there is something to look at, from an address that is closed, too. */
  readonly #proven = new LRUCache<number, true>({ max: MAX_PROVEN });

  constructor(
    private readonly credentials: CredentialCheck,
    private readonly limits: RateLimitsService,
    private readonly lockouts: Lockouts,
    private readonly buckets: Buckets,
  ) {
    super();
  }

  async authenticate(present: () => Credential | null, context: RequestContext): Promise<void> {
    const sent = presented(present);
    if (sent.credential === null) await this.#refuseStranger(sent.again, context);
    else await this.#checkCredential(sent.credential.text, sent.again, context);
    await this.limits.call(context as CallerContext);
  }

  /** Without a credential, or with one that was sent as none may be: counted before it is refused. */
  async #refuseStranger(present: () => Credential | null, context: RequestContext): Promise<void> {
    await this.limits.arrive(context, 'stranger');
    await this.credentials.check(present, context, UNRESTRAINED);
  }

  async #checkCredential(text: string, present: () => Credential | null, context: RequestContext): Promise<void> {
    let known: CredentialName | undefined;
    const name = (): CredentialName => (known ??= nameOf(text));
    const restraint = this.#restraint(context.remoteAddress, name);
    try {
      await this.credentials.check(present, context, restraint);
      if (context.principal?.method === 'api_key') this.#proven.set(name().id, true);
    } catch (thrown) {
      throw await this.#refusal(thrown, restraint.closed, name, context);
    } finally {
      restraint.release();
    }
  }

  #restraint(remoteAddress: string, name: () => CredentialName): AddressRestraint {
    const address = networkOf(remoteAddress);
    const mayLook = (): boolean =>
      this.#proven.has(name().id) || this.buckets.takeHere(`looks ${address}`, LOOKS_WHEN_CLOSED).allowed;
    return new AddressRestraint(address, this.#shares, this.#closed(remoteAddress, name), mayLook);
  }

  /** Why nothing costly is done for credentials from there now; null when it is. */
  #closed(address: string, name: () => CredentialName): DomainError | null {
    const lockedMs = this.lockouts.remaining(address, name);
    if (lockedMs > 0) return tooOften('Too many credentials from this address were refused.', lockedMs);
    const { allowed, retryMs } = this.limits.stranger(address);
    return allowed ? null : tooOften('Too many calls from this address.', retryMs);
  }

  /** What the caller is told of a credential that was refused, which is counted as a stranger's call, and a failure. */
  async #refusal(
    thrown: unknown,
    closed: DomainError | null,
    name: () => CredentialName,
    context: RequestContext,
  ): Promise<unknown> {
    if (!(thrown instanceof DomainError) || thrown.answer.http >= 500 || thrown.code === 'AUTH_BUSY') return thrown;
    const failed = isFailure(thrown);
    if (closed !== null && (thrown === closed || failed)) {
      context.rate = this.limits.left(context.remoteAddress);
      this.limits.refused(context, 'ip', closed);
      return closed;
    }
    if (failed) this.lockouts.fail(context, name());
    try {
      await this.limits.arrive(context, 'stranger');
    } catch (over) {
      return over;
    }
    return thrown;
  }
}

/** No credential; one that was good and has ended; one that was good once, and has been used. */
const NO_GUESSES: ReadonlySet<string> = new Set(['AUTH_TOKEN_MISSING', 'JWT_EXPIRED', 'TOKEN_REPLAYED']);

/** Was somebody wrong about a credential? One that was good and has ended says nothing of that. */
function isFailure({ code, answer, reason }: DomainError): boolean {
  if (answer.http !== 401 || NO_GUESSES.has(code)) return false;
  return !(code === 'API_KEY_INVALID' && (reason === 'expired' || reason === 'grace_over'));
}

/** Takes the credential out of the call once, and can give or throw the same again. */
function presented(present: () => Credential | null): {
  readonly credential: Credential | null;
  readonly again: () => Credential | null;
} {
  try {
    const credential = present();
    return { credential, again: () => credential };
  } catch (thrown) {
    return {
      credential: null,
      again: () => {
        throw thrown;
      },
    };
  }
}
