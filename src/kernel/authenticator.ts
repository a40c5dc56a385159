import type { RequestContext } from './request-context.js';

/** A credential as it was presented, not yet believed. */
export interface Credential {
  readonly text: string;
}

/**
 * Credential to principal: the one place, used by every edge. Abstract, so that it is its own injection token and the
 * edges need not import the room that implements it.
 */
export abstract class Authenticator {
  /**
   * Verifies the credential and sets `context.principal`; notes success or failure in the audit trail.
   * @param credential null when the call carried none
   * @throws DomainError with the code of the refusal
   */
  abstract authenticate(credential: Credential | null, context: RequestContext): Promise<void>;
}
