/**
 * What two narrowings leave together: a permission passes the result when it passes both. Null is no narrowing.
 * @param a scopes as in {@link Principal.scopes}: `pty:view`, `pty:*`, either with `@<resource id>`
 */
export function intersectScopes(a: readonly string[] | null, b: readonly string[] | null): readonly string[] | null {
  if (a === null) return b;
  if (b === null) return a;
  return [...new Set(a.flatMap((one) => b.flatMap((other) => intersection(one, other) ?? [])))];
}

function intersection(a: string, b: string): string | null {
  const [one, other] = [parts(a), parts(b)];
  if (one.area !== other.area) return null;
  if (one.action !== other.action && one.action !== '*' && other.action !== '*') return null;
  if (one.id !== null && other.id !== null && one.id !== other.id) return null;
  const action = one.action === '*' ? other.action : one.action;
  const id = one.id ?? other.id;
  return `${one.area}:${action}${id === null ? '' : `@${id}`}`;
}

function parts(scope: string): { area: string; action: string; id: string | null } {
  const at = scope.indexOf('@');
  const name = at < 0 ? scope : scope.slice(0, at);
  const colon = name.indexOf(':');
  return { area: name.slice(0, colon), action: name.slice(colon + 1), id: at < 0 ? null : scope.slice(at + 1) };
}
