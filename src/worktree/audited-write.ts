import { Audited } from '../audit/audited.decorator.js';
import type { AuditMetadata } from '../kernel/audit.js';

type Operation = 'stage' | 'unstage' | 'discard' | 'commit' | 'push' | 'merge' | 'rebase';

/** Puts a change of the worktree `id` on record. @param about small facts, of what the handler returned */
export const AuditedWrite = (
  operation: Operation,
  about: ((result: never) => AuditMetadata) | null = null,
): MethodDecorator => Audited('worktree.write', 'worktree', 'id', about, { operation });
