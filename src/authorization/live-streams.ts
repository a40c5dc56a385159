import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { SecurityFeed } from '../database/security-feed.js';
import { AuditTrail } from '../kernel/audit.js';
import { DomainError } from '../kernel/errors.js';
import type { CallerContext } from '../kernel/request-context.js';
import { toDomainError } from '../transport/error-mapping.js';
import { PolicyState } from './policy-state.js';

/** Shares end, keys expire and knowledge grows old without anybody saying so. */
const RECHECK_EVERY_MS = 500;

/** A connection or stream that lives longer than one call. */
export interface LiveStream {
  /** Its caller; the principal in it is replaced when the credential is worth something else. */
  readonly context: CallerContext;
  /** Takes back what the caller, as he is now, may no longer do. */
  recheck(): void;
  /** Ends it, since its credential is not accepted any more. */
  end(error: DomainError): void;
}

/**
 * Every open stream. None is trusted for being open: whenever something may have taken rights away, and twice a second
 * for what time takes away, its credential and what it does are decided anew.
 */
@Injectable()
export class LiveStreams implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #open = new Set<LiveStream>();
  /** Those that are being decided on now, and whether that was asked for again meanwhile. */
  readonly #deciding = new Map<LiveStream, boolean>();
  #timer: NodeJS.Timeout | undefined;
  #asked = false;

  constructor(
    private readonly feed: SecurityFeed,
    private readonly policy: PolicyState,
    private readonly audit: AuditTrail,
  ) {}

  onApplicationBootstrap(): void {
    const soon = (): void => {
      this.recheckSoon();
    };
    this.feed.onApplied(soon);
    this.policy.onChange(soon);
    this.#timer = setInterval(soon, RECHECK_EVERY_MS).unref();
  }

  onModuleDestroy(): void {
    clearInterval(this.#timer);
  }

  /** Watches a stream. @returns how its end is told */
  add(stream: LiveStream): () => void {
    this.#open.add(stream);
    // What was taken away between its authentication and now would otherwise wait for the next look. It alone is looked
    // at: a thousand clients that come at once would have all the others looked at a thousand times.
    setImmediate(() => {
      if (this.#open.has(stream)) void this.#recheck(stream);
    });
    return () => this.#open.delete(stream);
  }

  /** Ends a stream whose credential has come to its end, unless it was ended by a look at it. */
  expire(stream: LiveStream, error: DomainError): void {
    if (this.#open.has(stream)) this.#end(stream, error);
  }

  /** Decides every stream anew, in the next turn; several asking at once are one. */
  recheckSoon(): void {
    if (this.#asked) return;
    this.#asked = true;
    setImmediate(() => {
      this.#asked = false;
      for (const stream of [...this.#open]) void this.#recheck(stream);
    });
  }

  /** One decision on a stream at a time; what is asked for meanwhile is one more. */
  async #recheck(stream: LiveStream): Promise<void> {
    if (this.#deciding.has(stream)) {
      this.#deciding.set(stream, true);
      return;
    }
    do {
      this.#deciding.set(stream, false);
      await this.#decide(stream);
    } while (this.#deciding.get(stream) === true && this.#open.has(stream));
    this.#deciding.delete(stream);
  }

  async #decide(stream: LiveStream): Promise<void> {
    const { context } = stream;
    const { credential } = context;
    // It may end, or be renewed with another credential, while this one is asked about.
    const outdated = (): boolean => !this.#open.has(stream) || context.credential !== credential;
    try {
      const now = credential?.revalidate();
      // Mostly nothing changed, and then nothing waits.
      const principal = now instanceof Promise ? await now : now;
      if (outdated()) return;
      if (principal !== undefined) context.principal = principal;
      stream.recheck();
    } catch (thrown) {
      if (!outdated()) this.#end(stream, toDomainError(thrown));
    }
  }

  /** Not a refusal of what is presented now, but the end of what was accepted; why goes on record. */
  #end(stream: LiveStream, refusal: DomainError): void {
    // Told once, however long its client takes to hang up.
    this.#open.delete(stream);
    const error = asEnd(refusal);
    const detail = refusal.reason === undefined ? {} : { detail: refusal.reason };
    this.audit.note(stream.context, {
      ...{ action: 'authz.downgraded', resource: null, success: false, reason: error.code },
      metadata: { to: 'ended', ...detail },
    });
    stream.end(error);
  }
}

/** The refusal of a credential that was good before, as the reason why a stream ends. */
function asEnd(error: DomainError): DomainError {
  const { code, reason } = error;
  if (code === 'JWT_EXPIRED' || (code === 'API_KEY_INVALID' && (reason === 'expired' || reason === 'grace_over'))) {
    return new DomainError('SESSION_EXPIRED', 'The credential of this connection has expired.');
  }
  return code === 'API_KEY_INVALID' ? new DomainError('TOKEN_REVOKED', 'The API key was revoked.') : error;
}
