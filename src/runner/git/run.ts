import type { ChildProcess } from 'node:child_process';
import { DomainError } from '../../kernel/errors.js';
import { endGroup, startChild } from '../child.js';
import { errnoOf } from '../errno.js';
import { type Confinable, confined, type Surroundings } from './confined.js';

/** How long a call may take that names no time of its own. */
export const DEFAULT_TIMEOUT_MS = 30_000;
/** What a call may write that names no bound of its own. */
export const DEFAULT_MAX_BYTES = 16 * 1024 * 1024;
/** The end of what it says about an error. */
const MAX_STDERR_BYTES = 16 * 1024;
/** Processes at a time, and calls that wait for one to end. */
const MAX_RUNNING = 16;
/** Of these, so many that use the network: a remote that does not answer holds up nobody else. */
const MAX_ON_NETWORK = 4;
const MAX_WAITING = 1000;

export interface GitRun extends Confinable {
  readonly input?: Buffer | string | undefined;
  /** Exit codes that are an answer and no failure; 0 when absent. */
  readonly accept?: readonly number[] | undefined;
  readonly maxBytes?: number | undefined;
  readonly timeoutMs?: number | undefined;
  /** It talks to a remote. */
  readonly network?: boolean | undefined;
  /** It sees and writes only what it is about, and this: {@link confined}; null or absent: it is not confined. */
  readonly confined?: Surroundings | null | undefined;
}

export interface GitResult {
  readonly code: number;
  readonly stdout: Buffer;
  readonly stderr: string;
  /** It had more to say than `maxBytes` and was ended for it. */
  readonly truncated: boolean;
}

const running = new Set<ChildProcess>();

// Each has a process group of its own, so nobody else ends them with the runner.
process.on('exit', () => {
  for (const child of running) endGroup(child);
});

/**
 * Runs git, with its whole process group bounded in time and output.
 * @throws DomainError GIT_FAILED, GIT_TIMEOUT, DISK_FULL, or WORKTREE_LIMIT when too many calls wait
 */
export async function runGit(run: GitRun): Promise<GitResult> {
  const result = await (run.network
    ? onNetwork.take(() => calls.take(() => execute(run)))
    : calls.take(() => execute(run)));
  if (run.confined && result.stderr.startsWith('bwrap: ')) throw failure(result);
  if (result.truncated || (run.accept ?? [0]).includes(result.code)) return result;
  throw failure(result);
}

/** The error that a failed call stands for; what git said is in the cause, for the log. */
export function failure({ code, stderr }: GitResult): DomainError {
  const cause = new Error(`git ended with ${String(code)}: ${stderr}`);
  if (/no space left on device|disk quota exceeded|file too large/i.test(stderr)) {
    return new DomainError('DISK_FULL', 'There is no space left on the device.', { cause });
  }
  return new DomainError('GIT_FAILED', `git failed: ${lastLine(stderr)}`, { cause });
}

/** The line that says what went wrong, without paths of ours that mean nothing to a reader. */
function lastLine(stderr: string): string {
  const lines = stderr.split('\n').filter((line) => line !== '');
  const line = lines.find((each) => /^(fatal|error): /.test(each)) ?? lines.at(-1) ?? 'it gave no reason';
  return line
    .replaceAll(/\/proc\/\d+\/fd\/\d+/g, '.')
    .replaceAll(/\p{Cc}/gu, ' ')
    .slice(0, 300);
}

/** So many at a time; the others wait, in the order of their coming. */
class Turns {
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(private readonly max: number) {}

  async take<Result>(run: () => Promise<Result>): Promise<Result> {
    if (this.#taken < this.max) this.#taken += 1;
    else if (this.#waiting.length >= MAX_WAITING)
      throw new DomainError('WORKTREE_LIMIT', 'Too many calls of git wait.');
    else await new Promise<void>((go) => this.#waiting.push(go));
    try {
      return await run();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#taken -= 1;
    }
  }
}

const calls = new Turns(MAX_RUNNING);
const onNetwork = new Turns(MAX_ON_NETWORK);

function execute(run: GitRun): Promise<GitResult> {
  const { maxBytes = DEFAULT_MAX_BYTES, timeoutMs = DEFAULT_TIMEOUT_MS, input } = run;
  return new Promise((resolve, reject) => {
    const { file, args, cwd, env } = run.confined ? confined(run, run.confined) : { ...run, file: 'git' };
    const child = startChild(file, args, {
      ...{ cwd, env },
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    running.add(child);
    const output = new Output(maxBytes, () => {
      endGroup(child);
    });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      endGroup(child);
      // A helper that left the group may hold them for ever.
      for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe?.destroy();
    }, timeoutMs);
    child.stdout?.on('data', (chunk: Buffer) => {
      output.add(chunk);
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      output.addError(chunk);
    });
    // It may end without reading all of it.
    child.stdin?.on('error', () => undefined).end(input);
    const settle = (): void => {
      clearTimeout(timer);
      running.delete(child);
    };
    child.on('error', (error) => {
      settle();
      reject(startFailure(error));
    });
    child.on('exit', () => {
      // A helper that it left behind would hold its pipes open.
      endGroup(child);
    });
    child.on('close', (code) => {
      settle();
      if (late) reject(new DomainError('GIT_TIMEOUT', `git took longer than ${String(timeoutMs / 1000)} s.`));
      else resolve(output.result(code ?? -1));
    });
  });
}

function startFailure(error: Error): DomainError {
  const message = errnoOf(error) === 'ENOENT' ? 'git is not installed on the runner.' : 'git could not be started.';
  return new DomainError('GIT_FAILED', message, { cause: error });
}

/** What a process has said, up to a bound. */
class Output {
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #stderr = Buffer.alloc(0);
  #truncated = false;

  constructor(
    private readonly maxBytes: number,
    private readonly onFull: () => void,
  ) {}

  add(chunk: Buffer): void {
    const room = this.maxBytes - this.#bytes;
    this.#chunks.push(chunk.subarray(0, room));
    this.#bytes += Math.min(chunk.length, room);
    if (chunk.length <= room || this.#truncated) return;
    this.#truncated = true;
    this.onFull();
  }

  addError(chunk: Buffer): void {
    const all = Buffer.concat([this.#stderr, chunk]);
    this.#stderr = all.subarray(Math.max(0, all.length - MAX_STDERR_BYTES));
  }

  result(code: number): GitResult {
    const stdout = Buffer.concat(this.#chunks);
    return { code, stdout, stderr: this.#stderr.toString(), truncated: this.#truncated };
  }
}
