import type { Config } from '../config/load.js';
import { type Rate, rateOf } from '../kernel/gcra.js';
import type { Principal } from '../kernel/principal.js';
import type { AddressClass } from '../kernel/rate-limits.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

/** The name of the one throttler: calls that make something. */
export const CREATE = 'create';

/** How often addresses and principals may come. */
export interface Limits {
  readonly address: Readonly<Record<AddressClass, Rate>>;
  readonly principal: Rate;
  readonly create: Rate;
}

/** The limits as configured. */
export function limitsOf(config: Config): Limits {
  return {
    address: {
      stranger: rateOf(config.RATE_LIMIT_STRANGER_PER_MINUTE, MINUTE_MS, config.RATE_LIMIT_STRANGER_BURST),
      health: rateOf(config.RATE_LIMIT_HEALTH_PER_MINUTE, MINUTE_MS, config.RATE_LIMIT_HEALTH_BURST),
      auth: rateOf(config.RATE_LIMIT_AUTH_PER_MINUTE, MINUTE_MS, config.RATE_LIMIT_AUTH_BURST),
    },
    principal: rateOf(config.RATE_LIMIT_PRINCIPAL_PER_MINUTE, MINUTE_MS, config.RATE_LIMIT_PRINCIPAL_BURST),
    create: rateOf(config.RATE_LIMIT_CREATE_PER_HOUR, HOUR_MS, config.RATE_LIMIT_CREATE_BURST),
  };
}

/** Whose budget a call is taken from, and how large it is: the caller's, or of a key with a limit of its own the key's. */
export function budgetOf(
  principal: Principal,
  { principal: rate }: Limits,
): { readonly name: string; readonly rate: Rate } {
  const { keyId, ratePerMinute } = principal;
  if (keyId === null || ratePerMinute === undefined) return { name: `principal ${personOf(principal)}`, rate };
  return { name: `key ${keyId}`, rate: rateOf(ratePerMinute, MINUTE_MS, Math.min(ratePerMinute, rate.burst)) };
}

/** One person or program, however many keys they have. */
export const personOf = ({ tenant, provider, subject }: Principal): string =>
  JSON.stringify([tenant, provider, subject]);
