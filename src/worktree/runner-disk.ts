import type { Rescue__Output } from '../generated/gatehouse/runner/v1/Rescue.js';
import type { RunnerWorktree__Output } from '../generated/gatehouse/runner/v1/RunnerWorktree.js';
import type { RunnerWorktreeClient } from '../runner-link/runner-worktree-client.js';
import { rescueFacts } from './rescue-facts.js';
import type { RescueFacts } from './worktree-store.js';

/** What the runner had on disk at one moment. */
export class RunnerDisk {
  #rescues: Promise<Rescue__Output[]> | undefined;

  private constructor(
    private readonly runner: RunnerWorktreeClient,
    private readonly worktrees: ReadonlyMap<string, RunnerWorktree__Output>,
  ) {}

  /** @throws DomainError RUNNER_UNAVAILABLE */
  static async read(runner: RunnerWorktreeClient): Promise<RunnerDisk> {
    const worktrees = await runner.list();
    return new RunnerDisk(runner, new Map(worktrees.map((worktree) => [worktree.id ?? '', worktree])));
  }

  get ids(): string[] {
    return [...this.worktrees.keys()];
  }

  find(id: string): RunnerWorktree__Output | undefined {
    return this.worktrees.get(id);
  }

  /** What was put aside of a worktree that is not there; null when nothing was. Asked once, and only when it is needed. */
  async rescueOf(id: string): Promise<RescueFacts | null> {
    this.#rescues ??= this.runner.rescues();
    return rescueFacts((await this.#rescues).find(({ worktree_id: of }) => of === id));
  }
}
