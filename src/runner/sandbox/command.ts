/** The argument vector that runs a command in a sandbox of its own, made by bubblewrap. No shell reads any of it. */
import { isInside } from '../git/pinned.js';
import { systemMounts } from './system.js';

export const BWRAP = '/usr/bin/bwrap';
const ENV = '/usr/bin/env';

/**
 * Keys of the terminal, and the polite signals of an end, reach every process of the foreground, bwrap too when the
 * command is no shell. It would die of them and take the command along, so it ignores them and the command does not.
 */
const SIGNALS = 'HUP,INT,QUIT,TERM,TSTP,TTIN,TTOU,USR1,USR2,ALRM';

/**
 * Namespaces of its own but for the network. No session of its own: the terminal is the session's alone, so nothing can
 * be typed into another by it, and job control needs it.
 */
const NAMESPACES = ['--unshare-all', '--share-net', '--die-with-parent', '--cap-drop', 'ALL', '--hostname', 'sandbox'];

/** What a sandbox shows of the files. All paths are absolute and real. */
export interface View {
  /** The working folder. */
  readonly cwd: string;
  /** An empty folder that is gone at the end. */
  readonly home: string;
  readonly writable: readonly string[];
  readonly readOnly: readonly string[];
  /** Below what is shown, and not to be seen: empty there. */
  readonly hidden: readonly string[];
  /** Parts of what is writable that are not. They are there: as mount points they stay what they are. */
  readonly kept: readonly string[];
}

/** @returns a command that ends at once, in a sandbox with all that every sandbox needs */
export const probeCommand = (): string[] => [BWRAP, ...NAMESPACES, ...systemMounts(), '--', '/bin/true'];

/** @returns what runs `command` in a sandbox that shows this */
export function sandboxCommand(view: View, command: readonly string[]): string[] {
  return [
    ...[ENV, `--ignore-signal=${SIGNALS}`, '--', BWRAP, ...NAMESPACES],
    ...systemMounts(),
    // A home of / is the sandbox's own root.
    ...(view.home === '/' ? [] : ['--tmpfs', view.home]),
    ...shown('--ro-bind', view.readOnly, view.hidden),
    ...shown('--bind', view.writable, view.hidden),
    ...view.kept.flatMap((path) => ['--ro-bind', path, path]),
    ...['--remount-ro', '/', '--chdir', view.cwd],
    ...['--', ENV, `--default-signal=${SIGNALS}`, '--', ...command],
  ];
}

/**
 * Not for sessions but for what the runner itself starts on their files, with its own powers.
 * @returns what runs `command` so that it sees what `view` shows and nothing else of the machine's files
 */
export function helperCommand(view: View, command: readonly string[]): [string, ...string[]] {
  return [
    ...([BWRAP, '--unshare-pid', '--unshare-ipc', '--die-with-parent', ...systemMounts()] as const),
    ...(view.home === '/' ? [] : ['--tmpfs', view.home]),
    ...shown('--ro-bind', view.readOnly, view.hidden),
    ...nested(view),
    ...['--remount-ro', '/', '--chdir', view.cwd, '--', ...command],
  ];
}

/**
 * The same for what needs more of the machine than can be named, such as the keys of whoever runs it.
 * @returns what runs `command` with the machine as it is, but that nothing outside of what is writable can be written
 */
export function writeOnlyCommand(
  view: Pick<View, 'cwd' | 'writable' | 'kept'>,
  command: readonly string[],
): [string, ...string[]] {
  return [
    ...([BWRAP, '--die-with-parent', '--ro-bind', '/', '/', '--dev-bind', '/dev', '/dev'] as const),
    ...nested(view),
    ...['--chdir', view.cwd, '--', ...command],
  ];
}

/** Outer ones first: in a part that is kept another may be writable. */
function nested({ writable, kept }: Pick<View, 'writable' | 'kept'>): string[] {
  const mounts = [
    ...[...new Set(writable)].map((path) => ['--bind', path, path]),
    ...[...new Set(kept)].map((path) => ['--ro-bind', path, path]),
  ];
  return mounts.sort(([, one = ''], [, other = '']) => one.length - other.length).flat();
}

/** Outer folders first: a mount covers what was mounted below it before. */
function shown(how: '--bind' | '--ro-bind', paths: readonly string[], hidden: readonly string[]): string[] {
  const ordered = [...new Set(paths)].sort((one, other) => one.length - other.length);
  return ordered.flatMap((path) => [
    ...[how, path, path],
    ...hidden.filter((each) => each !== path && isInside(path, each)).flatMap((each) => ['--tmpfs', each]),
  ]);
}
