import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { makeFolder, readIfThere, removeDurably, writeDurably } from './durable.js';
import { checkId } from './names.js';

const texts = z.array(z.string());

/** What is known of a worktree beside what git knows. */
const ENTRY = z.strictObject({
  version: z.literal(1),
  id: z.string(),
  state: z.enum(['creating', 'ready', 'removing']),
  /** Real path of the repository, and of the folder that git keeps its things in. */
  repository: z.string(),
  gitDir: z.string(),
  path: z.string(),
  /** The name of the folder, of git's record of the worktree, and of rescues. */
  name: z.string(),
  branch: z.string(),
  baseRef: z.string(),
  baseCommit: z.string(),
  createdAt: z.number(),
  adopted: z.boolean(),
  copied: texts,
  setup: texts,
  teardown: texts,
  /** While it is removed. */
  removal: z
    .strictObject({
      /** The commit of the branch that goes too; null: it stays. */
      branchCommit: z.string().nullable(),
      /** The rescue that was made, and the repositories inside the worktree that are moved there. */
      rescue: z.string().nullable(),
      nested: texts,
    })
    .nullable(),
});

export type Entry = Readonly<z.infer<typeof ENTRY>>;

/** One small file for each worktree, written before git is called, so that a start finds what a kill left half-made. */
export class Journal {
  constructor(
    private readonly folder: string,
    private readonly log: Logger,
  ) {}

  async open(): Promise<void> {
    await makeFolder(this.folder);
  }

  async write(entry: Entry): Promise<void> {
    await writeDurably(this.#file(entry.id), JSON.stringify(entry));
  }

  /** @returns undefined when there is none */
  async read(id: string): Promise<Entry | undefined> {
    const text = await readIfThere(this.#file(checkId(id)));
    return text === undefined ? undefined : ENTRY.parse(JSON.parse(text));
  }

  async remove(id: string): Promise<void> {
    await removeDurably(this.#file(id));
  }

  /** Every entry, oldest first; one that cannot be read is left out, and told to the log. */
  async list(): Promise<Entry[]> {
    const names = (await readdir(this.folder)).filter((name) => name.endsWith('.json'));
    const entries = await Promise.all(names.map((name) => this.#tryRead(name.slice(0, -'.json'.length))));
    return entries.filter((entry) => entry !== undefined).toSorted((one, other) => one.createdAt - other.createdAt);
  }

  async #tryRead(id: string): Promise<Entry | undefined> {
    try {
      return await this.read(id);
    } catch (error) {
      this.log.error({ err: error, worktree: id }, 'what is known of a worktree cannot be read');
      return undefined;
    }
  }

  #file(id: string): string {
    return join(this.folder, `${id}.json`);
  }
}
