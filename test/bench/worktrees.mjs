/**
 * How long a worktree of a repository with 10,000 files takes, on what `npm run build` made: node test/bench/worktrees.mjs
 * The checkout itself, which is the disk's, is told apart from the rest.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addWorktree, fillWorktree, planWorktree } from '../../dist/src/runner/git/create.js';
import { Journal } from '../../dist/src/runner/git/journal.js';
import { Places } from '../../dist/src/runner/git/places.js';
import { baseEnvironment } from '../../dist/src/runner/git/settings.js';
import { Worktree } from '../../dist/src/runner/git/worktree.js';

const FILES = 10_000;
const ROUNDS = 10;

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-bench-')));
const path = join(folder, 'projects', 'large');
for (let number = 0; number < FILES; number += 1) {
  const inside = join(path, `dir-${String(number % 100)}`);
  mkdirSync(inside, { recursive: true });
  writeFileSync(join(inside, `file-${String(number)}`), `content ${String(number)}\n`);
}
const git = (...args) => execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { cwd: path });
git('init', '-q');
git('add', '.');
git('commit', '-qm', 'first');

const places = new Places([join(folder, 'projects')], [], { env: baseEnvironment(process.env, {}), confined: null });
const journal = new Journal(join(folder, 'journal'));
await journal.open();
const made = [];
const checkouts = [];
for (let round = 0; round < ROUNDS; round += 1) {
  const began = performance.now();
  const request = { id: `w${String(round)}`, tenant: 'default', name: 'bench', branchPrefix: 'gatehouse/' };
  const repository = await places.open('large');
  const entry = await planWorktree(request, repository, join(folder, 'worktrees'), undefined);
  await journal.write(entry);
  await addWorktree(entry, repository);
  const worktree = await Worktree.open(entry, repository);
  const added = performance.now();
  const filled = await fillWorktree(worktree, [], false);
  const checkedOut = performance.now();
  await journal.write(filled);
  made.push(added - began + performance.now() - checkedOut);
  checkouts.push(checkedOut - added);
  worktree.close();
  repository.close();
}
const tell = (name, times) => {
  const sorted = times.toSorted((one, other) => one - other);
  console.log(`${name}: median ${sorted[ROUNDS / 2].toFixed(0)} ms, slowest ${sorted.at(-1).toFixed(0)} ms`);
};
console.log(`${String(FILES)} files, ${String(ROUNDS)} worktrees`);
tell('without the checkout', made);
tell('the checkout', checkouts);
rmSync(folder, { recursive: true, force: true });
