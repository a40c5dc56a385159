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
   * Verifies the credential and sets `context.principal`; notes success or failure in the audit trail. Counts the call
   * against the limits of its address or its caller, which then stand in `context.rate`.
   * @param present takes the credential out of the call, null when it carries none. Called once, in here, so that a
   *   credential that is refused for how it was sent (in the address, two at once, too long) is on record as well
   * @throws DomainError with the code of the refusal, what `present` throws included; RATE_LIMIT_EXCEEDED
   */
  abstract authenticate(present: () => Credential | null, context: RequestContext): Promise<void>;
}

/** What checking a credential may cost, asked before each costly step. It throws where a step is too much. */
export interface Restraint {
  /** Before something is looked up in the database. @param isOurs whether it was certainly made here, and is no guess */
  beforeLook(isOurs: boolean): void;
  /** Before bcrypt. */
  beforeHash(): void;
}

/** Nothing is too much. */
export const UNRESTRAINED: Restraint = { beforeLook: () => undefined, beforeHash: () => undefined };

/** The check of a credential alone, behind the limits that every edge meets with its {@link Authenticator}. */
export abstract class CredentialCheck {
  /** As {@link Authenticator.authenticate}. @param restraint asked before what costs; what it throws is the refusal */
  abstract check(present: () => Credential | null, context: RequestContext, restraint: Restraint): Promise<void>;
}
