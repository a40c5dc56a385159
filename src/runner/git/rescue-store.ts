import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { z } from 'zod';
import { makeFolder, readIfThere, removeDurably, writeDurably } from './durable.js';
import { removeTree } from './tree.js';

/** How long what a forced removal put aside is kept. */
export const KEPT_MS = 7 * 24 * 3600 * 1000;

/** Where the refs of rescues are, in each repository. */
export const RESCUE_REFS = 'refs/gatehouse/rescue/';

const RESCUE = z.strictObject({
  version: z.literal(1),
  id: z.string(),
  worktreeId: z.string(),
  repository: z.string(),
  name: z.string(),
  branch: z.string(),
  ref: z.string(),
  commit: z.string(),
  bundle: z.string(),
  bundleBytes: z.number(),
  createdAt: z.number(),
  keptUntil: z.number(),
});

export type Rescue = Readonly<z.infer<typeof RESCUE>>;

/** What forced removals have put aside: for each a record, a bundle, and a folder for repositories it found inside. */
export class RescueStore {
  constructor(
    private readonly folder: string,
    private readonly log: Logger,
  ) {}

  async open(): Promise<void> {
    await makeFolder(this.folder);
  }

  /** Where something of a rescue lies. */
  file(id: string, kind: 'json' | 'bundle' | 'index' | 'nested'): string {
    return join(this.folder, `${id}.${kind}`);
  }

  async write(rescue: Rescue): Promise<void> {
    await writeDurably(this.file(rescue.id, 'json'), JSON.stringify(rescue));
  }

  async read(id: string): Promise<Rescue | undefined> {
    const text = await readIfThere(this.file(id, 'json'));
    return text === undefined ? undefined : RESCUE.parse(JSON.parse(text));
  }

  /** Newest first; one whose record cannot be read is left out, and told to the log. */
  async list(): Promise<Rescue[]> {
    const ids = (await readdir(this.folder)).flatMap((name) => (name.endsWith('.json') ? [name.slice(0, -5)] : []));
    const rescues = await Promise.all(ids.map((id) => this.#tryRead(id)));
    return rescues.filter((each) => each !== undefined).toSorted((one, other) => other.createdAt - one.createdAt);
  }

  async #tryRead(id: string): Promise<Rescue | undefined> {
    try {
      return await this.read(id);
    } catch (error) {
      this.log.error({ err: error, rescue: id }, 'the record of a rescue cannot be read');
      return undefined;
    }
  }

  /** Forgets one; its ref is in the repository. */
  async remove(id: string): Promise<void> {
    for (const kind of ['bundle', 'index', 'nested'] as const) await removeTree(this.file(id, kind));
    await removeDurably(this.file(id, 'json'));
  }

  /** Takes away what a rescue left that was never finished. */
  async removeUnfinished(): Promise<void> {
    const names = await readdir(this.folder);
    for (const name of names) {
      const id = name.slice(0, name.indexOf('.'));
      if (!names.includes(`${id}.json`)) await removeTree(join(this.folder, name));
    }
  }
}
