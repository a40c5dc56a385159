/**
 * The native half of node-pty, and all that we rely on of its internals: `loadNativeModule` in lib/utils.js, and the
 * arguments of `fork` and `resize` (src/unix/pty.cc). The version is pinned exactly in package.json for this reason.
 *
 * Its JavaScript half is not used: it loses output when the process exits, and it writes keystrokes through libuv's
 * thread pool, where they wait for whatever else is there.
 */
import { createRequire } from 'node:module';
import { addMaster, withoutGaps } from './descriptors.js';
import type { SessionGroup } from './session-group.js';

interface NativeFork {
  readonly fd: number;
  readonly pid: number;
  /** Path of the slave device. */
  readonly pty: string;
}

interface NativeModule {
  fork(
    file: string,
    args: readonly string[],
    env: readonly string[],
    cwd: string,
    cols: number,
    rows: number,
    uid: number,
    gid: number,
    utf8: boolean,
    helperPath: string,
    onExit: (exitCode: number, signal: number) => void,
  ): NativeFork;
  resize(fd: number, cols: number, rows: number, widthPixels: number, heightPixels: number): void;
}

const require = createRequire(import.meta.url);
const { loadNativeModule } = require('node-pty/lib/utils.js') as {
  loadNativeModule: (name: string) => { module: NativeModule };
};
const native = loadNativeModule('pty').module;

export interface ForkOptions {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly cols: number;
  readonly rows: number;
  /** The control group that the process is born in. */
  readonly group?: SessionGroup | undefined;
}

/**
 * Starts a process on a new PTY. The child keeps no descriptor but 0, 1 and 2, and has default signal handling.
 * @param onExit told the exit code and the number of the signal that ended it, 0 for none
 */
export function forkPty(options: ForkOptions, onExit: (exitCode: number, signal: number) => void): NativeFork {
  const [file = '', ...args] = options.command;
  const env = Object.entries(options.env).map(([name, value]) => `${name}=${value}`);
  // -1: keep user and group. true: the line discipline erases whole UTF-8 characters. '': the helper is for macOS.
  const fork = (): NativeFork =>
    withoutGaps(() => native.fork(file, args, env, options.cwd, options.cols, options.rows, -1, -1, true, '', onExit));
  const child = options.group ? options.group.enter(fork) : fork();
  addMaster(child.fd);
  return child;
}

/** Sets the window size; the kernel tells the foreground process group when it differs. */
export function resizePty(fd: number, cols: number, rows: number): void {
  native.resize(fd, cols, rows, 0, 0);
}
