import { PERMISSIONS, type Permission } from './permissions.js';

const own: readonly Permission[] = ['pty:create', 'pty:view', 'pty:input', 'pty:resize', 'pty:signal', 'pty:kill'];

/** The built-in roles. A role that is not listed here grants nothing. */
const BUILT_IN: Readonly<Record<string, ReadonlySet<Permission>>> = {
  admin: new Set(PERMISSIONS),
  operator: new Set<Permission>([
    ...own,
    'pty:list_all',
    'pty:view_any',
    'pty:input_any',
    'pty:resize_any',
    'pty:signal_any',
    'pty:kill_any',
  ]),
  user: new Set(own),
  viewer: new Set<Permission>(['pty:view']),
  auditor: new Set<Permission>(),
};

const ALIASES: Readonly<Record<string, string>> = { readonly: 'viewer' };

export const BUILT_IN_ROLES = Object.keys(BUILT_IN);

/** Does this role hold the permission? Unknown roles hold none. */
export function roleHolds(role: string, permission: Permission): boolean {
  const name = Object.hasOwn(ALIASES, role) ? ALIASES[role] : role;
  return name !== undefined && Object.hasOwn(BUILT_IN, name) && BUILT_IN[name]?.has(permission) === true;
}
