/** Which programs are installed, and what each says of its version. */
import { realpathSync, statSync } from 'node:fs';
import { LRUCache } from 'lru-cache';
import { isInheritedEnvironmentName } from '../../kernel/environment.js';
import { DomainError } from '../../kernel/errors.js';
import { endGroup, startChild } from '../child.js';
import { findProgram } from './program.js';

/** Programs of one question. */
export const MAX_PROGRAMS = 64;
const MAX_VERSION_ARGS = 8;
/** Programs asked for their version at a time: each may be a large one. */
const AT_A_TIME = 3;
const MAX_KNOWN = 256;
/** What is read of an answer, and told of it. */
const MAX_ANSWER_BYTES = 4096;
const MAX_VERSION_LENGTH = 128;
export const VERSION_TIMEOUT_MS = 5000;

export interface ProgramToFind {
  readonly id: string;
  readonly binary: string;
  readonly versionArgs: readonly string[];
}

export interface FoundProgram {
  readonly id: string;
  readonly path: string;
  readonly version: string;
}

/** Looks for programs; a version is asked for once, as long as the file stays the same. */
export class Detector {
  readonly #known = new LRUCache<string, string>({ max: MAX_KNOWN });
  readonly #environment: Record<string, string>;

  /**
   * @param environment the runner's own, of which the programs get what a session inherits
   * @param timeoutMs how long a program may take to tell its version
   */
  constructor(
    environment: Readonly<Record<string, string | undefined>>,
    private readonly timeoutMs = VERSION_TIMEOUT_MS,
  ) {
    const inherited = Object.entries(environment).filter(([name]) => isInheritedEnvironmentName(name));
    this.#environment = Object.fromEntries(inherited.map(([name, value]) => [name, value ?? '']));
  }

  /** @throws DomainError INVALID_ARGUMENT */
  async detect(programs: readonly ProgramToFind[]): Promise<FoundProgram[]> {
    if (programs.length > MAX_PROGRAMS) throw invalid(`programs may be ${MAX_PROGRAMS} at most`);
    const found: FoundProgram[] = [];
    const places = programs.map((program) => ({ program, path: this.#find(program) }));
    for (let from = 0; from < places.length; from += AT_A_TIME) {
      const some = places.slice(from, from + AT_A_TIME);
      const answers = await Promise.all(some.map(({ program, path }) => this.#describe(program, path)));
      found.push(...answers.filter((answer) => answer !== undefined));
    }
    return found;
  }

  #find({ binary, versionArgs }: ProgramToFind): string | undefined {
    if (versionArgs.length > MAX_VERSION_ARGS || versionArgs.some((arg) => arg.includes('\0'))) {
      throw invalid('programs.version_args are too many, or contain a NUL character');
    }
    return findProgram(binary, this.#environment['PATH'], 'programs.binary');
  }

  async #describe(program: ProgramToFind, path: string | undefined): Promise<FoundProgram | undefined> {
    if (path === undefined) return undefined;
    try {
      const real = realpathSync(path);
      return { id: program.id, path: real, version: await this.#version(path, real, program.versionArgs) };
    } catch {
      return undefined; // removed this very moment
    }
  }

  async #version(path: string, real: string, args: readonly string[]): Promise<string> {
    if (args.length === 0) return '';
    const key = JSON.stringify([path, real, statSync(real).mtimeMs, args]);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const version = firstLine(await answerOf(path, args, this.#environment, this.timeoutMs));
    // One that said nothing may have had no time to: it is asked again.
    if (version !== '') this.#known.set(key, version);
    return version;
  }
}

/** What the program writes until it ends, its output is enough, or its time is over; then nothing of it is left. */
function answerOf(file: string, args: readonly string[], env: Record<string, string>, limit: number): Promise<string> {
  return new Promise((resolve) => {
    const child = startChild(file, args, { env, cwd: '/', stdio: ['ignore', 'pipe', 'ignore'] });
    const chunks: Buffer[] = [];
    const finish = (): void => {
      clearTimeout(timer);
      endGroup(child);
      child.stdout?.destroy();
      resolve(Buffer.concat(chunks).toString().slice(0, MAX_ANSWER_BYTES));
    };
    const timer = setTimeout(finish, limit);
    child.stdout?.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      if (chunks.reduce((sum, { length }) => sum + length, 0) >= MAX_ANSWER_BYTES) finish();
    });
    child.once('close', finish).once('error', finish);
  });
}

function firstLine(text: string): string {
  const lines = text.split('\n').map((line) => line.replace(/\p{Cc}/gu, '').trim());
  return lines.find((line) => line !== '')?.slice(0, MAX_VERSION_LENGTH) ?? '';
}

function invalid(problem: string): DomainError {
  return new DomainError('INVALID_ARGUMENT', `${problem}.`);
}
