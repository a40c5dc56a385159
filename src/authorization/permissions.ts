/** Everything that can be permitted here, `resource:action`. A permission without a row in the matrix test fails it. */
export const PERMISSIONS = [
  'pty:create',
  'pty:view',
  'pty:input',
  'pty:resize',
  'pty:signal',
  'pty:kill',
  'pty:list_all',
  'pty:view_any',
  'pty:input_any',
  'pty:resize_any',
  'pty:signal_any',
  'pty:kill_any',
] as const;

export type Permission = (typeof PERMISSIONS)[number];

/** The permission that reaches other people's resources too, where there is one (`pty:kill` → `pty:kill_any`). */
export function anyOf(permission: Permission): Permission | null {
  const wide = `${permission}_any`;
  return isPermission(wide) ? wide : null;
}

export function isPermission(value: string): value is Permission {
  return (PERMISSIONS as readonly string[]).includes(value);
}
