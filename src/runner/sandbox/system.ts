/** What of the machine every sandbox shows, read-only: programs, libraries, and what they need to know of the system. */
import { existsSync, lstatSync, readlinkSync } from 'node:fs';

/** On a merged system links into /usr, which are made again; folders of their own elsewhere. */
const FOLDERS = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];

/** Of /etc nothing else: what is there may be secret, or name one. */
const SETTINGS = [
  ...['alternatives', 'ca-certificates', 'ca-certificates.conf', 'crypto-policies', 'debian_version', 'fonts'],
  ...['bash.bashrc', 'gai.conf', 'group', 'host.conf', 'hosts', 'inputrc', 'ld.so.cache', 'ld.so.conf'],
  ...['ld.so.conf.d', 'locale.alias', 'localtime', 'magic', 'mime.types', 'nsswitch.conf', 'os-release', 'passwd'],
  ...['pki', 'profile', 'profile.d', 'protocols', 'resolv.conf', 'services', 'shells', 'ssl', 'terminfo', 'timezone'],
  ...['ssh/ssh_config', 'ssh/ssh_known_hosts', 'vim', 'zsh', 'java'],
];

/** Where programs lie that every sandbox has. */
export const SYSTEM_FOLDERS = ['/usr', ...FOLDERS];

/**
 * For a runner that is root: its sandboxes have none of its powers, but the kernel still lets that user write its
 * settings, of which one names a program to run, and read its memory. So the first are read-only, and these are empty.
 */
const KERNEL = [
  'kcore',
  'kmsg',
  'kallsyms',
  'kpagecgroup',
  'kpagecount',
  'kpageflags',
  'mtrr',
  'sysrq-trigger',
  'timer_list',
];

/** The arguments of bwrap that show the system. */
export function systemMounts(): string[] {
  return [
    ...['--ro-bind', '/usr', '/usr'],
    ...FOLDERS.flatMap((folder) => mountOf(folder)),
    ...SETTINGS.flatMap((name) => ['--ro-bind-try', `/etc/${name}`, `/etc/${name}`]),
    ...['--proc', '/proc', '--ro-bind', '/proc/sys', '/proc/sys', '--dev', '/dev'],
    ...KERNEL.filter((name) => existsSync(`/proc/${name}`)).flatMap((name) => [
      '--ro-bind',
      '/dev/null',
      `/proc/${name}`,
    ]),
    ...['--tmpfs', '/tmp', '--tmpfs', '/var/tmp', '--tmpfs', '/run'],
  ];
}

function mountOf(folder: string): string[] {
  const found = lstatSync(folder, { throwIfNoEntry: false });
  if (found === undefined) return [];
  if (found.isSymbolicLink()) return ['--symlink', readlinkSync(folder), folder];
  return ['--ro-bind', folder, folder];
}
