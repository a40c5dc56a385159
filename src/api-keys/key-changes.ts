import { isWithin } from '../kernel/cidr.js';
import type { FieldIssue } from '../kernel/errors.js';
import type { ApiKeyEntity } from './api-key.entity.js';
import type { UpdateCommand } from './api-keys.schema.js';

/** What bounds a key beside its roles. */
export type KeyBounds = Pick<ApiKeyEntity, 'scopes' | 'allowedCidrs' | 'rateLimitPerMinute' | 'expiresAt'>;

/**
 * What would be wider than before; a key is only ever narrowed.
 * @param wanted what is to change; a field that is left out stays
 * @param usualRate calls a minute of a caller without a limit of their own
 */
export function widened(before: KeyBounds, wanted: UpdateCommand, usualRate: number): FieldIssue[] {
  const { scopes = [], allowed_cidrs: cidrs = [], rate_limit_per_minute: rate, expires_at: expires } = wanted;
  const old = before.scopes;
  const issues = [
    ...(old === null ? [] : at('scopes', scopes, (scope) => old.some((each) => scopeWithin(scope, each)))),
    ...cidrsBeyond(before.allowedCidrs, cidrs),
  ];
  if (rate !== undefined && rate > (before.rateLimitPerMinute ?? usualRate)) {
    issues.push({ field: 'rate_limit_per_minute', problem: 'can only be lowered' });
  }
  if (expires !== undefined && before.expiresAt !== null && expires > before.expiresAt) {
    issues.push({ field: 'expires_at', problem: 'can only be earlier' });
  }
  return issues;
}

/** The networks that are not in those of before. */
export const cidrsBeyond = (before: readonly string[] | null, cidrs: readonly string[]): FieldIssue[] =>
  before === null ? [] : at('allowed_cidrs', cidrs, (cidr) => isWithin(cidr, before));

/**
 * Does the one scope let nothing through that the other does not? By their text: `pty:*` is never within a list of
 * permissions, however long, since it would grow with what is added to the area later.
 * @param inner a valid scope, as is `outer`
 */
export function scopeWithin(inner: string, outer: string): boolean {
  const [name, resource] = parts(inner);
  const [wideName, wideResource] = parts(outer);
  const named = name === wideName || (wideName.endsWith(':*') && name.startsWith(wideName.slice(0, -1)));
  return named && (wideResource === null || wideResource === resource);
}

function parts(scope: string): [name: string, resource: string | null] {
  const at = scope.indexOf('@');
  return at < 0 ? [scope, null] : [scope.slice(0, at), scope.slice(at + 1)];
}

const at = (field: string, entries: readonly string[], allowed: (entry: string) => boolean): FieldIssue[] =>
  entries.flatMap((entry, index) =>
    allowed(entry)
      ? []
      : [{ field: `${field}.${index}`, problem: 'is wider than before: a key is only ever narrowed' }],
  );
