import type { Restraint } from '../kernel/authenticator.js';
import { createHash, createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { TenantScope } from '../database/tenant-scope.js';
import type { Clock } from '../kernel/clock.js';
import { DomainError } from '../kernel/errors.js';
import type { Principal } from '../kernel/principal.js';
import { CLOCK } from '../kernel/tokens.js';
import { SIGNING_SECRETS, type SigningSecrets } from './signing-secrets.js';

const PREFIX = 'gh_ticket_';
/** What is random of a ticket, and what says that it was made here: 43 characters together. */
const RANDOM_BYTES = 16;
const TAG_BYTES = 16;
const TAG_KEY_BYTES = 32;
const SHAPE = /^gh_ticket_[A-Za-z0-9_-]{43}$/;
/** A page that asked for a ticket connects at once. */
const LIFETIME_MS = 30_000;
/** How long a used one is remembered, so that its second use is told from an invention. */
const REMEMBERED = '10 minutes';
/** Tickets that one caller may have waiting. */
const MAX_WAITING = 100;

/** Whom a ticket lets in. */
export interface TicketHolder {
  readonly principal: Principal;
  /** The token that the holder's token was exchanged for. */
  readonly parent: string | null;
}

/** A ticket, shown once. */
export interface Ticket {
  readonly ticket: string;
  readonly expiresAt: Date;
}

/** Dates are text in JSON. */
type Stored = Omit<Principal, 'issuedAt' | 'expiresAt'> & { issuedAt: string | null; expiresAt: string | null };
interface Row {
  readonly principal: { readonly holder: Stored; readonly parent: string | null };
  readonly fresh: boolean;
  readonly used: boolean;
}

/** Does the text look like a ticket, good or not? */
export const looksLikeTicket = (text: string): boolean => text.startsWith(PREFIX);

/**
 * Tickets for WebSocket: a page cannot set headers on a connection, and should not hold a credential that lasts. A ticket
 * works once, within 30 seconds, for the caller it was made for. Only its hash is stored. A part of it is a keyed hash of
 * the rest, so that those who have one are not held up by those who make them up.
 */
@Injectable()
export class Tickets {
  /** One for each signing secret, by HKDF-SHA-256 (RFC 5869): the first one makes tags, all check. */
  readonly #keys: readonly [Buffer, ...Buffer[]];

  constructor(
    private readonly scope: TenantScope,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(SIGNING_SECRETS) [current, ...earlier]: SigningSecrets,
  ) {
    this.#keys = [tagKey(current), ...earlier.map(tagKey)];
  }

  /** @throws DomainError RATE_LIMIT_EXCEEDED when this caller has too many waiting */
  async issue({ principal, parent }: TicketHolder): Promise<Ticket> {
    const random = randomBytes(RANDOM_BYTES);
    const ticket = PREFIX + Buffer.concat([random, tagOf(random, this.#keys[0])]).toString('base64url');
    const expiresAt = new Date(this.clock.now() + LIFETIME_MS);
    const stored = { holder: principal, parent };
    const made = await this.scope.within(principal.tenant, (manager) =>
      manager.query<unknown[]>(
        `INSERT INTO ws_tickets (hash, tenant, principal, expires_at) SELECT $1, $2, $3, $4
         WHERE (SELECT count(*) FROM ws_tickets WHERE tenant = $2 AND expires_at > now() AND used_at IS NULL
           AND principal -> 'holder' ->> 'subject' = $5 AND principal -> 'holder' ->> 'provider' = $6) < ${MAX_WAITING}
         RETURNING 1`,
        [hashOf(ticket), principal.tenant, stored, expiresAt, principal.subject, principal.provider],
      ),
    );
    if (made.length === 0) {
      const seconds = LIFETIME_MS / 1000;
      throw new DomainError('RATE_LIMIT_EXCEEDED', 'Too many tickets wait to be used.', {
        details: { retry_after: seconds },
      });
    }
    return { ticket, expiresAt };
  }

  /**
   * Takes a ticket: of several that try at once one succeeds, on whatever gateway.
   * @param restraint asked before the database is
   * @throws DomainError TOKEN_REPLAYED, JWT_EXPIRED, JWT_INVALID; what the restraint throws
   */
  async redeem(text: string, restraint: Restraint): Promise<TicketHolder> {
    if (!SHAPE.test(text)) throw invalid('ticket_malformed');
    restraint.beforeLook(this.#isOurs(text));
    const hash = hashOf(text);
    const row = await this.scope.system(async (manager) => {
      // The update waits for another one of the same row, and then sees that it was used.
      const [taken] = await manager.query<[Row[], number]>(
        `UPDATE ws_tickets SET used_at = now() WHERE hash = $1 AND used_at IS NULL AND expires_at > now()
         RETURNING principal, true AS fresh, false AS used`,
        [hash],
      );
      if (taken[0]) return taken[0];
      const known = await manager.query<Row[]>(
        'SELECT principal, false AS fresh, used_at IS NOT NULL AS used FROM ws_tickets WHERE hash = $1',
        [hash],
      );
      return known[0];
    });
    if (row === undefined) throw invalid('ticket_unknown');
    if (row.used) throw new DomainError('TOKEN_REPLAYED', 'The ticket was used before.', { reason: 'ticket_used' });
    if (!row.fresh) throw new DomainError('JWT_EXPIRED', 'The ticket has expired.', { reason: 'ticket_expired' });
    const { holder, parent } = row.principal;
    return { principal: { ...holder, issuedAt: dateOf(holder.issuedAt), expiresAt: dateOf(holder.expiresAt) }, parent };
  }

  #isOurs(text: string): boolean {
    const bytes = Buffer.from(text.slice(PREFIX.length), 'base64url');
    const [random, tag] = [bytes.subarray(0, RANDOM_BYTES), bytes.subarray(RANDOM_BYTES)];
    return this.#keys.some((key) => timingSafeEqual(tag, tagOf(random, key)));
  }

  /** The statement that removes those which are of no use any more. */
  static readonly forgetOld = `DELETE FROM ws_tickets WHERE expires_at < now() - interval '${REMEMBERED}'`;
}

const tagKey = (secret: string): Buffer =>
  Buffer.from(hkdfSync('sha256', secret, '', 'gatehouse websocket ticket', TAG_KEY_BYTES));
const tagOf = (random: Buffer, key: Buffer): Buffer =>
  createHmac('sha256', key).update(random).digest().subarray(0, TAG_BYTES);
const hashOf = (ticket: string): string => createHash('sha256').update(ticket).digest('base64url');
const dateOf = (text: string | null): Date | null => (text === null ? null : new Date(text));
const invalid = (reason: string): DomainError => new DomainError('JWT_INVALID', 'The token is not valid.', { reason });
