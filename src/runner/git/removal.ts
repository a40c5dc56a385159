/** Takes a worktree away. Every step may be repeated: a start goes on where a killed runner stopped. */
import { existsSync } from 'node:fs';
import { cp, mkdir, rename, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { DomainError } from '../../kernel/errors.js';
import { errnoOf } from '../errno.js';
import type { Entry, Journal } from './journal.js';
import type { Repository } from './repository.js';
import type { RescueStore } from './rescue-store.js';
import { removeTree } from './tree.js';
import { openAdmin } from './worktree.js';

/** What a removal needs beside the worktree's entry. */
export interface RemovalContext {
  readonly journal: Journal;
  readonly rescues: RescueStore;
  /** Undefined when the repository itself is gone. */
  readonly repository: Repository | undefined;
}

/** Where a worktree's folder is while it is removed: beside its place, under a name that nobody was told. */
export const asideOf = ({ path, name }: Entry): string => join(dirname(path), `.${name}.removing`);

/**
 * Moves the folder away from its path, so that nobody who writes by that path reaches it any more. What appears there
 * afterwards is somebody's new folder, and stays.
 * @throws DomainError WORKTREE_NOT_READY when it cannot be moved
 */
export async function setAside(entry: Entry): Promise<void> {
  if (!existsSync(asideOf(entry))) await moveFolder(entry.path, asideOf(entry));
}

/** Undoes that. */
export async function putBack(entry: Entry): Promise<void> {
  await moveFolder(asideOf(entry), entry.path);
}

async function moveFolder(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return; // somebody has deleted it
    throw new DomainError('WORKTREE_NOT_READY', 'The worktree’s folder cannot be moved.', { cause });
  }
}

/**
 * @param folder what is taken away
 * @returns whether the branch was deleted
 */
export async function finishRemoval(
  entry: Entry,
  { journal, rescues, repository }: RemovalContext,
  folder = asideOf(entry),
): Promise<boolean> {
  if (entry.removal?.rescue) await moveNested(entry, rescues.file(entry.removal.rescue, 'nested'), repository);
  await removeTree(folder);
  if (repository) await removeAdmin(entry, repository);
  const commit = entry.removal?.branchCommit;
  const deleted = repository && commit ? await deleteBranch(entry.branch, commit, repository) : false;
  await removeEmptyFolders(entry);
  await journal.remove(entry.id);
  return deleted;
}

/** Undoes a creation: nobody has worked in it, and the branch goes when it was made for it. */
export async function undoCreation(entry: Entry, context: RemovalContext): Promise<void> {
  // A branch whose name ends with our six random characters, and which is where we put it, is ours.
  const branchCommit = entry.adopted ? null : entry.baseCommit;
  await finishRemoval({ ...entry, removal: { branchCommit, rescue: null, nested: [] } }, context, entry.path);
}

/** Git's record of this worktree and of no other. */
async function removeAdmin(entry: Entry, repository: Repository): Promise<void> {
  const admin = openAdmin(repository, entry.name);
  admin?.close();
  if (admin) await removeTree(`${repository.gitDir.handle}/worktrees/${entry.name}`);
}

/** @returns false when it is not where it is expected any more, or is checked out elsewhere */
async function deleteBranch(branch: string, commit: string, repository: Repository): Promise<boolean> {
  const ref = `refs/heads/${branch}`;
  const { stdout } = await repository.run(['worktree', 'list', '--porcelain', '-z']);
  if (stdout.toString().split('\0').includes(`branch ${ref}`)) return false;
  const { code } = await repository.run(['update-ref', '-d', ref, commit], { accept: [0, 1, 128] });
  return code === 0;
}

/** Repositories inside the worktree, whose folder is moved aside, and those that git keeps for its submodules. */
export async function moveNested(entry: Entry, to: string, repository?: Repository): Promise<void> {
  const { nested = [] } = entry.removal ?? {};
  if (nested.length === 0) return;
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const [index, path] of nested.entries()) {
    const from = Buffer.concat([Buffer.from(`${asideOf(entry)}/`), Buffer.from(path, 'latin1')]);
    await move(from, join(to, String(index)));
  }
  if (repository)
    await move(Buffer.from(`${repository.gitDir.handle}/worktrees/${entry.name}/modules`), join(to, 'modules'));
}

async function move(from: Buffer, to: string): Promise<void> {
  // By an earlier try. What is there again since then is another, and is looked at by the inspection.
  if (existsSync(to)) return;
  try {
    await rename(from, to);
  } catch (error) {
    // It was never there; of a worktree's `.git`, which is a file, nothing is below.
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return;
    if (errnoOf(error) !== 'EXDEV') throw error;
    await cp(from.toString(), to, { recursive: true, verbatimSymlinks: true, force: true });
  }
}

/** The folders of the repository and the tenant, when this was their last worktree. */
async function removeEmptyFolders({ path }: Entry): Promise<void> {
  for (const folder of [dirname(path), dirname(dirname(path))]) {
    try {
      await rmdir(folder);
    } catch {
      return; // others are in it
    }
  }
}
