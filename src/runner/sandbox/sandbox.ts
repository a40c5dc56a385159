import { existsSync, realpathSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { DomainError } from '../../kernel/errors.js';
import { EXIT_NO_BUBBLEWRAP, EXIT_NO_NAMESPACES, EXIT_SHOWS_HIDDEN } from '../../kernel/link.js';
import { endsWell } from '../child.js';
import { isInside } from '../git/pinned.js';
import { BWRAP, probeCommand, sandboxCommand } from './command.js';
import { homePlace, type Place, repositoryPlace, type WorktreePlace, worktreePlace } from './place.js';
import { SYSTEM_FOLDERS } from './system.js';

/** What making a sandbox may take when it is tried out. */
const TRY_MS = 5000;

/** A sandbox was asked for and cannot be had; the runner ends with this exit code, which its gateway knows. */
export class SandboxUnavailable extends Error {
  constructor(
    readonly exitCode: number,
    message: string,
  ) {
    super(message);
    this.name = 'SandboxUnavailable';
  }
}

export interface SandboxOptions {
  readonly projectRoots: readonly string[];
  /** More that every sandbox shows, read-only, if it is there. */
  readonly readOnly: readonly string[];
  /** Never shown: where the runner and its gateway keep what is theirs. */
  readonly hidden: readonly string[];
  /** The home of the runner's user, empty in every sandbox; undefined: it has none. */
  readonly home: string | undefined;
  /** The worktree of this id. Rejects with DomainError NOT_FOUND and the like. */
  readonly worktree: (id: string) => Promise<WorktreePlace>;
}

/** What a session is to run. */
export interface Run {
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Puts one session into its sandbox. */
export interface Confinement {
  /** The working folder in it; undefined: the home. */
  readonly cwd: string | undefined;
  /** @throws DomainError START_FAILED when its program is not to be seen in there */
  wrap(run: Run): Run;
}

/** What a program of ours in the sandbox needs to be shown beside. */
export interface Extra {
  readonly readOnly: readonly string[];
  readonly writable: readonly string[];
}

const NOTHING: Extra = { readOnly: [], writable: [] };

/** Makes the sandboxes of a runner's sessions. */
export class Sandbox {
  private constructor(private readonly options: SandboxOptions) {}

  /** @throws SandboxUnavailable when this machine cannot make one, or it would show what is hidden */
  static async open(options: SandboxOptions): Promise<Sandbox> {
    const wrong = exposing(options);
    if (wrong !== undefined) {
      throw new SandboxUnavailable(EXIT_SHOWS_HIDDEN, `--sandbox-read-only ${wrong}: no sandbox may show that`);
    }
    if (!existsSync(BWRAP)) {
      throw new SandboxUnavailable(EXIT_NO_BUBBLEWRAP, `a sandbox needs ${BWRAP}, of the package bubblewrap`);
    }
    const [file = '', ...args] = probeCommand();
    if (!(await endsWell(file, args, { PATH: '/usr/bin:/bin' }, TRY_MS))) {
      throw new SandboxUnavailable(EXIT_NO_NAMESPACES, `${BWRAP} can make no namespaces on this machine`);
    }
    return new Sandbox(options);
  }

  /**
   * Decides what a session will see.
   * @param asked the worktree's id if it is in one, else the folder that was asked for, if any
   * @throws DomainError INVALID_ARGUMENT or START_FAILED for a folder that it cannot have; of the worktree what it is
   */
  async confine(asked: { worktreeId: string; cwd: string }, extra = NOTHING): Promise<Confinement> {
    const place = await this.#place(asked);
    return {
      cwd: place?.cwd,
      wrap: (run) => this.#wrap(place, run, extra),
    };
  }

  async #place({ worktreeId, cwd }: { worktreeId: string; cwd: string }): Promise<Place | undefined> {
    if (worktreeId !== '') return worktreePlace(await this.options.worktree(worktreeId));
    if (cwd === '') return undefined;
    const { projectRoots, hidden } = this.options;
    return repositoryPlace(cwd, projectRoots.flatMap(real), hidden.flatMap(real), realOr(homeOf(this.options)));
  }

  #wrap(asked: Place | undefined, { command, cwd, env }: Run, extra: Extra): Run {
    const { readOnly, hidden } = this.options;
    if ((env['HOME'] ?? '') !== (this.options.home ?? '')) {
      throw new DomainError('INVALID_ARGUMENT', 'env: HOME cannot be set in a sandbox, which has a home of its own.');
    }
    // It may have come to be, or to lead elsewhere, since the start.
    if (exposing(this.options) !== undefined) {
      throw new DomainError('START_FAILED', 'What every sandbox shows lies in what none may show.');
    }
    const home = homeOf(this.options);
    const place = asked ?? homePlace(home);
    const view = {
      cwd: place.cwd,
      home,
      writable: [...place.writable, ...extra.writable],
      readOnly: [...place.readOnly, ...readOnly.flatMap(real), ...extra.readOnly],
      hidden: [...hidden, ...(home === '/' ? [] : [home])].flatMap(real),
      kept: place.kept,
    };
    checkVisible(command[0] ?? '', cwd, env['PATH'], [...view.writable, ...view.readOnly, ...SYSTEM_FOLDERS]);
    return { command: sandboxCommand(view, command), cwd: '/', env };
  }
}

/**
 * The sandbox of what a gateway asks to be started.
 * @returns undefined where this runner has none
 * @throws DomainError START_FAILED when the gateway wants one and there is none; else as {@link Sandbox.confine}
 */
export async function confine(
  sandbox: Sandbox | undefined,
  request: { readonly sandbox?: string; readonly worktree_id?: string; readonly cwd?: string },
  extra?: Extra,
): Promise<Confinement | undefined> {
  if (sandbox) return sandbox.confine({ worktreeId: request.worktree_id ?? '', cwd: request.cwd ?? '' }, extra);
  if (['', 'none'].includes(request.sandbox ?? '')) return undefined;
  throw new DomainError('START_FAILED', 'The gateway wants a sandbox, and the runner was started without one.');
}

/** What programs know as the home; / is none. */
const homeOf = ({ home = '/' }: SandboxOptions): string => (isAbsolute(home) ? resolve(home) : '/');

/** @returns what every sandbox is to show and none may: a home as a whole, or what is hidden, or a part of that */
function exposing(options: SandboxOptions): string | undefined {
  const home = realOr(homeOf(options));
  const hidden = options.hidden.map(realOr);
  return options.readOnly.find((path) => {
    const shown = realOr(path);
    return shown === home || hidden.some((each) => isInside(each, shown));
  });
}

const realOr = (path: string): string => real(path)[0] ?? path;

const real = (path: string): string[] => (existsSync(path) ? [realpathSync(path)] : []);

/** @throws DomainError START_FAILED when the program is somewhere that the sandbox does not show */
function checkVisible(name: string, cwd: string, path: string | undefined, shown: readonly string[]): void {
  const places = name.includes('/')
    ? [resolve(cwd, name)]
    : (path ?? '/bin:/usr/bin')
        .split(delimiter)
        .filter(isAbsolute)
        .map((folder) => join(folder, name));
  const isShown = (file: string): boolean =>
    existsSync(file) &&
    (shown.includes(file) || [file, realpathSync(file)].every((each) => shown.some((one) => isInside(one, each))));
  // env(1), which starts it in there, would take such a name for a variable.
  if (!name.includes('=') && places.some(isShown)) return;
  throw new DomainError('START_FAILED', 'The command was not found in the sandbox.');
}
