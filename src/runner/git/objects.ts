/** Where git takes objects from: of whatever is there, every commit can be checked out by its id. */
import { constants, realpathSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { resolve } from 'node:path';
import { DomainError } from '../../kernel/errors.js';
import { errnoOf } from '../errno.js';
import { entriesOf, leadsElsewhere } from './links.js';

/** Folders of objects of other repositories, those that they name in turn among them; git itself goes five deep. */
const MAX_ALTERNATES = 16;
const MAX_BYTES = 64 * 1024;
/** In a folder of objects, what may hold a link to other objects; `.` is the folder itself. */
const PARTS = ['.', 'info', 'pack'];
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/**
 * Looks where a repository takes its objects from.
 * @param objects its folder of objects, in any form that leads there
 * @param allows whether objects may be in this folder, given by its real path
 * @throws DomainError GIT_FAILED for symbolic links, and for alternates that are elsewhere, not there or too many
 */
export async function requireOwnObjects(objects: string, allows: (path: string) => boolean): Promise<void> {
  const pending = [realpathSync(objects)];
  const seen = new Set(pending);
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    await refuseLinks(folder);
    for (const line of await alternatesOf(folder)) {
      const real = realFolder(folder, line);
      if (real === undefined || !allows(real) || seen.size > MAX_ALTERNATES) throw elsewhere();
      if (!seen.has(real)) pending.push(real);
      seen.add(real);
    }
  }
}

async function refuseLinks(objects: string): Promise<void> {
  for (const part of PARTS) {
    const linked = (await entriesOf(objects, Buffer.from(part))).find((entry) => entry.isSymbolicLink());
    if (linked) throw leadsElsewhere(`objects/${part}/${linked.name.toString()}`.replace('/./', '/'));
  }
}

/** The lines of its list. Git knows a quoted form too, which it never writes; it is taken as it stands, and is not there. */
async function alternatesOf(objects: string): Promise<string[]> {
  const file = await open(`${objects}/info/alternates`, READ).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  });
  try {
    const found = await file?.stat();
    if (!file || !found) return [];
    if (!found.isFile() || found.size > MAX_BYTES) throw elsewhere();
    const lines = (await file.readFile('utf8')).split('\n');
    return lines.filter((line) => line !== '' && !line.startsWith('#'));
  } finally {
    await file?.close();
  }
}

function realFolder(objects: string, line: string): string | undefined {
  // A quoted path, to git, is another than what stands here.
  if (line.startsWith('"')) return undefined;
  try {
    return realpathSync(resolve(objects, line));
  } catch {
    return undefined;
  }
}

/** One answer for all reasons: which folders there are elsewhere is not told. */
function elsewhere(): DomainError {
  return new DomainError(
    'GIT_FAILED',
    'The repository takes objects from elsewhere than the project roots (objects/info/alternates): it is not used.',
  );
}
