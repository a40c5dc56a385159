import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { looksLikeKey } from '../kernel/api-key-text.js';
import { type AcceptedKey, ApiKeysService } from '../api-keys/api-keys.service.js';
import { intersectScopes } from '../authorization/scope-intersection.js';
import { Standings } from '../authorization/standings.js';
import { SecurityFeed } from '../database/security-feed.js';
import { Counter } from '../kernel/counter.js';
import { type AuditAction, AuditTrail } from '../kernel/audit.js';
import { type Credential, CredentialCheck, type Restraint } from '../kernel/authenticator.js';
import { type Clock } from '../kernel/clock.js';
import { DomainError, type ErrorCode } from '../kernel/errors.js';
import { type Durations, Metrics } from '../kernel/metrics.js';
import { LOCAL_PROVIDER, type Principal } from '../kernel/principal.js';
import type { LiveCredential, RequestContext } from '../kernel/request-context.js';
import { CLOCK } from '../kernel/tokens.js';
import { toDomainError } from '../transport/error-mapping.js';
import { IdentityProviders } from './providers/identity-providers.js';
import { Revocations } from './revocations.js';
import { looksLikeTicket, Tickets } from './tickets.js';
import { TokenVerifier, type VerifiedToken } from './tokens/token-verifier.js';
import { UsedTokens } from './used-tokens.js';

/** Tokens of which is remembered when they came first: of those in use, more than verdicts are kept. */
const MAX_SEEN = 20_000;

/** What a refusal is called in the audit trail; every other code is `auth.failed`. */
const ACTIONS: Partial<Record<ErrorCode, AuditAction>> = {
  JWT_EXPIRED: 'auth.expired',
  JWT_SIGNATURE_INVALID: 'auth.invalid_signature',
  TOKEN_REPLAYED: 'auth.replayed',
  UNAUTHORIZED_USER: 'auth.denied',
  UNAUTHORIZED_GROUP: 'auth.denied',
};

/** A credential that was accepted, and whom it speaks for. */
interface Accepted extends LiveCredential {
  readonly principal: Principal;
}

/** Credential to principal, for every transport: tokens, API keys, tickets. */
@Injectable()
export class CredentialAuthenticator extends CredentialCheck {
  /** Digest of a token → milliseconds since 1970 when it was seen first. */
  readonly #seen = new LRUCache<string, number>({ max: MAX_SEEN });
  readonly #attempts = new Counter(['result', 'provider', 'method']);
  readonly #took: Durations<never>;

  constructor(
    private readonly tokens: TokenVerifier,
    private readonly apiKeys: ApiKeysService,
    private readonly tickets: Tickets,
    private readonly usedTokens: UsedTokens,
    private readonly revocations: Revocations,
    private readonly providers: IdentityProviders,
    private readonly standings: Standings,
    private readonly feed: SecurityFeed,
    private readonly audit: AuditTrail,
    @Inject(CLOCK) private readonly clock: Clock,
    metrics: Metrics,
  ) {
    super();
    const help = 'Credentials that were accepted or refused. The provider of one that was refused is not believed.';
    metrics.count({ name: 'auth_attempts_total', help }, this.#attempts);
    this.#took = metrics.durations({ name: 'auth_duration_seconds', help: 'How long that took.' }, []);
  }

  async check(present: () => Credential | null, context: RequestContext, restraint: Restraint): Promise<void> {
    const began = performance.now();
    let method = 'none';
    try {
      const credential = present();
      if (credential === null) throw new DomainError('AUTH_TOKEN_MISSING', 'A credential is needed.');
      method = methodOf(credential.text);
      const accepted = await this.#accept(credential.text, context, restraint);
      context.principal = accepted.principal;
      context.credential = accepted;
    } catch (thrown) {
      const error = unavailableIsNoPass(toDomainError(thrown));
      this.#noteRefusal(context, error);
      this.#attempts.add({ result: 'failure', provider: 'unknown', method });
      throw error;
    } finally {
      this.#took.observe({}, (performance.now() - began) / 1000);
    }
    this.#attempts.add({ result: 'success', provider: context.principal.provider, method });
    this.audit.noteAccepted(context);
  }

  #accept(text: string, context: RequestContext, restraint: Restraint): Promise<Accepted> {
    if (looksLikeKey(text)) return this.#acceptKey(text, context, restraint);
    if (looksLikeTicket(text)) return this.#acceptTicket(text, context, restraint);
    return this.#acceptToken(text, context);
  }

