import { isPermission, type Permission, permissionsOfArea } from './permissions.js';

/** A scope that was understood: the permissions it is about, on one resource or (null) on any. */
export interface Scope {
  readonly permissions: ReadonlySet<Permission>;
  readonly resource: string | null;
}

/** What can stand after the `@`: an id, or the name of a repository. */
const RESOURCE = /^[\x21-\x7e]{1,256}$/;

/**
 * Reads `pty:view`, `pty:*`, or either limited to one resource with `@<id>`.
 * @returns null for anything else, which therefore covers nothing
 */
export function parseScope(text: string): Scope | null {
  const at = text.indexOf('@');
  const name = at < 0 ? text : text.slice(0, at);
  const resource = at < 0 ? null : text.slice(at + 1);
  if (resource !== null && !RESOURCE.test(resource)) return null;
  const permissions = isPermission(name) ? new Set([name]) : permissionsOfArea(name);
  return permissions === null ? null : { permissions, resource };
}

/** Is this a scope: its syntax right, its permission or area one that there is? */
export const isScope = (text: string): boolean => parseScope(text) !== null;

/** The scopes of a credential that mean something; null when it is not narrowed. */
export const parseScopes = (texts: readonly string[] | null): readonly Scope[] | null =>
  texts === null ? null : texts.flatMap((text) => parseScope(text) ?? []);

/**
 * Do these scopes let this permission through?
 * @param resource id of the one resource it is asked for; null when it is about none, or about every one
 */
export function covers(scopes: readonly Scope[] | null, permission: Permission, resource: string | null): boolean {
  if (scopes === null) return true;
  return scopes.some(
    (scope) => scope.permissions.has(permission) && (scope.resource === null || scope.resource === resource),
  );
}
