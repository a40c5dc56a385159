import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** The user that PostgreSQL runs as. */
export interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** Where root's programs are, whatever the caller's PATH says. They get nothing else of our environment: it has secrets. */
const SYSTEM_PATH = '/usr/sbin:/usr/bin:/sbin:/bin';
const NAMES = ['gatehouse-postgres', 'postgres'];
const [OWN_NAME] = NAMES as [string, ...string[]];

/**
 * The account for PostgreSQL, which refuses to run as root: this user, or for root a system account, made if need be.
 * @returns null when this process is not root: PostgreSQL then runs as the same user
 * @throws Error when root has no such account and cannot make one
 */
export function postgresAccount(): Account | null {
  if (process.getuid?.() !== 0) return null;
  const existing = find();
  if (existing) return existing;
  // Debian and Red Hat have useradd, Alpine has BusyBox's adduser.
  const options = { stdio: 'ignore', env: { PATH: SYSTEM_PATH } } as const;
  spawnSync('useradd', ['--system', '--no-create-home', '--shell', '/usr/sbin/nologin', OWN_NAME], options);
  if (!find()) spawnSync('adduser', ['-S', '-H', '-s', '/sbin/nologin', OWN_NAME], options);
  const made = find();
  if (made) return made;
  throw new Error(
    'PostgreSQL refuses to run as root, and no account for it could be made. ' +
      'Start Gatehouse as an ordinary user, or give DATABASE_URL.',
  );
}

function find(): Account | null {
  const lines = readFileSync('/etc/passwd', 'utf8').split('\n');
  for (const name of NAMES) {
    const [, , uid, gid] = lines.find((line) => line.startsWith(`${name}:`))?.split(':') ?? [];
    if (uid !== undefined && gid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  return null;
}
