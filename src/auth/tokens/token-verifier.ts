import { createHash, createSecretKey, type KeyObject } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { type Clock } from '../../kernel/clock.js';
import type { DomainError } from '../../kernel/errors.js';
import { LOCAL_ISSUER } from '../../kernel/local-token.js';
import type { Principal } from '../../kernel/principal.js';
import { CLOCK } from '../../kernel/tokens.js';
import type { IdentityProvider } from '../providers/identity-provider.js';
import { IdentityProviders } from '../providers/identity-providers.js';
import { providerPrincipal } from '../providers/provider-claims.js';
import { SIGNING_SECRETS, type SigningSecrets } from '../signing-secrets.js';
import { type CompactJws, MAX_TOKEN_BYTES, readCompactJws } from './compact-jws.js';
import { type LocalExtras, readLocalClaims } from './local-claims.js';
import { refusal } from './refusal.js';
import { checkRegistered, type Expectation, outside, type Period } from './registered-claims.js';
import { isSignedBy, isSignedWithSecret } from './signature.js';

/** Tokens whose verdict is remembered. */
const MAX_REMEMBERED = 10_000;

/** Kinds of access token (RFC 9068); ID, logout and refresh tokens are for somebody else (RFC 8725 section 3.11). */
const ACCESS_TOKEN_TYPES = ['jwt', 'at+jwt'];
/** What Backstage calls the tokens of its users; those of plugins and cookies have other names. */
const BACKSTAGE_TYPE = 'vnd.backstage.user';

/** A token that was found good. */
export interface VerifiedToken {
  readonly principal: Principal;
  /** What a local token says beyond its principal; nothing for a provider's. */
  readonly claims: LocalExtras;
  /** SHA-256 of its text: the same token is the same, however often it is verified. */
  readonly digest: string;
  /** It may be used once: its provider has `replay_protection`, and `principal.credentialId` is not null. */
  readonly singleUse: boolean;
  /**
   * Why it is not good any more, of what can be told from memory; null when it still is. Asked at every use. Whether its
   * subject is let in at all, the lists say (`IdentityProviders.accessRefusal`).
   */
  current(): DomainError | null;
}

/** What a verdict rests on. */
interface Grounds {
  readonly principal: Principal;
  readonly claims: LocalExtras;
  readonly period: Period;
  /** As configured now. */
  readonly expectation: () => Expectation;
  readonly singleUse: boolean;
  /** Why who signed it is not believed any more. */
  readonly issuerRefusal: () => DomainError | null;
}

/**
 * Token to principal, for local tokens and those of identity providers. Every check of the contract in its order, up to
 * the claims' types; revocation, lists and single use are for the caller. A token is verified once and its verdict kept,
 * since a signature costs far more than what can change about it.
 */
@Injectable()
export class TokenVerifier {
  readonly #secrets: readonly KeyObject[];
  readonly #verdicts = new LRUCache<string, VerifiedToken>({ max: MAX_REMEMBERED });

  constructor(
    @Inject(SIGNING_SECRETS) secrets: SigningSecrets,
    private readonly providers: IdentityProviders,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    this.#secrets = secrets.map((secret) => createSecretKey(secret, 'utf8'));
  }

  /**
   * @param text a compact JWS
   * @throws DomainError JWT_INVALID, JWT_SIGNATURE_INVALID, JWT_EXPIRED, JWT_NOT_YET_VALID; JWKS_UNAVAILABLE when the
   *   provider's keys cannot be had
   */
  async verify(text: string): Promise<VerifiedToken> {
    if (text.length > MAX_TOKEN_BYTES) throw refusal('JWT_INVALID', 'too_long');
    const digest = createHash('sha256').update(text).digest('base64');
    const known = this.#verdicts.get(digest);
    if (known?.current() === null) return known;
    // What changed is found out anew: a provider's new mapping may well accept the token, as somebody else.
    this.#verdicts.delete(digest);
    const token = this.#verdict(digest, await this.#grounds(readCompactJws(text)));
    const refused = token.current();
    if (refused) throw refused;
    this.#verdicts.set(digest, token);
    return token;
  }

