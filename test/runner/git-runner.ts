/** A real runner with project roots and a worktree root, real repositories in them, and calls that give promises. */
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import type { CreateWorktreeRequest } from '../../src/generated/gatehouse/runner/v1/CreateWorktreeRequest.js';
import type { CreateWorktreeResponse__Output } from '../../src/generated/gatehouse/runner/v1/CreateWorktreeResponse.js';
import type { GetStatusResponse__Output } from '../../src/generated/gatehouse/runner/v1/GetStatusResponse.js';
import type { RemoveWorktreeRequest } from '../../src/generated/gatehouse/runner/v1/RemoveWorktreeRequest.js';
import type { RemoveWorktreeResponse__Output } from '../../src/generated/gatehouse/runner/v1/RemoveWorktreeResponse.js';
import type { RunnerWorktree__Output } from '../../src/generated/gatehouse/runner/v1/RunnerWorktree.js';
import type { RunnerWorktreeServiceClient } from '../../src/generated/gatehouse/runner/v1/RunnerWorktreeService.js';
import { loadWorktreeProto } from '../../src/runner/proto.js';
import { codeOf, RunnerProcess } from './runner-process.js';
import { until } from './until.js';

/** Plain git as a person runs it, without anybody's settings. */
export function git(cwd: string, ...args: string[]): string {
  const identity = { GIT_AUTHOR_NAME: 'Ada', GIT_AUTHOR_EMAIL: 'ada@example.org' };
  const env = {
    ...identity,
    ...{ GIT_COMMITTER_NAME: 'Ada', GIT_COMMITTER_EMAIL: 'ada@example.org' },
    ...{ PATH: process.env['PATH'], HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1' },
  };
  return execFileSync('git', args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trimEnd();
}

/** Writes files, with the folders they are in. */
export function write(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
}

/** Makes a repository with one commit. */
export function makeRepository(
  path: string,
  files: Readonly<Record<string, string>> = { 'readme.md': 'hello\n' },
): string {
  mkdirSync(path, { recursive: true });
  git(path, 'init', '--quiet', '--initial-branch=main');
  write(path, files);
  git(path, 'add', '--all');
  git(path, 'commit', '--quiet', '--allow-empty', '-m', 'first');
  return path;
}

/** The code of the error that a call ends with. */
export async function refusal(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return 'no error';
  } catch (error) {
    return codeOf(error);
  }
}

export class GitRunner {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), 'gatehouse-git-')));
  readonly projects = join(this.folder, 'projects');
  readonly worktrees = join(this.folder, 'worktrees');
  #runner: RunnerProcess | undefined;
  #client: RunnerWorktreeServiceClient | undefined;
  /** Of runners that were killed: closed at the end, so that their last calls fail rather than wait. */
  readonly #old: RunnerWorktreeServiceClient[] = [];

  private constructor() {
    mkdirSync(this.projects);
  }

  static async start(...flags: string[]): Promise<GitRunner> {
    const runner = new GitRunner();
    await runner.run(flags);
    return runner;
  }

  /** One whose own environment is this. */
  static async startIn(env: NodeJS.ProcessEnv, ...flags: string[]): Promise<GitRunner> {
    const runner = new GitRunner();
    await runner.run(flags, env);
    return runner;
  }

  /** Starts a runner over what is there. */
  async run(flags: readonly string[] = [], env: NodeJS.ProcessEnv = process.env): Promise<void> {
    const trusted = ['--trusted-repository', join(this.projects, 'trusted')];
    const places = ['--project-root', this.projects, '--worktree-root', this.worktrees, ...trusted];
    const runner = RunnerProcess.spawn(join(this.folder, 'run'), [...places, ...flags], env);
    this.#runner = runner;
    await until(() => runner.output.join('').includes('"listening"'), 'the runner listens', 30_000);
  }

  get process(): RunnerProcess {
    if (!this.#runner) throw new Error('no runner was started');
    return this.#runner;
  }

  /** A repository under the project root; the one called `trusted` is. */
  repository(name: string, files?: Readonly<Record<string, string>>): string {
    return makeRepository(join(this.projects, name), files);
  }

  create(
    repository: string,
    rest: CreateWorktreeRequest = {},
  ): Promise<CreateWorktreeResponse__Output & { worktree: Made }> {
    const request = {
      id: randomUUID(),
      repository,
      tenant: 'default',
      name: 'fix it',
      branch_prefix: 'gatehouse/',
      ...rest,
    };
    return this.call('CreateWorktree', request);
  }

  status(id: string): Promise<GetStatusResponse__Output> {
    return this.call('GetStatus', { id });
  }

  remove(id: string, rest: RemoveWorktreeRequest = {}): Promise<RemoveWorktreeResponse__Output> {
    return this.call('RemoveWorktree', { id, ...rest });
  }

  /** Calls the service; with a deadline the caller gives up then. */
  call<Answer>(method: string, request: object, options: { readonly deadline?: number } = {}): Promise<Answer> {
    const { RunnerWorktreeService } = loadWorktreeProto();
    const address = `unix:${join(this.folder, 'run', 'control.sock')}`;
    this.#client ??= new RunnerWorktreeService(address, credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1, // a dead runner is not remembered
    });
    const client = this.#client as unknown as Record<
      string,
      (request: object, options: object, done: Done<Answer>) => void
    >;
    return new Promise((resolve, reject) => {
      client[method]?.(request, options, (error, answer) => {
        if (error) reject(error);
        else resolve(answer as Answer);
      });
    });
  }

  /** As a power cut would. */
  async kill(): Promise<void> {
    this.process.child.kill('SIGKILL');
    await this.process.exited;
    if (this.#client) this.#old.push(this.#client);
    this.#client = undefined;
  }

  async stop(): Promise<void> {
    for (const client of [...this.#old, this.#client]) client?.close();
    this.process.child.kill('SIGTERM');
    await this.process.exited;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export type Made = Required<Pick<RunnerWorktree__Output, 'id' | 'path' | 'branch' | 'base_ref' | 'base_commit'>>;
type Done<Answer> = (error: Error | null, answer?: Answer) => void;
