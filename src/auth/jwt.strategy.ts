import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { PassportStrategy } from '@nestjs/passport';
import { Strategy, type StrategyOptionsWithoutRequest } from 'passport-jwt';
import { type Clock } from '../kernel/clock.js';
import { type Principal } from '../kernel/principal.js';
import { CLOCK } from '../kernel/tokens.js';
import { CLOCK_SKEW_SECONDS, LOCAL_ISSUER, principalFromClaims } from './claims.js';
import { isAccessTokenHeader } from './token-header.js';
import { SIGNING_SECRETS, type SigningSecrets } from './signing-secrets.js';

/** What the authenticator hands to the strategy: there is no HTTP request on gRPC and WebSocket. */
export interface JwtRequest {
  readonly token: string;
}

type KeyFound = (error: Error | null, key?: string) => void;

/**
 * HS256 tokens signed with AUTH_SECRET, or with AUTH_SECRET_PREVIOUS during a rotation. passport-jwt verifies structure,
 * algorithm, signature, times, issuer and audience; the claims are then parsed, never coerced.
 */
@Injectable()
export class JwtStrategy extends PassportStrategy(Strategy, 'jwt') {
  constructor(
    @Inject(SIGNING_SECRETS) secrets: SigningSecrets,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    const keys = secrets.map((secret) => createSecretKey(secret, 'utf8'));
    super({
      jwtFromRequest: (request: unknown) => (request as JwtRequest).token,
      secretOrKeyProvider: (_request: unknown, token: unknown, done: KeyFound) => {
        if (!isAccessTokenHeader(String(token))) {
          done(new Error('not an access token'));
          return;
        }
        // jsonwebtoken takes a KeyObject, and is twenty times faster with one; passport-jwt's types only know text.
        done(null, keyFor(String(token), keys) as unknown as string);
      },
      // The only way to the clock tolerance; the types call it deprecated for the other options that it repeats.
      // eslint-disable-next-line @typescript-eslint/no-deprecated
      jsonWebTokenOptions: { clockTolerance: CLOCK_SKEW_SECONDS },
      algorithms: ['HS256'],
      issuer: LOCAL_ISSUER,
      audience: LOCAL_ISSUER,
      ignoreExpiration: false,
    } satisfies StrategyOptionsWithoutRequest);
  }

  /** Called by passport with the verified payload. */
  validate(payload: unknown): Principal {
    return principalFromClaims(payload, this.clock.now() / 1000);
  }
}

/** The key whose signature is on the token; the first when none is, so that verification fails as it should. */
function keyFor(token: string, keys: readonly KeyObject[]): KeyObject {
  const end = token.lastIndexOf('.');
  const signature = Buffer.from(token.slice(end + 1), 'base64url');
  const matches = (key: KeyObject): boolean => {
    const expected = createHmac('sha256', key)
      .update(token.slice(0, Math.max(end, 0)))
      .digest();
    return signature.length === expected.length && timingSafeEqual(signature, expected);
  };
  const [first] = keys;
  const found = keys.find(matches) ?? first;
  if (!found) throw new Error('No signing secret is configured');
  return found;
}
