/** Everything that can be permitted here, `resource:action`. A permission without a row in the matrix test fails it. */
export const PERMISSIONS = [
  'pty:create',
  'pty:view',
  'pty:input',
  'pty:resize',
  'pty:signal',
  'pty:kill',
  'pty:share',
  'pty:list_all',
  'pty:view_any',
  'pty:input_any',
  'pty:resize_any',
  'pty:signal_any',
  'pty:kill_any',
  'pty:share_any',
  'agent:start',
  'agent:start_auto',
  'agent:view',
  'agent:message',
  'agent:stop',
  'agent:approve',
  'agent:view_any',
  'agent:message_any',
  'agent:stop_any',
  'agent:approve_any',
  'worktree:create',
  'worktree:view',
  'worktree:write',
  'worktree:remove',
  'worktree:view_any',
  'worktree:write_any',
  'worktree:remove_any',
  'api_key:create',
  'api_key:view',
  'api_key:revoke',
  'api_key:rotate',
  'api_key:list_all',
  'api_key:manage_any',
  'secrets:view',
  'secrets:write',
  'secrets:rekey',
  'recording:read',
  'recording:delete',
  'audit:read',
  'audit:export',
  'audit:verify',
  'audit:subject_export',
  'audit:subject_erase',
  'policy:read',
  'policy:write',
  'token:mint',
  'token:revoke',
  'config:read',
  'metrics:read',
] as const;

export type Permission = (typeof PERMISSIONS)[number];

const KNOWN: ReadonlySet<string> = new Set(PERMISSIONS);
const BY_AREA: ReadonlyMap<string, ReadonlySet<Permission>> = new Map(
  [...new Set(PERMISSIONS.map(areaOf))].map((area) => [
    area,
    new Set(PERMISSIONS.filter((permission) => areaOf(permission) === area)),
  ]),
);

export function isPermission(value: string): value is Permission {
  return KNOWN.has(value);
}

/** With these something is looked at, taken out or proven, and nothing is changed. */
const TO_LOOK = /:(?:view|view_any|list_all|read|export|subject_export|verify)$/;

/** Is it a permission to change something? */
export const isToChange = (permission: Permission): boolean => !TO_LOOK.test(permission);

/** What stands before the colon: `pty` of `pty:view`. */
export function areaOf(permission: Permission): string {
  return permission.slice(0, permission.indexOf(':'));
}

/** The permissions of `pty:*`; null when the text is not an area that there is, followed by `:*`. */
export const permissionsOfArea = (text: string): ReadonlySet<Permission> | null =>
  text.endsWith(':*') ? (BY_AREA.get(text.slice(0, -2)) ?? null) : null;

/** Keys have one permission for all that can be done to other people's. */
const KEY_ACTIONS: ReadonlySet<Permission> = new Set<Permission>(['api_key:view', 'api_key:revoke', 'api_key:rotate']);

function findAnyOf(permission: Permission): Permission | null {
  if (KEY_ACTIONS.has(permission)) return 'api_key:manage_any';
  const wide = `${permission}_any`;
  return isPermission(wide) ? wide : null;
}

function findSightOf(permission: Permission): readonly Permission[] {
  const area = areaOf(permission);
  if (area === 'api_key') return ['api_key:list_all', 'api_key:manage_any'];
  const view = `${area}:view_any`;
  return isPermission(view) ? [view] : [];
}

/** Found once: every keystroke asks for them. */
const ANY_OF: ReadonlyMap<Permission, Permission | null> = new Map(PERMISSIONS.map((each) => [each, findAnyOf(each)]));
const SIGHT_OF: ReadonlyMap<Permission, readonly Permission[]> = new Map(
  PERMISSIONS.map((each) => [each, findSightOf(each)]),
);

/** The permission that reaches other people's resources too, where there is one (`pty:kill` → `pty:kill_any`). */
export const anyOf = (permission: Permission): Permission | null => ANY_OF.get(permission) ?? null;

/** The permissions of which each lets its holder know that other people's resources of this permission's area exist. */
export const sightOf = (permission: Permission): readonly Permission[] => SIGHT_OF.get(permission) ?? [];

/** Names of the older specification, which policy files may still use; nothing else may. */
const ALIASES: ReadonlyMap<string, Permission> = new Map<string, Permission>([
  ['CreateSession', 'pty:create'],
  ['ViewSession', 'pty:view'],
  ['SendInput', 'pty:input'],
  ['KillSession', 'pty:kill'],
  ['ListAllSessions', 'pty:list_all'],
  ['KillAnySession', 'pty:kill_any'],
  ['create_session', 'pty:create'],
  ['view_session', 'pty:view'],
  ['send_input', 'pty:input'],
  ['kill_session', 'pty:kill'],
  ['list_all_sessions', 'pty:list_all'],
  ['kill_any_session', 'pty:kill_any'],
]);

/** What an entry of a policy file stands for: a permission, an alias of one, or `area:*`; null when it is nothing. */
export function permissionsNamed(entry: string): readonly Permission[] | null {
  if (isPermission(entry)) return [entry];
  const alias = ALIASES.get(entry);
  if (alias !== undefined) return [alias];
  const area = permissionsOfArea(entry);
  return area === null ? null : [...area];
}
