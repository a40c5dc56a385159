import { PERMISSIONS, type Permission, permissionsOfArea } from './permissions.js';

/** What somebody does with their own sessions, agents and worktrees. */
const own: readonly Permission[] = [
  'pty:create',
  'pty:view',
  'pty:input',
  'pty:resize',
  'pty:signal',
  'pty:kill',
  'pty:share',
  'agent:start',
  'agent:view',
  'agent:message',
  'agent:stop',
  'agent:approve',
  'worktree:create',
  'worktree:view',
  'worktree:write',
  'worktree:remove',
];

/** What reaches other people's sessions, agents and worktrees. */
const everybodys = PERMISSIONS.filter(
  (permission) => /^(pty|agent|worktree):\w+_any$/.test(permission) || permission === 'pty:list_all',
);

/** Everything about the trail but taking somebody out of it. */
const auditing = [...(permissionsOfArea('audit:*') ?? [])].filter((permission) => permission !== 'audit:subject_erase');

/** The built-in roles and what they hold. `permissions.yaml` may narrow them, never widen. */
export const BUILT_IN_ROLES: ReadonlyMap<string, ReadonlySet<Permission>> = new Map([
  ['admin', new Set<Permission>(PERMISSIONS)],
  ['operator', new Set<Permission>([...own, ...everybodys, 'audit:read', 'token:revoke'])],
  ['user', new Set<Permission>([...own, 'api_key:create', 'api_key:view', 'api_key:revoke', 'api_key:rotate'])],
  ['viewer', new Set<Permission>(['pty:view', 'agent:view', 'worktree:view'])],
  ['auditor', new Set<Permission>([...auditing, 'policy:read'])],
]);

/** The name under which a role is known: `readonly` is `viewer`. */
export const canonicalRole = (name: string): string => (name === 'readonly' ? 'viewer' : name);

/** Every name under which a role may have been stored, given its canonical one. */
export const namesOfRole = (role: string): readonly string[] => (role === 'viewer' ? [role, 'readonly'] : [role]);

/** What a role of one's own may be called. */
export const ROLE_NAME = /^[a-z][a-z0-9_-]{0,63}$/;
