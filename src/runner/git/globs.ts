import { DomainError } from '../../kernel/errors.js';

const MAX_GLOBS = 100;
const MAX_GLOB_BYTES = 256;
/** Secrets are usually in files that begin so: they are copied only where a glob names them. */
const ENVIRONMENT_FILE = '.env';

/**
 * @throws DomainError INVALID_ARGUMENT naming the field
 */
export function checkGlobs(field: string, globs: readonly string[]): void {
  if (globs.length > MAX_GLOBS)
    throw new DomainError('INVALID_ARGUMENT', `${field}: ${String(MAX_GLOBS)} globs at most.`);
  for (const glob of globs) {
    const parts = glob.split('/');
    const refused =
      Buffer.byteLength(glob) > MAX_GLOB_BYTES ||
      glob.includes('\0') ||
      parts.some((part) => part === '' || part === '.' || part === '..' || part.toLowerCase() === '.git');
    if (refused) throw new DomainError('INVALID_ARGUMENT', `${field}: not a glob of paths below the repository.`);
  }
}

/**
 * Does a path match a glob? `*` and `?` stand for characters of one name, `**` for any number of folders, anything else
 * for itself. A name that begins with a dot is matched only by one that does; one that begins with `.env` only by one
 * that says so.
 */
export function matchesGlob(glob: string, path: string): boolean {
  return matchSequence(glob.split('/'), path.split('/'), (part) => part === '**', matchesName, isHidden);
}

function matchesName(pattern: string, name: string): boolean {
  if (isHidden(name) && !pattern.startsWith('.')) return false;
  if (name.startsWith(ENVIRONMENT_FILE) && !pattern.startsWith(ENVIRONMENT_FILE)) return false;
  return matchSequence(
    Array.from(pattern),
    Array.from(name),
    (each) => each === '*',
    matchesCharacter,
    () => false,
  );
}

const matchesCharacter = (pattern: string, character: string): boolean => pattern === '?' || pattern === character;
const isHidden = (name: string): boolean => name.startsWith('.');

/**
 * Matches items one by one, where a star stands for any number of them. Only the last star is ever tried again, so the
 * time is bounded by the product of the lengths.
 * @param kept what a star does not stand for
 */
function matchSequence(
  pattern: readonly string[],
  items: readonly string[],
  isStar: (each: string) => boolean,
  matches: (pattern: string, item: string) => boolean,
  kept: (item: string) => boolean,
): boolean {
  let at = 0;
  let star: { readonly after: number; taken: number } | undefined;
  for (let item = 0; item < items.length;) {
    const wanted = pattern[at];
    if (wanted !== undefined && isStar(wanted)) {
      star = { after: at + 1, taken: item };
      at += 1;
    } else if (wanted !== undefined && matches(wanted, items[item] ?? '')) {
      at += 1;
      item += 1;
    } else if (star && !kept(items[star.taken] ?? '')) {
      star.taken += 1;
      item = star.taken;
      at = star.after;
    } else return false;
  }
  return pattern.slice(at).every(isStar);
}
