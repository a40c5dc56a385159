import type { RequestContext } from './request-context.js';

/** Longest credential that is looked at, bytes. */
export const MAX_CREDENTIAL = 8192;

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
   * @param present takes the credential out of the call, null when it carries none. Called once, in here, so that a
   *   credential that is refused for how it was sent (in the address, two at once, too long) is on record as well
   * @throws DomainError with the code of the refusal, what `present` throws included
   */
  abstract authenticate(present: () => Credential | null, context: RequestContext): Promise<void>;
}
