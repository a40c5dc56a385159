import { grantsOf } from '../authorization/grants.js';
import { anyOf } from '../authorization/permissions.js';
import type { Policy } from '../authorization/policy.js';
import { canonicalRole } from '../authorization/roles.js';
import { covers, parseScopes } from '../authorization/scopes.js';
import type { Principal } from '../kernel/principal.js';
import type { ApiKeyEntity } from './api-key.entity.js';

/**
 * What a caller would do to other people's things with a key of another owner, and may not do by himself: such a key views
 * and ends that owner's terminals, which takes `pty:view_any` and `pty:kill_any`.
 * @returns the first `_any` permission that the caller lacks, with `@<resource>` where the key is for one only; null when
 *   the key reaches no further than he does
 */
export function beyondReach(
  caller: Principal,
  { roles, scopes }: Pick<ApiKeyEntity, 'roles' | 'scopes'>,
  policy: Policy,
): string | null {
  const own = grantsOf(caller, policy);
  const holds = new Set(roles.flatMap((role) => [...(policy.roles.get(canonicalRole(role)) ?? [])]));
  for (const { permissions, resource } of parseScopes(scopes) ?? [{ permissions: holds, resource: null }]) {
    for (const permission of permissions) {
      const wide = holds.has(permission) ? anyOf(permission) : null;
      if (wide === null || (own.held.has(wide) && covers(own.scopes, wide, resource))) continue;
      return resource === null ? wide : `${wide}@${resource}`;
    }
  }
  return null;
}
