import type { Rescue__Output } from '../generated/gatehouse/runner/v1/Rescue.js';
import type { RescueFacts } from './worktree-store.js';

/** What the row remembers of a rescue; null when there was none. */
export const rescueFacts = (rescue: Rescue__Output | null | undefined): RescueFacts | null =>
  rescue
    ? {
        rescueId: rescue.id ?? '',
        rescueRef: rescue.ref ?? '',
        rescueUntil: new Date(rescue.kept_until_ms ?? 0),
      }
    : null;