  async #acceptKey(text: string, { remoteAddress }: RequestContext, restraint: Restraint): Promise<Accepted> {
    const key = await this.apiKeys.authenticate(text, remoteAddress, this.clock.now(), restraint);
    const accepted = this.#liveKey(key);
    await accepted.revalidate();
    return accepted;
  }

  async #acceptToken(text: string, { remoteAddress }: RequestContext): Promise<Accepted> {
    const token = await this.tokens.verify(text);
    const { principal, claims } = token;
    const derived = claims.exchanged || claims.keyId !== null;
    const origin = { principal, parent: claims.parent, seenAt: this.#firstSeen(token), skewMs: this.#skewOf(token) };
    const require = (): void => {
      const refusal = token.current();
      if (refusal !== null) throw refusal;
      this.revocations.require(origin);
    };
    require();
    // Whoever is not let in any more: his keys must hear of it too.
    if (!derived) this.standings.note(principal);
    const denied = this.providers.accessRefusal(principal);
    if (denied !== null) {
      await this.standings.settled(principal);
      throw denied;
    }
    const accepted = await this.#madeLive(principal, remoteAddress, claims.keyId, require);
    if (token.singleUse) await this.usedTokens.use(principal);
    return { ...accepted, derived, parent: claims.parent };
  }

  /** An identity provider's clock may be ahead of ours: what it issued just after a revocation may be from before. */
  #skewOf({ claims, principal }: VerifiedToken): number {
    const isLocal = principal.provider === LOCAL_PROVIDER || claims.exchanged || claims.keyId !== null;
    return isLocal ? 0 : this.providers.config.clock_skew_seconds * 1000;
  }

  async #acceptTicket(
    text: string,
    { remoteAddress, transport }: RequestContext,
    restraint: Restraint,
  ): Promise<Accepted> {
    if (transport !== 'websocket') {
      throw new DomainError('JWT_INVALID', 'The token is not valid.', { reason: 'ticket_elsewhere' });
    }
    const { principal, parent } = await this.tickets.redeem(text, restraint);
    const { keyId, tenant } = principal;
    if (principal.method === 'api_key' && keyId !== null) {
      const key = this.#liveKey(await this.apiKeys.behind(keyId, tenant, remoteAddress, this.clock.now()));
      await key.revalidate();
      return { ...key, derived: true, parent };
    }
    const origin = { principal, parent, seenAt: this.clock.now(), skewMs: 0 };
    const made = await this.#madeLive(principal, remoteAddress, keyId, () => {
      const refusal = this.#ticketRefusal(principal);
      if (refusal !== null) throw refusal;
      this.revocations.require(origin);
    });
    return { ...made, parent };
  }

  /** Why the holder of a ticket is not let in any more; null when he is. */
  #ticketRefusal(principal: Principal): DomainError | null {
    const { expiresAt, keyId, provider } = principal;
    if (expiresAt !== null && expiresAt.getTime() <= this.clock.now()) {
      return new DomainError('JWT_EXPIRED', 'The token has expired.', { reason: 'expired' });
    }
    return keyId === null ? this.providers.voucherRefusal(principal) : this.providers.unknownRefusal(provider);
  }

  /**
   * A token's or ticket's principal with its ways to stop being good. One that was made from an API key is worth what the
   * key is worth now, narrowed, and dies with it.
   * @param check throws when the token itself is not accepted any more
   */
  async #madeLive(principal: Principal, address: string, keyId: string | null, check: () => void): Promise<Accepted> {
    check();
    if (keyId === null) {
      const revalidate = (): Principal => {
        check();
        const denied = this.providers.accessRefusal(principal);
        if (denied !== null) throw denied;
        return principal;
      };
      revalidate();
      return { principal, graceUntil: null, derived: true, parent: null, revalidate };
    }
    const key = this.#liveKey(await this.apiKeys.behind(keyId, principal.tenant, address, this.clock.now()));
    let [behind, narrowed] = [key.principal, narrowedTo(principal, key.principal)];
    const take = (now: Principal): Principal => {
      if (now !== behind) [behind, narrowed] = [now, narrowedTo(principal, now)];
      return narrowed;
    };
    const revalidate = (): Principal | Promise<Principal> => {
      check();
      const now = key.revalidate();
      return now instanceof Promise ? now.then(take) : take(now);
    };
    return { principal: take(await key.revalidate()), graceUntil: null, derived: true, parent: null, revalidate };
  }

  /** A key with what is known beside its row: whether its owner is still let in, and how old our knowledge is. */
  #liveKey({ principal, graceUntil, revalidate }: AcceptedKey): Accepted {
    let last = principal;
    const require = (now: Principal): Principal => {
      this.feed.requireFresh();
      const refusal = this.providers.unknownRefusal(now.provider) ?? this.providers.accessRefusal(now);
      if (refusal !== null) throw refusal;
      return (last = now);
    };
    const outage = (thrown: unknown): Principal => {
      const error = toDomainError(thrown);
      // For as long as what we know is young enough, an open stream goes on without the store.
      if (error.code !== 'DATABASE_UNAVAILABLE' || hasEnded(last, this.clock.now())) throw error;
      return require(last);
    };
    const again = (): Principal | Promise<Principal> => {
      const now = revalidate();
      return now instanceof Promise ? now.catch(outage).then(require) : require(now);
    };
    return { principal, graceUntil, derived: false, parent: null, revalidate: again };
  }

  #firstSeen({ digest }: VerifiedToken): number {
    const seen = this.#seen.get(digest) ?? this.clock.now();
    this.#seen.set(digest, seen);
    return seen;
  }

  /** The answer tells a code, the trail the reason behind it. */
  #noteRefusal(context: RequestContext, { code, reason }: DomainError): void {
    // The limits put theirs on record.
    if (code === 'RATE_LIMIT_EXCEEDED') return;
    this.audit.noteStranger(context, {
      action: ACTIONS[code] ?? 'auth.failed',
      resource: null,
      success: false,
      reason: code,
      ...(reason === undefined ? {} : { metadata: { detail: reason } }),
    });
  }
}

/** What kind of credential it is, by its looks. */
function methodOf(text: string): string {
  if (looksLikeKey(text)) return 'api_key';
  return looksLikeTicket(text) ? 'ticket' : 'jwt';
}

const hasEnded = ({ expiresAt }: Principal, now: number): boolean => expiresAt !== null && expiresAt.getTime() <= now;

/** What a token made from a key is worth: no more than the key, and no longer. */
function narrowedTo(token: Principal, key: Principal): Principal {
  const ends = [token.expiresAt, key.expiresAt].flatMap((at) => at?.getTime() ?? []);
  return {
    ...key,
    method: 'jwt',
    scopes: intersectScopes(key.scopes, token.scopes),
    credentialId: token.credentialId,
    issuedAt: token.issuedAt,
    expiresAt: ends.length === 0 ? null : new Date(Math.min(...ends)),
  };
}

/** The store behind a credential being away is a 503, never a pass and never "your key is wrong". */
function unavailableIsNoPass(error: DomainError): DomainError {
  return error.code === 'DATABASE_UNAVAILABLE'
    ? new DomainError('AUTH_STATE_UNAVAILABLE', 'The credential cannot be checked now.', { cause: error })
    : error;
}
