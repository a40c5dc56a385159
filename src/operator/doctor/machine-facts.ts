import { execFile } from 'node:child_process';
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { inheritedEnvironment } from '../../config/inherited-environment.js';

const ASK_MS = 5000;

/** What there is to know of the machine and this process. Null: it cannot be known here. */
export interface MachineFacts {
  /** `24.16.0` */
  readonly node: string;
  /** `2.43.0`; null when there is no git that runs. */
  readonly git: string | null;
  readonly bubblewrap: boolean;
  readonly root: boolean;
  /** Files that a process may have open. */
  readonly openFiles: number | null;
  /** Bytes that this user may still write where DATA_DIR is, or will be. */
  readonly freeBytes: number | null;
}

export async function machineFacts(dataDir: string): Promise<MachineFacts> {
  return {
    node: process.versions.node,
    git: await gitVersion(),
    bubblewrap: existsSync('/usr/bin/bwrap'),
    root: process.getuid?.() === 0,
    openFiles: openFileLimit(),
    freeBytes: freeBytes(dataDir),
  };
}

async function gitVersion(): Promise<string | null> {
  try {
    const options = { env: inheritedEnvironment(), timeout: ASK_MS };
    const { stdout } = await promisify(execFile)('git', ['--version'], options);
    return /(\d+\.\d+(?:\.\d+)?)/.exec(stdout)?.[1] ?? null;
  } catch {
    return null;
  }
}

/** The soft limit of this process, which a gateway that is started in the same way has too. Linux tells it. */
function openFileLimit(): number | null {
  try {
    const [, limit] = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
    return limit === undefined ? null : Number(limit);
  } catch {
    return null;
  }
}

function freeBytes(path: string): number | null {
  let there = path;
  while (!existsSync(there) && there !== dirname(there)) there = dirname(there);
  try {
    const { bavail, bsize } = statfsSync(there);
    return bavail * bsize;
  } catch {
    return null;
  }
}
