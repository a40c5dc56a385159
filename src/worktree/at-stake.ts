import type { RemoveWorktreeResponse__Output } from '../generated/gatehouse/runner/v1/RemoveWorktreeResponse.js';
import { type AtStake, DomainError } from '../kernel/errors.js';

/** Things at stake that a refusal names. */
export const MAX_AT_STAKE = 100;

/** All that a removal would lose, as far as it is listed. */
export interface Stake {
  readonly items: readonly AtStake[];
  readonly truncated: boolean;
}

/**
 * @param sessions that live in the worktree
 * @param answer of the runner to a removal that was not done
 */
export function stakeOf(sessions: readonly string[], answer: RemoveWorktreeResponse__Output): Stake {
  const items = [
    ...sessions.map((what) => ({ kind: 'session', what })),
    ...(answer.at_stake ?? []).flatMap(({ kind = '', what = '' }) => {
      // The runner knows of those too that work in the folder and were started elsewhere.
      return kind === 'session' && sessions.includes(what) ? [] : [{ kind, what }];
    }),
  ];
  return { items: items.slice(0, MAX_AT_STAKE), truncated: (answer.truncated ?? false) || items.length > MAX_AT_STAKE };
}

/** The refusal of a removal, which names what is at stake. */
export const wouldLose = ({ items, truncated }: Stake): DomainError =>
  new DomainError('WOULD_LOSE_WORK', 'With this worktree work would be lost that is nowhere else, or is going on.', {
    details: { at_stake: items, truncated },
  });
