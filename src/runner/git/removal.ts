/** Takes a worktree away. Every step may be repeated: a start goes on where a killed runner stopped. */
import { existsSync } from 'node:fs';
import { cp, mkdir, rename, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
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

/** @returns whether the branch was deleted */
export async function finishRemoval(entry: Entry, { journal, rescues, repository }: RemovalContext): Promise<boolean> {
  if (entry.removal?.rescue) await moveNested(entry, rescues.file(entry.removal.rescue, 'nested'), repository);
  await removeTree(entry.path);
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
  await finishRemoval({ ...entry, removal: { branchCommit, rescue: null, nested: [] } }, context);
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

/** Repositories inside the worktree, and those that git keeps for its submodules. */
export async function moveNested(entry: Entry, to: string, repository?: Repository): Promise<void> {
  const { nested = [] } = entry.removal ?? {};
  if (nested.length === 0) return;
  await mkdir(to, { recursive: true, mode: 0o700 });
  for (const [index, path] of nested.entries()) {
    const from = Buffer.concat([Buffer.from(`${entry.path}/`), Buffer.from(path, 'latin1')]);
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
