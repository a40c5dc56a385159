/**
 * Folders held open. A path is checked at one time and used at another, and in between somebody may put a symbolic link
 * in its place. An open folder stays the one that was checked: git and we reach it through its descriptor.
 */
import { closeSync, constants, openSync, readlinkSync } from 'node:fs';
import { sep } from 'node:path';
import { errnoOf } from '../errno.js';

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY;

export class Pinned {
  private constructor(
    /** Where it really was when it was opened. */
    readonly path: string,
    private readonly descriptor: number,
  ) {}

  /**
   * Opens a folder, through symbolic links.
   * @returns undefined when there is none
   */
  static open(path: string, flags = 0): Pinned | undefined {
    try {
      const descriptor = openSync(path, FOLDER | flags);
      return new Pinned(readlinkSync(`/proc/self/fd/${String(descriptor)}`), descriptor);
    } catch (error) {
      if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES', 'ENAMETOOLONG'].includes(errnoOf(error) ?? '')) return undefined;
      throw error;
    }
  }

  /** Opens a folder whose path has no symbolic link in it. */
  static openExact(path: string): Pinned | undefined {
    const pinned = Pinned.open(path, constants.O_NOFOLLOW);
    if (pinned === undefined || pinned.path === path) return pinned;
    pinned.close();
    return undefined;
  }

  /** Opens a folder directly in this one, unless it is a symbolic link. */
  child(name: string): Pinned | undefined {
    return Pinned.open(`${this.handle}/${name}`, constants.O_NOFOLLOW);
  }

  /** A path that leads to this very folder, in this process and in those it starts, while it is open. */
  get handle(): string {
    return `/proc/${String(process.pid)}/fd/${String(this.descriptor)}`;
  }

  close(): void {
    closeSync(this.descriptor);
  }
}

/** Is the path the folder itself or below it? Both are real paths. */
export function isInside(folder: string, path: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}
