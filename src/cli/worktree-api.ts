import type { Api } from './api.js';
import { Failure, plain } from './failure.js';
import type { Worktree } from './worktree-views.js';

/** How long git may take, milliseconds: somewhat longer than the server lets it. */
export const GIT_MS = 200_000;
/** Those that can be worked in, or will be. */
const THERE = new Set(['creating', 'ready', 'removing']);

/** Worktrees over REST, as a person names them. */
export class WorktreeApi {
  constructor(private readonly api: Api) {}

  /** All that the caller may see, newest first. @param all those too that are no more */
  async list(all: boolean): Promise<Worktree[]> {
    const worktrees = (await this.api.list('/worktrees')) as Worktree[];
    return all ? worktrees : worktrees.filter(({ state }) => THERE.has(state));
  }

  /**
   * The one worktree that is meant: by id; else among those that are there by name, beginning or end of the id.
   * @throws Failure when it is none, or several
   */
  async find(wanted: string): Promise<Worktree> {
    const worktrees = await this.list(true);
    const exact = worktrees.find(({ id }) => id === wanted);
    if (exact) return exact;
    const [found, ...others] = worktrees.filter(
      ({ id, name, state }) => THERE.has(state) && (name === wanted || id.startsWith(wanted) || id.endsWith(wanted)),
    );
    if (found === undefined) throw new Failure(`no worktree ${plain(wanted)}; see \`gatehouse worktree list\``);
    if (others.length > 0) {
      throw new Failure(`${others.length + 1} worktrees match ${plain(wanted)}; give more of the id`);
    }
    return found;
  }

  /** One call about one worktree. @param what below its address */
  async on(wanted: string, method: string, what: string, body?: object): Promise<unknown> {
    const { id } = await this.find(wanted);
    return this.api.call(method, `/worktrees/${encodeURIComponent(id)}/${what}`, body, GIT_MS);
  }
}
