import { DomainError } from './errors.js';
import type { RateReport } from './rate-report.js';
import type { RequestContext } from './request-context.js';

/** What is counted by address, each with a limit of its own: probes, what `/auth/*` does, and all else of strangers. */
export type AddressClass = 'health' | 'auth' | 'stranger';

/**
 * The limits that an edge asks of by itself; those of callers are asked with their credential (`Authenticator`). Abstract,
 * so that it is its own injection token and the edges need not import the room that implements it.
 */
export abstract class RateLimits {
  /**
   * Counts a call by its address, and puts what is left into `context.rate`.
   * @throws DomainError RATE_LIMIT_EXCEEDED
   */
  abstract arrive(context: RequestContext, of: AddressClass): void | Promise<void>;

  /** A stranger who was let in has said who they are: that call was none of a stranger. */
  abstract identified(context: RequestContext): void;

  /** Puts on record that a connection or stream was ended since its client sent too fast for too long. */
  abstract tooFast(context: RequestContext, error: DomainError): void;

  /** What is left for strangers at an address, as far as this gateway knows; nothing is counted. */
  abstract left(address: string): RateReport;
}

/** The refusal of one who came too often. @param retryMs until it is worth another attempt */
export const tooOften = (message: string, retryMs: number): DomainError =>
  new DomainError('RATE_LIMIT_EXCEEDED', message, { details: { retry_after: Math.max(1, Math.ceil(retryMs / 1000)) } });
