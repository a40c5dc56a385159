/** Forgets what forced removals have put aside, when its time is over. */
import type { Logger } from 'pino';
import { requireNoLinks } from './links.js';
import type { Places } from './places.js';
import type { Git } from './repository.js';
import { KEPT_MS, RESCUE_REFS, type Rescue, type RescueStore } from './rescue-store.js';

/** Refs without a record that are looked at in one go, the oldest first. */
const MAX_STRAYS = 1000;

/**
 * Drops ref, bundle and record of each rescue whose time is over, and refs as old without a record: those of a runner
 * that was killed before it had written one. What cannot be dropped is told to the log, and tried again the next time.
 * @param repositories of the worktrees there are; those of the rescues are looked at too
 */
export async function dropOldRescues(
  store: RescueStore,
  repositories: readonly string[],
  places: Places,
  log: Logger,
): Promise<void> {
  const rescues = await store.list();
  const records = new Set(rescues.map(({ ref }) => ref));
  for (const path of new Set([...repositories, ...rescues.map(({ repository }) => repository)])) {
    await within(places, path, (git) => dropStrayRefs(git, records)).catch((error: unknown) => {
      log.error({ err: error, repository: path }, 'old refs of rescues could not be dropped');
    });
  }
  for (const rescue of rescues) {
    if (rescue.keptUntil > Date.now()) continue;
    await drop(rescue, store, places).catch((error: unknown) => {
      log.error({ err: error, rescue: rescue.id }, 'an old rescue could not be dropped');
    });
  }
}

async function drop({ id, repository, ref, commit }: Rescue, store: RescueStore, places: Places): Promise<void> {
  await within(places, repository, (git) => dropRef(git, ref, commit));
  await store.remove(id);
}

async function dropStrayRefs(git: Git, records: ReadonlySet<string>): Promise<void> {
  const format = '--format=%(refname) %(objectname) %(committerdate:unix)';
  const which = [`--count=${String(MAX_STRAYS)}`, '--sort=committerdate', RESCUE_REFS];
  const { stdout } = await git.run(['for-each-ref', format, ...which]);
  for (const line of stdout.toString().split('\n').slice(0, -1)) {
    const [ref = '', commit = '', seconds] = line.split(' ');
    const kept = records.has(ref) || Number(seconds) * 1000 + KEPT_MS > Date.now();
    if (!kept) await dropRef(git, ref, commit);
  }
}

async function dropRef(git: Git, ref: string, commit: string): Promise<void> {
  await git.run(['update-ref', '-d', ref, commit], { accept: [0, 1, 128] });
}

/** Nothing is done in a repository that is gone. */
async function within(places: Places, path: string, use: (git: Git) => Promise<void>): Promise<void> {
  const repository = await places.open(path).catch(() => undefined);
  try {
    if (!repository) return;
    await requireNoLinks(repository.gitDir);
    await use(repository);
  } finally {
    repository?.close();
  }
}
