/** Repositories that try to make git run a program of theirs, and everything that the service does with them. */
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { git, GitRunner, refusal, write } from './git-runner.js';

export const ADA = { author_name: 'Ada', author_email: 'ada@example.org' };
const HOOKS = [
  ...['applypatch-msg', 'pre-commit', 'prepare-commit-msg', 'commit-msg', 'post-commit', 'pre-merge-commit'],
  ...['pre-rebase', 'post-rewrite', 'post-checkout', 'pre-push', 'reference-transaction', 'post-index-change'],
  ...['pre-receive', 'update', 'post-receive', 'post-update', 'proc-receive', 'push-to-checkout', 'pre-auto-gc'],
  ...['post-merge'],
];

/** Each call with `no error`, or the code of what it was refused for. */
export type Outcomes = Readonly<Record<string, string>>;

/** A runner, and a program that leaves a trace when it runs. */
export class Hostile {
  readonly program: string;
  readonly #canary: string;
  #made = 0;

  private constructor(readonly runner: GitRunner) {
    this.#canary = join(runner.folder, 'it-ran');
    this.program = join(runner.folder, 'program');
    // As a filter it passes on what it reads; as a server it must not wait for a client that waits for it.
    const passOn = 'case "$0" in */program | *filter*) cat ;; esac';
    writeFileSync(this.program, `#!/bin/sh\necho "$0 $*" >> '${this.#canary}'\n${passOn}\n`);
    chmodSync(this.program, 0o755);
  }

  static async start(...flags: string[]): Promise<Hostile> {
    return new Hostile(await GitRunner.start(...flags));
  }

  /** What ran, by the names that it ran under. */
  ran(): string {
    return existsSync(this.#canary) ? readFileSync(this.#canary, 'utf8') : '';
  }

  forget(): void {
    rmSync(this.#canary, { force: true });
  }

  /** A repository with a remote that is a folder. */
  repository(files: Readonly<Record<string, string>> = {}): string {
    this.#made += 1;
    const name = `hostile-${String(this.#made)}`;
    const repository = this.runner.repository(name, { 'a.txt': '1\n', 'b.bin': '1', ...files });
    git(this.runner.projects, 'clone', '-q', '--bare', repository, `${repository}-remote.git`);
    git(repository, 'remote', 'add', 'origin', `${repository}-remote.git`);
    return repository;
  }

  /** Sets what has P in it to the program, under the name of its setting, so that the canary tells which one ran. */
  configure(repository: string, config: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(config)) {
      const own = this.as(name);
      const fill = (text: string): string => text.replace(/(?<![A-Za-z])P(?![A-Za-z])/, own);
      git(repository, 'config', fill(name), fill(value));
    }
  }

  /** The program under another name. */
  as(name: string): string {
    const own = join(this.runner.folder, name.replaceAll(/[^a-zA-Z.]/g, '-'));
    if (!existsSync(own)) symlinkSync(this.program, own);
    return own;
  }

  /** Adds lines to a repository's configuration as they are. */
  append(repository: string, lines: string | Buffer): void {
    appendFileSync(join(repository, '.git', 'config'), lines);
  }

  installHooks(folder: string): void {
    mkdirSync(folder, { recursive: true });
    for (const hook of HOOKS) symlinkSync(this.program, join(folder, hook));
  }

  /** Everything that the service does, one after the other; what is refused is refused. */
  async useAll(repository: string): Promise<Outcomes> {
    const { runner } = this;
    const outcomes: Record<string, string> = {};
    const use = async (name: string, call: Promise<unknown>): Promise<void> => {
      outcomes[name] = await refusal(call);
    };
    await runner.call('ListRepositories', {});
    const { worktree } = await runner.create(repository, { copy: ['*.local'] });
    const { id, path } = worktree;
    write(path, { 'a.txt': 'changed\n', 'new.txt': 'x\n', 'b.bin': 'y' });
    await use('GetStatus', runner.call('GetStatus', { id, disk_use: true }));
    await use('GetDiff', runner.call('GetDiff', { id, path: 'a.txt' }));
    await use('GetLog', runner.call('GetLog', { id }));
    await use('Stage', runner.call('Stage', { id, paths: ['a.txt'] }));
    await use('Unstage', runner.call('Unstage', { id }));
    await use('Discard', runner.call('Discard', { id, path: 'b.bin' }));
    await use('Commit', runner.call('Commit', { id, message: 'x', ...ADA, all: true }));
    await use('Push', runner.call('Push', { id }));
    await use('Fetch', runner.create(repository, { fetch: true }));
    plainly(repository, () => {
      write(repository, { 'a.txt': 'base\n' });
      git(repository, '-c', 'core.hooksPath=/dev/null', 'commit', '-qam', 'base');
      if (outcomes['Commit'] !== 'no error') git(path, '-c', 'core.hooksPath=/dev/null', 'checkout', '-qf', 'HEAD');
    });
    for (const mode of ['rebase', 'merge']) await use(mode, runner.call('Integrate', { id, mode, ...ADA }));
    write(path, { 'a.txt': 'again\n', 'late.txt': 'x' });
    await use('Refused', runner.remove(id));
    await use('Remove', runner.remove(id, { force: true, delete_branch: true }));
    return outcomes;
  }
}

/** Runs git of the test's own without the repository's configuration, so that it runs nothing. */
export function plainly(repository: string, run: () => void): void {
  const config = join(repository, '.git', 'config');
  renameSync(config, `${config}.away`);
  writeFileSync(config, '[core]\n\trepositoryformatversion = 0\n');
  try {
    run();
  } finally {
    renameSync(`${config}.away`, config);
  }
}

/** All calls of {@link Hostile.useAll}, none refused. */
export const ALL_DONE: Outcomes = Object.fromEntries(
  [
    ...['GetStatus', 'GetDiff', 'GetLog', 'Stage', 'Unstage', 'Discard', 'Commit', 'Push', 'Fetch', 'rebase'],
    ...['merge', 'Refused', 'Remove'],
  ].map((name) => [name, 'no error']),
);