  #grounds(jws: CompactJws): Promise<Grounds> {
    const issuer = jws.payload['iss'];
    if (typeof issuer !== 'string') throw refusal('JWT_INVALID', 'claim_iss');
    const provider = issuer === LOCAL_ISSUER ? null : this.providers.byIssuer(issuer);
    if (provider === undefined) throw refusal('JWT_INVALID', 'issuer_unknown');
    requireAccessToken(jws.type, provider);
    return provider === null ? Promise.resolve(this.#local(jws)) : this.#provided(jws, provider);
  }

  /** A token that this server signed: HS256 with one of its secrets, which have no key id. */
  #local({ alg, kid, signed, signature, payload }: CompactJws): Grounds {
    if (alg !== 'HS256') throw refusal('JWT_INVALID', 'alg_not_allowed');
    if (kid !== null) throw refusal('JWT_INVALID', 'kid_unexpected');
    if (!this.#secrets.some((secret) => isSignedWithSecret(secret, signed, signature))) {
      throw refusal('JWT_SIGNATURE_INVALID', 'signature');
    }
    const expectation = (): Expectation => this.#expecting([LOCAL_ISSUER]);
    const period = checkRegistered(payload, expectation(), this.#now());
    const { principal, extras } = readLocalClaims(payload, period);
    // What the owner of a key was vouched for is asked of the key.
    const ofKey = extras.keyId !== null;
    return {
      ...{ principal, claims: extras, period, expectation, singleUse: false },
      issuerRefusal: () =>
        ofKey ? this.providers.unknownRefusal(principal.provider) : this.providers.voucherRefusal(principal),
    };
  }

  async #provided(jws: CompactJws, provider: IdentityProvider): Promise<Grounds> {
    const { config, keys } = provider;
    const algorithm = config.algorithms.find((allowed) => allowed === jws.alg);
    if (algorithm === undefined) throw refusal('JWT_INVALID', 'alg_not_allowed');
    const key = await keys.find(algorithm, jws.kid);
    if (!isSignedBy(key.key, algorithm, jws.signed, jws.signature)) {
      throw refusal('JWT_SIGNATURE_INVALID', 'signature');
    }
    const expectation = (): Expectation => this.#expecting(config.audiences, config.max_token_lifetime_seconds);
    const period = checkRegistered(jws.payload, expectation(), this.#now());
    return {
      principal: {
        ...providerPrincipal(jws.payload, config, period),
        voucher: { settings: provider.settings, key: key.fingerprint },
      },
      claims: { keyId: null, exchanged: false, parent: null },
      ...{ period, expectation, singleUse: config.replay_protection },
      issuerRefusal: () =>
        this.providers.byIssuer(config.issuer) === provider
          ? keys.refusalOf(key)
          : refusal('JWT_INVALID', 'provider_changed'),
    };
  }

  #verdict(digest: string, grounds: Grounds): VerifiedToken {
    const { principal, claims, singleUse, period, expectation, issuerRefusal } = grounds;
    return {
      ...{ principal, claims, singleUse, digest },
      current: () => outside(period, expectation(), this.#now()) ?? issuerRefusal(),
    };
  }

  #expecting(audiences: readonly string[], lifetime?: number): Expectation {
    const { clock_skew_seconds: skewSeconds, max_token_lifetime_seconds: general } = this.providers.config;
    return { skewSeconds, maxLifetimeSeconds: lifetime ?? general, audiences };
  }

  /** Seconds since 1970. */
  #now(): number {
    return this.clock.now() / 1000;
  }
}

/** @throws DomainError JWT_INVALID for a token of another kind */
function requireAccessToken(type: string | null, provider: IdentityProvider | null): void {
  if (type === null || ACCESS_TOKEN_TYPES.includes(type)) return;
  if (type === BACKSTAGE_TYPE && provider?.config.preset === 'backstage') return;
  throw refusal('JWT_INVALID', 'typ');
}
