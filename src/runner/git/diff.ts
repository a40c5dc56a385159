import { type DiffFile, type Hunk, parseDiffFiles, parseHunks } from './diff-parser.js';
import { checkPath } from './names.js';
import { firstCommit, resolveRef } from './refs.js';
import { baseNow } from './status.js';
import type { Worktree } from './worktree.js';

const MAX_FILES = 5000;
const LIST_BYTES = 16 * 1024 * 1024;
/** The hunks of one file. */
const MAX_PATCH_BYTES = 1024 * 1024;

const PLAIN = ['--no-ext-diff', '--no-textconv', '--no-color', '--no-relative', '--find-renames'];
const SUBMODULES = ['--submodule=short', '--ignore-submodules=dirty'];

export interface Diff {
  /** The commit that was compared with. */
  readonly against: string;
  readonly files: readonly DiffFile[];
  readonly truncated: boolean;
  readonly hunks: readonly Hunk[];
  readonly hunksOmitted: boolean;
}

/**
 * What differs between a commit and the files as they are now; files that git does not follow are not in it.
 * @param against `HEAD`, a ref or a commit; where the branch left its base when undefined
 * @param path the file whose hunks are wanted
 */
export async function readDiff(worktree: Worktree, against?: string, path?: string): Promise<Diff> {
  if (path !== undefined) checkPath('path', path);
  const commit = await findCommit(worktree, against);
  const args = ['diff', ...PLAIN, ...SUBMODULES, '--raw', '--numstat', '-z', commit, '--'];
  const { stdout, truncated } = await worktree.run(args, { maxBytes: LIST_BYTES });
  const files = parseDiffFiles(stdout);
  const file = files.find((each) => each.path.toString() === path);
  const { hunks, omitted } = file ? await readHunks(worktree, commit, file) : { hunks: [], omitted: false };
  return {
    ...{ against: commit, files: files.slice(0, MAX_FILES), truncated: truncated || files.length > MAX_FILES },
    ...{ hunks, hunksOmitted: omitted },
  };
}

async function findCommit(worktree: Worktree, against: string | undefined): Promise<string> {
  if (against === undefined) return forkPoint(worktree);
  const head = against === 'HEAD' ? await firstCommit(worktree, ['HEAD']) : undefined;
  return (head ?? (await resolveRef(worktree, 'against', against))).commit;
}

/** The newest commit that the branch and its base share; the base when they share none. */
async function forkPoint(worktree: Worktree): Promise<string> {
  const base = await baseNow(worktree, worktree.entry);
  if (!(await firstCommit(worktree, ['HEAD']))) return base;
  const { stdout, code } = await worktree.run(['merge-base', base, 'HEAD'], { accept: [0, 1] });
  return code === 0 ? stdout.toString().trimEnd() : base;
}

async function readHunks(
  worktree: Worktree,
  commit: string,
  { path, oldPath, binary }: DiffFile,
): Promise<{ hunks: Hunk[]; omitted: boolean }> {
  if (binary) return { hunks: [], omitted: true };
  const paths = [path, ...(oldPath ? [oldPath] : [])].map(String);
  const args = ['diff', ...PLAIN, ...SUBMODULES, '--unified=3', '--inter-hunk-context=0', commit, '--', ...paths];
  const { stdout, truncated } = await worktree.run(args, { maxBytes: MAX_PATCH_BYTES });
  return truncated ? { hunks: [], omitted: true } : { hunks: parseHunks(stdout.toString()), omitted: false };
}
