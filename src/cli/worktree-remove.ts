import { Api, Refused } from './api.js';
import { JSON_FLAG, only, parsed } from './arguments.js';
import { loadCredentials } from './credentials.js';
import { plain, UsageError } from './failure.js';
import { printJson, tell } from './output.js';
import { GIT_MS, WorktreeApi } from './worktree-api.js';
import type { Worktree } from './worktree-views.js';

interface Removed extends Worktree {
  readonly branch_deleted: boolean;
  readonly rescue: { readonly ref: string; readonly kept_until: string } | null;
  readonly teardown: { readonly session_id: string | null; readonly failure: string | null } | null;
}

/** `gatehouse worktree remove`. */
export async function remove(args: string[]): Promise<number> {
  const { values, positionals } = parsed(args, {
    force: { type: 'boolean', default: false },
    confirm: { type: 'string' },
    'delete-branch': { type: 'boolean', default: false },
    ...JSON_FLAG,
  });
  const wanted = only(positionals, 'remove takes one worktree');
  const { force, confirm } = values;
  if (force !== (confirm !== undefined)) throw new UsageError('--force and --confirm NAME go together');
  const api = new Api(loadCredentials());
  const worktree = await new WorktreeApi(api).find(wanted);
  const body = { force, confirm, delete_branch: values['delete-branch'] };
  const removed = (await api
    .call('DELETE', `/worktrees/${encodeURIComponent(worktree.id)}`, body, GIT_MS)
    .catch((error: unknown) => {
      if (error instanceof Refused) tellStake(worktree, error);
      throw error;
    })) as Removed;
  if (values.json) printJson(removed);
  else console.log(removedText(removed));
  return 0;
}

/** What is in the way, and how it is removed all the same. */
function tellStake({ name }: Worktree, { atStake, truncated }: Refused): void {
  if (atStake.length === 0) return;
  for (const { kind, what } of atStake) tell(plain(`  ${kind.replaceAll('_', ' ')}: ${what}`));
  if (truncated) tell('  …and more');
  tell(plain(`To put this aside and remove it all the same: --force --confirm '${name.replaceAll("'", "'\\''")}'`));
}

function removedText({ id, name, branch, branch_deleted: gone, rescue, teardown }: Removed): string {
  const lines = [`removed ${id} (${name})${gone ? `, and its branch ${branch}` : ''}`];
  if (rescue !== null) lines.push(`its work is in ${rescue.ref} until ${rescue.kept_until}`);
  if (teardown !== null && teardown.failure !== null) {
    const where = teardown.session_id === null ? '' : `; session ${teardown.session_id} has its output`;
    lines.push(`its teardown failed: ${teardown.failure}${where}`);
  }
  return lines.map(plain).join('\n');
}
