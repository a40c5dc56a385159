import { Inject, Injectable } from '@nestjs/common';
import type { Strategy } from 'passport';
import { ApiKeysService } from '../api-keys/api-keys.service.js';
import { looksLikeKey } from '../api-keys/api-key.js';
import { AuditTrail } from '../kernel/audit.js';
import { Authenticator, type Credential } from '../kernel/authenticator.js';
import { type Clock } from '../kernel/clock.js';
import { CLOCK } from '../kernel/tokens.js';
import { DomainError } from '../kernel/errors.js';
import type { Principal } from '../kernel/principal.js';
import type { RequestContext } from '../kernel/request-context.js';
import { toDomainError } from '../transport/error-mapping.js';
import { type JwtRequest, JwtStrategy } from './jwt.strategy.js';

/** Credential to principal, for every transport. */
@Injectable()
export class CredentialAuthenticator extends Authenticator {
  constructor(
    private readonly jwt: JwtStrategy,
    private readonly apiKeys: ApiKeysService,
    private readonly audit: AuditTrail,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {
    super();
  }

  async authenticate(present: () => Credential | null, context: RequestContext): Promise<void> {
    try {
      const credential = present();
      if (credential === null) throw new DomainError('AUTH_TOKEN_MISSING', 'A credential is needed.');
      context.principal = await this.#verify(credential.text);
    } catch (thrown) {
      const error = unavailableIsNoPass(toDomainError(thrown));
      this.audit.noteStranger(context, {
        action: 'auth.failed',
        resource: null,
        success: false,
        reason: error.code,
      });
      throw error;
    }
    this.audit.noteAccepted(context);
  }

  #verify(text: string): Promise<Principal> {
    return looksLikeKey(text)
      ? this.apiKeys.authenticate(text, this.clock.now())
      : runStrategy(this.jwt, { token: text });
  }
}

/** The store behind a credential being away is a 503, never a pass and never "your key is wrong". */
function unavailableIsNoPass(error: DomainError): DomainError {
  return error.code === 'DATABASE_UNAVAILABLE'
    ? new DomainError('AUTH_STATE_UNAVAILABLE', 'The credential cannot be checked now.', { cause: error })
    : error;
}

/** A passport strategy, as it is called. */
interface Runnable {
  authenticate(request: JwtRequest): void;
}

/**
 * Runs a passport strategy the way passport does, without an HTTP request: a fresh object over the strategy gets the
 * outcome methods, so that concurrent calls do not meet.
 */
function runStrategy(strategy: Strategy, request: JwtRequest): Promise<Principal> {
  return new Promise((resolve, reject) => {
    const outcomes = {
      success: resolve,
      fail: (challenge: unknown) => {
        reject(fromJsonWebToken(challenge));
      },
      error: reject,
    };
    const run = Object.assign(Object.create(strategy) as object, outcomes) as unknown as Runnable;
    run.authenticate(request);
  });
}

/** jsonwebtoken's error names (its documentation lists them) as our codes. */
function fromJsonWebToken(challenge: unknown): DomainError {
  const name = challenge instanceof Error ? challenge.name : '';
  const message = challenge instanceof Error ? challenge.message : '';
  if (name === 'TokenExpiredError') return new DomainError('JWT_EXPIRED', 'The token has expired.');
  if (name === 'NotBeforeError') return new DomainError('JWT_NOT_YET_VALID', 'The token is not valid yet.');
  if (message === 'invalid signature') {
    return new DomainError('JWT_SIGNATURE_INVALID', 'The token is not signed by this server.');
  }
  return new DomainError('JWT_INVALID', 'The token is not valid.', { cause: challenge });
}
