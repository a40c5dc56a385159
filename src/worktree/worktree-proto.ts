import type { CommitInfo } from '../generated/gatehouse/worktree/v1/CommitInfo.js';
import type { FileChange } from '../generated/gatehouse/worktree/v1/FileChange.js';
import type { GetStatusResponse } from '../generated/gatehouse/worktree/v1/GetStatusResponse.js';
import type { IntegrationResult } from '../generated/gatehouse/worktree/v1/IntegrationResult.js';
import type { RemoveResponse } from '../generated/gatehouse/worktree/v1/RemoveResponse.js';
import type { Rescue } from '../generated/gatehouse/worktree/v1/Rescue.js';
import type { Worktree } from '../generated/gatehouse/worktree/v1/Worktree.js';
import type { WorktreeState as ProtoState } from '../generated/gatehouse/worktree/v1/WorktreeState.js';
import { plainEnum, timestamp } from '../kernel/proto-values.js';
import type { CommitView, DiffView, FileView, HunkView, RescueView, StatusView } from './git-views.js';
import type { IntegratedView } from './worktree-changes.service.js';
import type { TeardownView } from './worktree-commands.js';
import type { WorktreeState } from './worktree.entity.js';
import type { WorktreeView } from './worktree-view.js';

/** Enums of the wire and their plain names: `WORKTREE_STATE_READY` and `ready`. */
const STATES = {
  creating: 'WORKTREE_STATE_CREATING',
  ready: 'WORKTREE_STATE_READY',
  failed: 'WORKTREE_STATE_FAILED',
  removing: 'WORKTREE_STATE_REMOVING',
  removed: 'WORKTREE_STATE_REMOVED',
  lost: 'WORKTREE_STATE_LOST',
} as const satisfies Record<WorktreeState, ProtoState>;

const RESULTS = {
  up_to_date: 'INTEGRATION_RESULT_UP_TO_DATE',
  done: 'INTEGRATION_RESULT_DONE',
  conflict: 'INTEGRATION_RESULT_CONFLICT',
} as const satisfies Record<IntegratedView['result'], IntegrationResult>;

/** A list's request with the state as its plain name, for the schema. */
export const plainState = (request: unknown): unknown =>
  typeof request === 'object' && request !== null && 'state' in request
    ? { ...request, state: plainEnum(request.state, 'WORKTREE_STATE_') }
    : request;

/** Members that are null are absent on the wire. */
function present<T extends object>(values: T): { [K in keyof T]: Exclude<T[K], null> } {
  const entries = Object.entries(values).filter(([, value]) => value !== null);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], null> };
}

const maybeTime = (time: string | null) => (time === null ? null : timestamp(time));

/** A worktree as protobuf. */
export function toProto(view: WorktreeView): Worktree {
  const { state, created_at, removed_at, rescue, ...same } = view;
  return {
    ...present(same),
    state: STATES[state],
    created_at: timestamp(created_at),
    ...present({ removed_at: maybeTime(removed_at) }),
    ...(rescue === null
      ? {}
      : { rescue: { id: rescue.id, ref: rescue.ref, kept_until: timestamp(rescue.kept_until) } }),
  };
}

export function statusToProto(view: StatusView): GetStatusResponse {
  const { files, sessions, last_change_at, ...same } = view;
  return {
    ...present(same),
    ...present({ last_change_at: maybeTime(last_change_at) }),
    files: files.map(fileToProto),
    sessions: [...sessions],
  };
}

function fileToProto({ path_bytes, ...same }: FileView): FileChange {
  return { ...present(same), ...(path_bytes === null ? {} : { path_bytes: Buffer.from(path_bytes, 'base64') }) };
}

export const diffToProto = ({ files, hunks, ...same }: DiffView) => ({
  ...same,
  files: files.map(present),
  hunks: hunks.map(({ lines, ...hunk }: HunkView) => ({ ...hunk, lines: [...lines] })),
});

export const commitToProto = ({ time, parents, ...same }: CommitView): CommitInfo => ({
  ...same,
  parents: [...parents],
  time: timestamp(time),
});

export const integratedToProto = ({ result, head, conflicts }: IntegratedView) => ({
  result: RESULTS[result],
  head,
  conflicts: [...conflicts],
});

export const teardownToProto = (view: TeardownView | null): Pick<RemoveResponse, 'teardown'> =>
  view === null ? {} : { teardown: present(view) };

export const rescueToProto = ({ created_at, kept_until, ...same }: RescueView): Rescue => ({
  ...same,
  created_at: timestamp(created_at),
  kept_until: timestamp(kept_until),
});
