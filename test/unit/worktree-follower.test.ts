import '../support/nest-first.js';
import { describe, expect, it } from '@jest/globals';
import { DomainError } from '../../src/kernel/errors.js';
import { WorktreeFollower } from '../../src/worktree/worktree-follower.js';
import type { WorktreeEntity, WorktreeState } from '../../src/worktree/worktree.entity.js';

const NOW = 1_700_000_000_000;
const LONG_AGO = new Date(NOW - 3_600_000);
const RESCUE = { id: 'r', worktree_id: 'w', ref: 'refs/gatehouse/rescue/r', kept_until_ms: NOW };
const FACTS = { rescueId: 'r', rescueRef: 'refs/gatehouse/rescue/r', rescueUntil: new Date(NOW) };

interface Case {
  /** The row's state. */
  readonly row: WorktreeState;
  readonly runner?: string;
  /** What the runner says of it; absent when it has none. */
  readonly there?: string;
  readonly rescues?: readonly object[];
  readonly remove?: () => Promise<object>;
}

/** Lets a follower settle one row of an hour ago, as often as told. @returns what it did about it, in order */
async function settle({ row: state, runner = 'me', there, rescues = [], remove }: Case, times = 1): Promise<unknown[]> {
  const done: unknown[] = [];
  const row = { id: 'w', runner, state, stateAt: LONG_AGO, tenant: 't' } as WorktreeEntity;
  const isLive = ['creating', 'ready', 'removing'].includes(state);
  const mark =
    (name: string) =>
    (_key: object, facts?: unknown): Promise<object> => {
      done.push(facts === undefined || facts === null ? name : [name, facts]);
      return Promise.resolve(row);
    };
  const store = {
    sweep: () => Promise.resolve(),
    live: () => Promise.resolve(isLive ? [row] : []),
    known: () => Promise.resolve(isLive ? [] : [row]),
    ...{ markReady: mark('ready'), markFailed: mark('failed'), markKept: mark('kept') },
    ...{ markRemoved: mark('removed'), markLost: mark('lost'), markFound: mark('found') },
  };
  const disk = {
    list: () => Promise.resolve(there === undefined ? [] : [{ id: 'w', state: there }]),
    rescues: () => Promise.resolve(rescues),
    remove: (request: object) => {
      done.push(['remove', request]);
      return remove?.() ?? Promise.resolve({ removed: true });
    },
  };
  const logger = { info: () => undefined, warn: (facts: object) => void done.push(['told', facts]) };
  const fakes = [store, disk, {}, { note: () => undefined }, logger, 'me', { now: () => NOW }] as unknown;
  const follower = new WorktreeFollower(...(fakes as ConstructorParameters<typeof WorktreeFollower>));
  for (let n = 0; n < times; n += 1) await follower.reconcile();
  return done;
}

describe('a worktree', () => {
  it.each(['creating', 'removing'])(
    'that the runner is still %s is left alone, however long it takes',
    async (there) => {
      for (const row of ['creating', 'ready', 'removing', 'lost', 'failed'] as const) {
        expect(await settle({ row, there })).toEqual([]);
      }
    },
  );

  it('whose removal nobody knows the outcome of is what the runner has of it', async () => {
    expect(await settle({ row: 'removing', there: 'ready' })).toEqual(['kept']);
    expect(await settle({ row: 'removing' })).toEqual(['removed']);
    expect(await settle({ row: 'removing', rescues: [RESCUE] })).toEqual([['removed', FACTS]]);
  });

  it('that was lost keeps what is kept of it, and is ready again once its disk is', async () => {
    expect(await settle({ row: 'ready' })).toEqual(['lost']);
    expect(await settle({ row: 'ready', rescues: [{ ...RESCUE, worktree_id: 'other' }, RESCUE] })).toEqual([
      ['lost', FACTS],
    ]);
    expect(await settle({ row: 'lost', there: 'ready' })).toEqual(['found']);
    expect(await settle({ row: 'lost', there: 'ready', runner: 'another' })).toEqual([]);
    expect(await settle({ row: 'removed', there: 'ready' })).toEqual([]);
  });

  it('that counts as not made is removed where it was made nevertheless, but never by force', async () => {
    const request = ['remove', { id: 'w', delete_branch: true }];
    expect(await settle({ row: 'failed', there: 'ready' })).toEqual([request]);
    expect(await settle({ row: 'failed', there: 'ready', runner: 'another' })).toEqual([]);
    const refused = { row: 'failed', there: 'ready', remove: () => Promise.resolve({ removed: false }) } as const;
    expect(await settle(refused, 2)).toEqual([request, ['told', { worktree: 'w', failure: 'WOULD_LOSE_WORK' }]]);
    const away = () => Promise.reject(new DomainError('RUNNER_UNAVAILABLE', 'away'));
    expect(await settle({ ...refused, remove: away }, 2)).toEqual([request, request]);
  });
});
