import { randomInt } from 'node:crypto';
import { DomainError } from '../../kernel/errors.js';

const MAX_SLUG = 40;
const SUFFIX_LENGTH = 6;
const LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';
const MAX_REF_BYTES = 200;
const TENANT = /^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/;
const ID = /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/;

/** A name as a part of paths and refs: `[a-z0-9-]`, at most 40, never empty. Accents are dropped, letters stay. */
export function slugOf(name: string): string {
  const folded = name.normalize('NFKD').replaceAll(/\p{M}/gu, '').toLowerCase();
  const dashed = folded.replaceAll(/[^a-z0-9]+/g, '-').replace(/^-+/, '');
  return dashed.slice(0, MAX_SLUG).replace(/-+$/, '') || 'worktree';
}

/** `<slug>-<6 random>`: two of one name never meet. */
export function uniqueName(name: string): string {
  const suffix = Array.from({ length: SUFFIX_LENGTH }, () => LETTERS[randomInt(LETTERS.length)]);
  return `${slugOf(name)}-${suffix.join('')}`;
}

/** @throws DomainError INVALID_ARGUMENT when it cannot be the name of a file of ours */
export function checkId(id: string): string {
  if (ID.test(id)) return id;
  throw new DomainError('INVALID_ARGUMENT', 'id: letters, digits and dashes, 64 at most.');
}

/** @throws DomainError INVALID_ARGUMENT when it cannot be a folder's name */
export function checkTenant(tenant: string): string {
  if (TENANT.test(tenant)) return tenant;
  throw new DomainError('INVALID_ARGUMENT', 'tenant: letters, digits and dashes, 63 at most.');
}

/**
 * The rules of `git check-ref-format`, no leading dash and no ref of ours: what passes is no option, no revision
 * expression and no rescue.
 * @throws DomainError INVALID_ARGUMENT naming the field
 */
export function checkRef(field: string, ref: string): string {
  const refused =
    ref === '' ||
    ref === '@' ||
    ref.startsWith('refs/gatehouse/') || // rescues, of everybody's worktrees
    Buffer.byteLength(ref) > MAX_REF_BYTES ||
    /[\p{Cc} ~^:?*[\\]|\.\.|@\{|\/\/|\.$|\/$|^\/|^-/u.test(ref) ||
    ref.split('/').some((part) => part.startsWith('.') || part.endsWith('.lock'));
  if (refused) throw new DomainError('INVALID_ARGUMENT', `${field}: not the name of a branch, tag, ref or commit.`);
  return ref;
}

const MAX_PATH_BYTES = 4096;

/**
 * A path below a worktree, as git writes it.
 * @throws DomainError INVALID_ARGUMENT naming the field
 */
export function checkPath(field: string, path: string): string {
  const parts = path.split('/');
  const refused =
    path === '' ||
    path.includes('\0') ||
    Buffer.byteLength(path) > MAX_PATH_BYTES ||
    parts.some((part) => part === '' || part === '.' || part === '..' || part.toLowerCase() === '.git');
  if (refused) throw new DomainError('INVALID_ARGUMENT', `${field}: not a path below the worktree.`);
  return path;
}
