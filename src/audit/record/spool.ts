import { existsSync, readFileSync } from 'node:fs';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AuditDraft } from './audit-event.js';

/** How much is read at once when the spool is replayed; longer than any event. */
const READ_BYTES = 1024 * 1024;
const NEWLINE = 0x0a;

/** The spool holds as much as it may. */
export class SpoolFullError extends Error {}

interface SpoolFile {
  readonly path: string;
  /** What was replayed of it. */
  offset: number;
  size: number;
}

/** What was read at once: the events, the lines that are none, and how far it goes. */
interface Page {
  readonly drafts: readonly AuditDraft[];
  readonly broken: readonly string[];
  readonly bytes: number;
}

const NOTHING: Page = { drafts: [], broken: [], bytes: 0 };

/**
 * Events that PostgreSQL could not take, one JSON line each, in a file of this process. A line is safe on the disk before
 * anybody is told. Files that a process left behind when it was killed are replayed by the next one that starts here.
 */
export class Spool {
  readonly #own: SpoolFile;
  /** Files of processes that are gone come first: they are older. */
  readonly #files: SpoolFile[];
  #handle: FileHandle | null = null;
  #page: Page | null = null;
  /** Something may stand behind the last whole line. */
  #torn = false;

  private constructor(
    private readonly directory: string,
    private readonly maxBytes: number,
    left: readonly SpoolFile[],
  ) {
    this.#own = { path: join(directory, ownName()), offset: 0, size: 0 };
    this.#files = [...left, this.#own];
  }

  /**
   * @param directory made when it is not there, mode 0700
   * @param maxBytes that may wait, together with what was left behind
   * @throws the system's error when the folder cannot be used
   */
  static async open(directory: string, maxBytes: number): Promise<Spool> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const left: SpoolFile[] = [];
    for (const name of (await readdir(directory)).sort()) {
      const path = isLeftBehind(name) ? await claimed(directory, name, left.length) : null;
      if (path !== null) left.push({ path, offset: 0, size: (await stat(path)).size });
    }
    return new Spool(directory, maxBytes, left);
  }

  /** Bytes that wait to be replayed. */
  get bytes(): number {
    return this.#files.reduce((sum, { offset, size }) => sum + size - offset, 0);
  }

  /** Whether there is room for anything more. */
  get hasRoom(): boolean {
    return this.bytes < this.maxBytes;
  }

  /**
   * Appends events; resolves when they are safe on the disk.
   * @throws SpoolFullError, or the system's error; then none of them is in the spool
   */
  async append(drafts: readonly AuditDraft[]): Promise<void> {
    const bytes = Buffer.from(drafts.map((draft) => `${JSON.stringify(draft)}\n`).join(''));
    if (this.bytes + bytes.length > this.maxBytes) throw new SpoolFullError('The spool of the audit trail is full.');
    const handle = await this.#opened();
    // Half a line must not stand before the next one.
    if (this.#torn) await handle.truncate(this.#own.size);
    this.#torn = true;
    await handle.appendFile(bytes);
    await handle.datasync();
    this.#torn = false;
    this.#own.size += bytes.length;
  }

  /** The next events to be replayed, and lines that are none; null when there are no more. They stay until {@link advance}. */
  async next(): Promise<Page | null> {
    for (;;) {
      const [file] = this.#files;
      if (file === undefined || (file === this.#own && file.offset === file.size)) return null;
      this.#page ??= await readPage(file).catch((error: unknown) => {
        // Somebody took it away. What is our own is not lost without a word.
        if (file !== this.#own && (error as NodeJS.ErrnoException).code === 'ENOENT') return NOTHING;
        throw error;
      });
      if (this.#page.bytes > 0) return this.#page;
      // What follows has no end: it was being written when its process was killed, and nobody was told of it.
      await this.#remove(file);
    }
  }

  /** What {@link next} gave is safe elsewhere. */
  async advance(): Promise<void> {
    const [file] = this.#files;
    if (file === undefined || this.#page === null) return;
    file.offset += this.#page.bytes;
    this.#page = null;
    if (file.offset === file.size) await this.#remove(file);
  }

  async close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = null;
  }

  async #opened(): Promise<FileHandle> {
    if (this.#handle) return this.#handle;
    const handle = await open(this.#own.path, 'a', 0o600);
    try {
      // The name is safe on the disk when its folder is.
      const folder = await open(this.directory, 'r');
      await folder.sync().finally(() => folder.close());
    } catch (error) {
      await handle.close();
      throw error;
    }
    this.#handle = handle;
    return handle;
  }

  async #remove(file: SpoolFile): Promise<void> {
    this.#page = null;
    if (file === this.#own) await this.close();
    await rm(file.path, { force: true });
    if (file !== this.#own) this.#files.shift();
    else [file.offset, file.size, this.#torn] = [0, 0, false];
  }
}

/** Whole lines from where the file was replayed to. */
async function readPage({ path, offset }: SpoolFile): Promise<Page> {
  const handle = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(READ_BYTES), 0, READ_BYTES, offset);
    const end = buffer.subarray(0, bytesRead).lastIndexOf(NEWLINE) + 1;
    const drafts: AuditDraft[] = [];
    const broken: string[] = [];
    for (const line of buffer.toString('utf8', 0, end).split('\n').slice(0, -1)) {
      const draft = parsed(line);
      if (draft === null) broken.push(line);
      else drafts.push(draft);
    }
    return { drafts, broken, bytes: end };
  } finally {
    await handle.close();
  }
}

/** Our own lines, in a folder that only we can write; a disk may have spoilt one. */
function parsed(line: string): AuditDraft | null {
  try {
    const { event, provider, people } = JSON.parse(line) as { [name in keyof AuditDraft]?: AuditDraft[name] | null };
    if (typeof event?.id !== 'string' || typeof event.timestamp !== 'string') return null;
    if (typeof people !== 'object' || people === null) return null;
    return { event, provider: provider ?? null, people };
  } catch {
    return null;
  }
}

/** With the process whose it is, and a number where that took it up from another. */
const NAME = /^spool-(\d+)-(\d+)(?:-\d+)?\.ndjson$/;
const ownName = (taken = ''): string => `spool-${String(process.pid)}-${startOf(process.pid)}${taken}.ndjson`;

/** Takes a file over, under a name of this process. @returns where it is; null when another process was first */
async function claimed(directory: string, name: string, number: number): Promise<string | null> {
  const path = join(directory, ownName(`-${String(number)}`));
  try {
    await rename(join(directory, name), path);
    return path;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** When a process started, in ticks since the machine did: a number of a process is given again, with another start. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, 'latin1');
    // After the name in brackets, which may have anything in it: the state, and as the 22nd field of all the start.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? '0' : (fields[19] ?? '0');
  } catch {
    return '0';
  }
}

/** Is it the spool of a process that is gone? */
function isLeftBehind(name: string): boolean {
  const [, pid, start] = NAME.exec(name) ?? [];
  if (pid === undefined) return false;
  if (existsSync('/proc/self/stat')) return startOf(Number(pid)) !== start;
  try {
    process.kill(Number(pid), 0);
    return Number(pid) === process.pid;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
